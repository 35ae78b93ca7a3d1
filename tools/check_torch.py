#!/usr/bin/env python3
"""Checks a file of `njet export --format safetensors|pytorch --samples N` by the Python module that is written beside it.

    njet export RUN --format pytorch -o model.pth --samples 1000
    python3 tools/check_torch.py model.pth

The logits of torch.nn must be those of njet to 1e-4 (of the largest logit) and the most probable class the same for every
image; of a network that segments, for all but one pixel in ten thousand. Needs `pip install numpy torch`. Exit code 1 where something is off.
"""
import importlib.util
import json
import os
import sys
import time

import numpy as np


def read_arrays(path):
    """The arrays of a safetensors file of f32."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    spans = {name: (info["data_offsets"], info["shape"]) for name, info in header.items()}
    return {name: np.frombuffer(data[a:b], np.float32).reshape(shape) for name, ((a, b), shape) in spans.items()}


def batches(images):
    """The images, about a hundred thousand pixels at a time."""
    step = max(1, 100_000 // (images.shape[2] * images.shape[3]))
    return [images[first:first + step] for first in range(0, len(images), step)]


def report(engine, logits, samples, seconds):
    logits = logits.reshape(samples["logits"].shape)
    apart = np.abs(logits - samples["logits"]).max() / np.abs(samples["logits"]).max()
    top, expected, labels = logits.argmax(1), samples["logits"].argmax(1), samples["labels"]
    counted = labels != 255  # pixels of a mask that are to be ignored
    same, right = (top == expected).mean(), (top == labels)[counted].mean()
    what = "pixels" if labels.ndim > 1 else "images"
    print(f"  {engine}: {len(top)} images in {seconds:.2f} s, top-1 the same for {100 * same:.3f} % of the {what}, ", end="")
    print(f"{100 * right:.2f} % right, logits within {apart:.1e} of the largest")
    # Of very many pixels one may have two logits that are equal but for rounding.
    return 0 if same >= (0.9999 if labels.ndim > 1 else 1) and apart <= 1e-4 else 1


def main(path):
    import torch

    beside = os.path.splitext(path)[0] + ".py"
    spec = importlib.util.spec_from_file_location("loader", beside)
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    network = loader.load(path)
    print(f"{path}: {len(network.state_dict())} tensors, {sum(p.numel() for p in network.parameters())} parameters")
    samples = read_arrays(path + ".samples.safetensors")
    start = time.perf_counter()
    with torch.inference_mode():
        logits = torch.cat([network(torch.from_numpy(batch.copy())) for batch in batches(samples["images"])]).numpy()
    return report("torch " + torch.__version__, logits, samples, time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(max(main(path) for path in sys.argv[1:]))
