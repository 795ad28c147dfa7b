"""`Dataset`: the location of a data set's rows and labels, and reading ranges of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.column import Column
from jobs.errors import DataError

_CHECKED_BYTES = 2**20
MAX_CLASSES = 2**24
"""More than any network or softmax tells apart: a larger label is an identifier, or other number, that is no class."""
TARGETS = 0
"""In the place of the number of classes: y are targets, any numbers, and no labels of classes."""
UNLABELLED = -1
"""The same, and y may be missing: then it is (rows, 0)."""


@dataclass(frozen=True)
class Dataset:
    """Rows with labels: small, holds no data, and can be pickled to the workers.

    Attributes:
        spec: the argument of `open_dataset`.
        classes: labels are 0..classes-1; 0: y are targets.
        scale: features times this are about 0..1.
        features: x, (rows, *shape).
        labels: y, (rows,) of integers; targets: (rows, ...) of any numbers.
    """

    spec: str
    classes: int
    scale: float
    features: Column
    labels: Column

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.features.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row of the features."""
        return self.features.shape[1:]

    def read(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return rows start..stop-1: x (stop - start, *shape) as stored, read-only, and y (stop - start, ...).

        y of integers is int64, of other numbers as stored.

        Only these rows' bytes are read, of .gz files all before them as well; there, and in S3, ascending calls in one
        process continue where the last one ended.

        Raises:
            DataError: the files are shorter than when they were opened, damaged or gone.
            ClusterError: the storage cannot be reached.
        """
        x, y = self.features.read(start, stop), self.labels.read(start, stop)
        return x, y if y.dtype.kind == "f" else y.astype(np.int64, copy=False)

    def files(self) -> list[str]:
        """Return the paths or URLs of the files that the rows are read from, each once."""
        return list(dict.fromkeys(column.address for column in (self.features, self.labels)))

    def fingerprint(self) -> str:
        """Return the identity of the data, 32 hex digits (BLAKE2b), in any place: shapes, types and the files' content.

        Each file's size, first and last 64 KiB count, as they were when the data set was opened.
        """
        digest = hashlib.blake2b(digest_size=16)
        for column in (self.features, self.labels):
            digest.update(repr((column.shape, column.dtype.str, column.offset, column.file.fingerprint)).encode())
        return digest.hexdigest()


def check_dataset(spec: str, features: Column, labels: Column, classes: int | None, scale: float) -> Dataset:
    """Return the data set of two columns after checking their shapes, and all labels, a MiB at a time.

    Args:
        spec: the argument of `open_dataset`.
        features: x.
        labels: y.
        classes: labels must be 0..classes-1; None: the largest label + 1; `TARGETS` or `UNLABELLED`: y are no labels,
            nor checked.
        scale: features times this are about 0..1.

    Raises:
        DataError: there are no rows or features, numbers of rows differ, or a label is not in 0..classes-1.
    """
    where = f"data set {spec!r}"
    targets = classes in (TARGETS, UNLABELLED)
    if targets and (not labels.shape or (classes == TARGETS and 0 in labels.shape[1:])):
        raise DataError(f"{where}: y has shape {labels.shape}, but must be (rows, ...): at least one number a row")
    if not targets and len(labels.shape) != 1:
        raise DataError(f"{where}: y has shape {labels.shape}, but must be (rows,): one label a row")
    if len(features.shape) < 2:
        raise DataError(f"{where}: x has shape {features.shape}, but must be (rows, features...); save x[:, None]")
    if features.shape[0] != labels.shape[0]:
        raise DataError(
            f"{where}: {features.shape[0]} rows of features ({features.address}), but {labels.shape[0]} labels"
            f" ({labels.address}); they must be as many"
        )
    if 0 in features.shape:
        raise DataError(f"{where}: x has shape {features.shape}; there must be at least one row and one feature")
    found = TARGETS if targets else _largest_label(where, labels, classes) + 1
    return Dataset(spec, TARGETS if targets else classes or found, scale, features, labels)


def no_labels(features: Column) -> Column:
    """Return labels (rows, 0) of a data set that has none."""
    return Column(features.file, 0, np.dtype(np.int64), (*features.shape[:1], 0))


def _largest_label(where: str, labels: Column, classes: int | None) -> int:
    """Return the largest label after checking that all are in range."""
    largest, step = 0, max(_CHECKED_BYTES // labels.row_bytes, 1)
    for start in range(0, labels.shape[0], step):
        chunk = labels.read(start, min(start + step, labels.shape[0]))
        bad = (chunk < 0) | (chunk >= (classes or MAX_CLASSES))
        if bad.any():
            row = int(bad.argmax())
            given = f"0..{classes - 1} (classes is {classes})" if classes else f"0..{MAX_CLASSES - 1}"
            raise DataError(f"{where}: label {chunk[row]} of row {start + row} ({labels.address}) must be in {given}")
        largest = max(largest, int(chunk.max()))
    return largest
