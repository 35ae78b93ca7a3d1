#!/usr/bin/env python3
"""Axial slices of an averaged brain with masks of grey and white matter, for `njet train --task segment`.

    pip download --no-deps nilearn==0.14.1
    python3 examples/brain.py nilearn-0.14.1-py3-none-any.whl brain

The package holds the MNI ICBM 152 template (Fonov et al., NeuroImage 54, 2011): a T1-weighted image that is the average
of 152 heads, and how likely each voxel of 1 mm is grey and white matter. The class of a voxel is the largest of the
three: other (what the two leave), grey matter, white matter.

It is ONE head: what is learned from it says something about the method and nothing about other heads. Neighbouring slices
are nearly alike, so slices are split in blocks, and between a training block and a validation block some are left out.

Needs numpy.
"""

import argparse
import gzip
import struct
import sys

import numpy as np
from mask_folder import MaskFolder, package_file

DATA = "nilearn/datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
CLASSES = ["other", "grey matter", "white matter"]


def volume(package, kind):
    """A NIfTI-1 file of bytes as [z, y, x]."""
    name = DATA.format(kind)
    data = gzip.decompress(package_file(package, name))
    header, rank, *extents = struct.unpack("<i36x4h", data[:48])
    datatype = struct.unpack("<h", data[70:72])[0]
    offset, slope, intercept = struct.unpack("<3f", data[108:120])
    if (header, rank, datatype, slope, intercept) != (348, 3, 2, 1.0, 0.0):
        sys.exit(f"{name}: not a little-endian NIfTI-1 file of three axes and unscaled bytes; nilearn 0.14.1 has one")
    shape = extents[::-1]
    return np.frombuffer(data, np.uint8, count=np.prod(shape), offset=int(offset)).reshape(shape)


def parts(slices, block, gap, every):
    """For each slice in order: train, val, or None in a gap. Every `every`-th block is for validation."""
    wanted = ["val" if i // block % every == every // 2 else "train" for i in range(slices)]
    near = lambda i: set(wanted[max(0, i - gap) : i + gap + 1])
    # The gap is taken from the training blocks, on both sides of a validation block.
    return [None if part == "train" and "val" in near(i) else part for i, part in enumerate(wanted)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", help="nilearn 0.14.1: its wheel, or the directory around the package")
    parser.add_argument("directory", help="where to write, a new directory")
    parser.add_argument("--block", type=int, default=12, help="slices in a block (default 12)")
    parser.add_argument("--gap", type=int, default=4, help="slices left out beside a validation block (default 4)")
    parser.add_argument("--every", type=int, default=4, help="one block of so many is for validation (default 4)")
    arguments = parser.parse_args()
    if arguments.block < 1 or arguments.gap < 0 or arguments.every < 2:
        parser.error("--block must be at least 1, --gap at least 0, --every at least 2")

    image, grey, white = (volume(arguments.package, kind) for kind in ("t1", "gm", "wm"))
    other = np.maximum(255 - grey.astype(int) - white, 0)
    mask = np.argmax(np.stack([other, grey, white]), axis=0).astype(np.uint8)
    # Slices with some brain in them.
    brain = [z for z in range(len(mask)) if np.mean(mask[z] > 0) > 0.02]
    folder = MaskFolder(arguments.directory, CLASSES)
    for z, part in zip(brain, parts(len(brain), arguments.block, arguments.gap, arguments.every)):
        if part:
            # The front of the head is up.
            folder.add(part, f"z{z:03}", image[z, ::-1], mask[z, ::-1])
    folder.finish()


if __name__ == "__main__":
    main()
