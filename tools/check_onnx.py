#!/usr/bin/env python3
"""Checks an ONNX file of `njet export --samples N` with the checker of the onnx package and with onnxruntime.

    njet export RUN --format onnx -o model.onnx --samples 1000
    python3 tools/check_onnx.py model.onnx

The logits must be those of njet to 1e-4 (of the largest logit) and the most probable class the same for every image; of a
network that segments, for all but one pixel in ten thousand.
Needs `pip install numpy onnx onnxruntime`. Exit code 1 where something is off.
"""
import json
import sys
import time

import numpy as np
import onnx
import onnxruntime

from check_torch import batches, read_arrays, report


def main(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    print(f"{path}: opset {model.opset_import[0].version}, {len(model.graph.node)} nodes; the checker has no objection")
    print("  classes", metadata.get("classes", "not known"))
    print("  sigma  ", {name: [round(s, 3) for s in sigmas] for name, sigmas in json.loads(metadata["sigma"]).items()})
    samples = read_arrays(path + ".samples.safetensors")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    start, logits = time.perf_counter(), []
    for batch in batches(samples["images"]):
        logits.append(session.run(None, {session.get_inputs()[0].name: batch})[0])
    seconds, logits = time.perf_counter() - start, np.concatenate(logits)
    return report("onnxruntime " + onnxruntime.__version__, logits, samples, seconds)


if __name__ == "__main__":
    sys.exit(max(main(path) for path in sys.argv[1:]))
