#!/usr/bin/env python3
"""Pieces of one microscopy image with masks of cell nuclei, for `njet train --task segment`.

    pip download --no-deps --only-binary :all: stardist==0.9.2
    python3 examples/nuclei.py stardist-0.9.2-*.whl nuclei

The package holds an image of 512×512 pixels with a mask from the 2018 Data Science Bowl (Caicedo et al., Nature Methods 16,
2019). Validation pieces come from the right side of the image, training pieces from the rest, overlapping, and a strip
between the two is left out. It is ONE image: the figures say how the method does on this image.

Classes: background, nucleus; with --border the pixels of a nucleus that touch another one are to be ignored (255).

Needs numpy.
"""

import argparse
import struct
import sys

import numpy as np
from mask_folder import MaskFolder, package_file

CLASSES = ["background", "nucleus"]


def tiff(package, name):
    """A TIFF of 16-bit grey in one piece without compression, as [height, width]."""
    data = package_file(package, name)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if not order:
        sys.exit(f"{name}: not a TIFF file; stardist 0.9.2 has one")
    directory = struct.unpack(order + "I", data[4:8])[0]
    count = struct.unpack(order + "H", data[directory : directory + 2])[0]
    tags = {}
    for at in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack(order + "HHI", data[at : at + 8])
        if length == 1 and kind in (3, 4):
            tags[tag] = struct.unpack(order + ("H" if kind == 3 else "I"), data[at + 8 : at + (10 if kind == 3 else 12)])[0]
    width, height, bits, compression, offset = (tags.get(tag) for tag in (256, 257, 258, 259, 273))
    if (bits, compression) != (16, 1) or offset is None:
        sys.exit(f"{name}: not 16 bits in one piece without compression; stardist 0.9.2 has such a file")
    return np.frombuffer(data, order + "u2", count=width * height, offset=offset).reshape(height, width)


def touching(nuclei):
    """Where a nucleus has another one beside it, in eight directions."""
    padded = np.pad(nuclei, 1)
    height, width = nuclei.shape
    near = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.any([(other != nuclei) & (other > 0) & (nuclei > 0) for other in near], axis=0)


def starts(extent, piece, step):
    """Where pieces begin so that they cover an extent."""
    return sorted({*range(0, extent - piece + 1, step), extent - piece})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", help="stardist 0.9.2: its wheel, or the directory around the package")
    parser.add_argument("directory", help="where to write, a new directory")
    parser.add_argument("--piece", type=int, default=128, help="rows and columns of a piece (default 128)")
    parser.add_argument("--gap", type=int, default=16, help="columns between the two parts (default 16)")
    parser.add_argument("--border", action="store_true", help="ignore the pixels where nuclei touch")
    arguments = parser.parse_args()

    image, nuclei = (tiff(arguments.package, f"stardist/data/images/{name}2d.tif") for name in ("img", "mask"))
    height, width = image.shape
    piece = arguments.piece
    split = width - piece
    if not 1 <= piece <= height or arguments.gap < 0 or split - arguments.gap < piece:
        parser.error(f"pieces of {piece} and a gap of {arguments.gap} leave no room in {height}×{width} pixels")
    # Brightness is set by the training part alone.
    low, high = np.percentile(image[:, : split - arguments.gap], [0.1, 99.9])
    image = np.clip((image - low) / max(high - low, 1) * 255 + 0.5, 0, 255).astype(np.uint8)
    mask = (nuclei > 0).astype(np.uint8)
    if arguments.border:
        mask[touching(nuclei)] = 255

    folder = MaskFolder(arguments.directory, CLASSES)
    rows = starts(height, piece, piece // 2 or 1)
    train = [("train", y, x) for y in rows for x in starts(split - arguments.gap, piece, piece // 2 or 1)]
    val = [("val", y, split) for y in starts(height, piece, piece)]
    for part, y, x in train + val:
        window = np.s_[y : y + piece, x : x + piece]
        folder.add(part, f"y{y:03}x{x:03}", image[window], mask[window])
    folder.finish()


if __name__ == "__main__":
    main()
