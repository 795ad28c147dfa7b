"""Images for the shipped network: a data set's rows, split into training and validation."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.datasets import open_dataset
from jobs.datasets.idx import find_idx
from jobs.datasets.open import AnyDataset, is_table
from jobs.errors import DataError, InputError

SPLIT = 5
"""Where there is no test set, every fifth row of each class, the 5th, 10th, ..., is for validation."""

_lock = threading.Lock()
_last: tuple[str, Images] | None = None


@dataclass(frozen=True, eq=False)
class Images:
    """Images and labels in memory, never written to: threads share them. Equality is identity.

    Attributes:
        x: (rows, height, width, channels) uint8 or float32, for training.
        y: (rows,) int32 in 0 .. classes - 1.
        validation_x: as x, of other rows.
        validation_y: as y.
        scale: pixels times this are about 0 .. 1.
        classes: their number.
    """

    x: NDArray[Any]
    y: NDArray[np.int32]
    validation_x: NDArray[Any]
    validation_y: NDArray[np.int32]
    scale: float
    classes: int


def images_of(spec: str) -> Images:
    """Return the images of a data set, read by the first caller while others wait; a process keeps the last ones.

    Args:
        spec: as of `open_dataset`. A training set as IDX files is validated on the test set beside it
            (t10k-images-idx3-ubyte), if there is one; all else is split.

    Raises:
        InputError: `spec` does not name a data set.
        DataError: the data are damaged, not images, or too few.
        ClusterError: the storage cannot be reached.
    """
    global _last  # noqa: PLW0603  one data set per process, under a lock
    with _lock:
        if _last is None or _last[0] != spec:
            _last = spec, _read(spec)
        return _last[1]


def files_of(spec: str) -> list[str]:
    """Return the paths or URLs of all files that `images_of` reads; raises as it does, but reads no image."""
    data = _opened(spec)
    sets = [data] if (test := _test_set(spec, data)) is None else [data, test]
    return [file for one in sets for file in one.files()]


def _read(spec: str) -> Images:
    data = _opened(spec)
    x, y = _pixels(data), data.read(0, data.rows)[1].astype(np.int32)
    if test := _test_set(spec, data):
        if test.shape != data.shape:
            raise DataError(f"data set {spec!r}: images are {data.shape}, but those of the test set {test.shape}")
        other = _pixels(test), test.read(0, test.rows)[1].astype(np.int32)
        return Images(x, y, *other, data.scale, data.classes)
    held = held_out(y)
    if not held.any():
        raise DataError(f"data set {spec!r}: no class has {SPLIT} rows, so there are none for validation; give more")
    return Images(x[~held], y[~held], x[held], y[held], data.scale, data.classes)


def _opened(spec: str) -> AnyDataset:
    if is_table(spec):
        raise InputError(
            f"data set {spec!r} is a table, but the shipped network takes images: give IDX files or arrays"
        )
    return open_dataset(spec)


def _pixels(data: AnyDataset) -> NDArray[Any]:
    """Return all rows as (rows, height, width, channels), uint8 or float32."""
    if len(data.shape) not in (2, 3):
        raise DataError(
            f"data set {data.spec!r}: a row of x has shape {data.shape}, but must be an image, (height, width) or "
            "(height, width, channels); reshape x"
        )
    x = data.read(0, data.rows)[0]
    x = x.reshape(*x.shape, 1) if len(data.shape) == 2 else x
    return x if x.dtype == np.uint8 else x.astype(np.float32)


def _test_set(spec: str, data: AnyDataset) -> AnyDataset | None:
    """Return the test set beside a training set that lies in IDX files."""
    if spec == "digits" or spec.startswith(("npz:", "npy:")) or spec.endswith(".npz"):
        return None
    train = find_idx(spec.removeprefix("idx:"), "images")
    if train is None or train[1] != "train-":
        return None
    test = f"{train[0].url}/t10k"
    return open_dataset(f"idx:{test}", data.classes) if find_idx(test, "images") else None


def held_out(y: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which rows are for validation, (rows,) bool: the same ones whenever the labels are the same.

    Args:
        y: labels, (rows,).
    """
    order = np.argsort(y, kind="stable")
    place = np.empty(len(y), np.int64)
    place[order] = np.arange(len(y)) - np.searchsorted(y[order], y[order])
    return np.equal(place % SPLIT, SPLIT - 1)
