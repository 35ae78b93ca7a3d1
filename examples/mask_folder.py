"""What the converters share: files out of a Python package, and DIR/{train,val}/{images,masks}/NAME.png."""

import shutil
import struct
import sys
import zipfile
import zlib
from pathlib import Path


def package_file(package, name):
    """The bytes of a file in a wheel, or in the directory that a wheel was unpacked or installed to."""
    path = Path(package)
    try:
        if path.is_dir():
            return (path / name).read_bytes()
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        sys.exit(f"{package}: cannot read {name}: {error}")


def png(pixels):
    """An 8-bit grey PNG of an array of bytes, [height, width]."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


class MaskFolder:
    """A new folder of images and masks. It gets its name when it is complete."""

    def __init__(self, directory, classes):
        self.directory = Path(directory)
        if self.directory.exists():
            sys.exit(f"{directory}: it is there already; remove it or name another directory")
        self.unfinished = self.directory.with_name(self.directory.name + ".tmp")
        shutil.rmtree(self.unfinished, ignore_errors=True)
        for part in ("train", "val"):
            for kind in ("images", "masks"):
                (self.unfinished / part / kind).mkdir(parents=True)
        (self.unfinished / "classes.txt").write_text("".join(name + "\n" for name in classes), encoding="utf-8")
        self.counts = {"train": 0, "val": 0}

    def add(self, part, name, image, mask):
        """Bytes, [height, width] both; a mask holds indices into the classes."""
        assert image.shape == mask.shape, (name, image.shape, mask.shape)
        (self.unfinished / part / "images" / f"{name}.png").write_bytes(png(image))
        (self.unfinished / part / "masks" / f"{name}.png").write_bytes(png(mask))
        self.counts[part] += 1

    def finish(self):
        self.unfinished.rename(self.directory)
        print(f"{self.directory}: {self.counts['train']} training and {self.counts['val']} validation images")
