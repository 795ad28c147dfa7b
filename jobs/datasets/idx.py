"""IDX files, the format of MNIST and similar data sets: images as bytes and their labels.

A file begins with a magic number, 0x00000803 for images and 0x00000801 for labels (bytes 00 00, type 08 for unsigned
bytes, number of dimensions), and the length of each dimension, all big-endian 32 bit; then come the bytes in C order.
Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import struct
from itertools import product
from typing import Literal

import numpy as np

from jobs.datasets.column import Column
from jobs.datasets.dataset import UNLABELLED, Dataset, check_dataset, no_labels
from jobs.datasets.ranged_file import File, open_file
from jobs.errors import DataError
from jobs.storage import Storage, open_storage

_DIMENSIONS = {"images": 3, "labels": 1}
Part = Literal["images", "labels"]


def open_idx(path: str, spec: str, classes: int | None) -> Dataset:
    """Return the data set at `path`: a folder with a training set, or folder/prefix of any, local or in S3.

    Raises:
        DataError: a file is missing, truncated or not an IDX file, or the data do not fit, see `check_dataset`.
    """
    images = find_idx(path, "images")
    if images is None:
        raise DataError(
            f"data set {spec!r}: no images there; give a folder with train-images-idx3-ubyte or images-idx3-ubyte (or"
            f" .gz), or folder/PREFIX for PREFIX-images-idx3-ubyte"
        )
    storage, prefix, name = images
    labels = _find(storage, prefix, "labels")
    if labels is None and classes != UNLABELLED:
        wanted = storage.address(f"{prefix}labels-idx1-ubyte")
        raise DataError(f"data set {spec!r}: the images {storage.address(name)} have no labels; {wanted} is missing")
    return from_files(storage, name, labels, spec, classes, scale=1 / 255)


def from_files(
    storage: Storage, images: str, labels: str | None, spec: str, classes: int | None, *, scale: float
) -> Dataset:
    """Return the checked data set of IDX files, the labels' if there are any; raises as `open_idx` does."""
    features = _column(open_file(storage, images), "images")
    y = no_labels(features) if labels is None else _column(open_file(storage, labels), "labels")
    return check_dataset(spec, features, y, classes, scale)


def find_idx(path: str, part: Part) -> tuple[Storage, str, str] | None:
    """Return the file of `part` that `path` means: its storage, the prefix of its name, and its name."""
    storage = open_storage(path)
    places = [(storage, "train-"), (storage, "")]
    folder, _, prefix = storage.url.rpartition("/")
    if folder and not folder.endswith("/"):  # s3://bucket has no parent folder
        places.append((open_storage(folder), f"{prefix}-"))
    for place, start in places:
        name = _find(place, start, part)
        if name:
            return place, start, name
    return None


def _find(storage: Storage, prefix: str, part: Part) -> str | None:
    for separator, packed in product("-.", ("", ".gz")):
        name = f"{prefix}{part}{separator}idx{_DIMENSIONS[part]}-ubyte{packed}"
        if storage.exists(name):
            return name
    return None


def _column(file: File, part: Part) -> Column:
    """Check the header and the size of `file`, and return its array."""
    dimensions = _DIMENSIONS[part]
    expected, length = 0x800 + dimensions, 4 + 4 * dimensions
    header = file.read(0, length)
    if len(header) < length:
        raise DataError(f"{file.address}: truncated; it has {len(header)} bytes, its header alone has {length}")
    magic, *shape = struct.unpack(f">{1 + dimensions}I", header)
    if magic != expected:
        raise DataError(
            f"{file.address}: the magic number is 0x{magic:08x}, but must be"
            f" 0x{expected:08x} ({part}: unsigned bytes in {dimensions}-D)"
        )
    column = Column(file, length, np.dtype(np.uint8), tuple(shape))
    if column.end != file.size:
        raise DataError(
            f"{file.address}: its header says {' x '.join(map(str, shape))}, {column.end} bytes in all, but there are"
            f" {file.size}; get it again"
        )
    return column
