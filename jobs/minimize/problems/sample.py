"""Rows of a data source as the shipped models take them: features in one dtype, labels, weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from jobs.errors import DataError, InputError
from jobs.formatting import plural
from jobs.minimize.problems.softmax_kernel import aligned, power_of_two

Array = NDArray[Any]
MAX_ROWS, MAX_SPARSE_ROWS = 8192, 2**20
"""Maximum rows of a block, of arrays and of sparse rows."""


class DataLike(Protocol):
    """The data's interface: a `jobs.datasets.Dataset`, rows in memory, or any object with these attributes.

    Optional: class_names and names, the texts for classes and features; row_values, how many numbers a sparse row has.
    """

    @property
    def rows(self) -> int:
        """Number of samples."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample; it is used flat."""

    @property
    def classes(self) -> int:
        """Labels are 0 .. classes - 1."""

    @property
    def scale(self) -> float:
        """The factor of stored numbers."""

    def read(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return samples start .. stop - 1, (stop - start, *shape) as stored or CSR rows, and their labels.

        A third array is the samples' weights, (stop - start,).
        """

    def fingerprint(self) -> str:
        """Return the identity of the data."""


@dataclass(frozen=True)
class Sample:
    """Some rows.

    Attributes:
        x: (rows, features), an array that starts on a cache line, or CSR rows; in the model's dtype.
        y: (rows, ...), as read.
        w: weights (rows,) float64, or None.
    """

    x: Any
    y: Array
    w: NDArray[np.float64] | None

    def where(self, mask: NDArray[np.bool_]) -> Sample:
        """Return the rows of a mask."""
        x = self.x[mask]
        if not sparse.issparse(x):
            x = aligned(x.shape, x.dtype)
            np.compress(mask, self.x, axis=0, out=x)
        return Sample(x, self.y[mask], None if self.w is None else self.w[mask])


def classified(data: Any) -> DataLike:
    """Return data with labels that are classes, where the data can tell: labels in memory may be any values."""
    return data.as_classes() if hasattr(data, "as_classes") else data  # type: ignore[no-any-return]


def check_dtype(dtype: str) -> None:
    """Check the dtype of a model.

    Raises:
        InputError: it is another one.
    """
    if dtype not in ("float64", "float32"):
        raise InputError(f"dtype is {dtype!r}, but must be 'float64' or 'float32'")


def features_of(data: DataLike) -> int:
    """Return how many numbers a sample has."""
    return math.prod(data.shape)


def block_rows(data: DataLike, outputs: int) -> int:
    """Return rows of a block, a power of two: about a million numbers, but an eighth of the rows where those are few.

    At least 32 rows per output, such as a class, since a block's gradient, which is written and added, is as large as
    so many rows; at most 8,192, of sparse rows a million.
    """
    features, stored = features_of(data), getattr(data, "row_values", None)
    if stored is None:
        many = min(max(2**20 // features, 32 * outputs), MAX_ROWS)
    else:
        many = min(max(2**20 // stored, 32 * outputs * features // stored), MAX_SPARSE_ROWS)
    return power_of_two(min(many, max(data.rows // 8, 128)))


def sample(data: DataLike, dtype: str, start: int, stop: int) -> Sample:
    """Return rows start .. stop - 1, scaled.

    Raises:
        DataError: a weight is negative or not finite, or the data cannot be read.
        ClusterError: the storage cannot be reached.
    """
    x, y, *weights = data.read(start, stop)
    if sparse.issparse(x):
        rows = sparse.csr_array(x, dtype=dtype, copy=data.scale != 1)
        if data.scale != 1:
            rows.data *= data.scale
    else:
        rows = aligned((stop - start, features_of(data)), dtype)
        np.multiply(x.reshape(rows.shape), data.scale, out=rows, dtype=rows.dtype, casting="same_kind")
    return Sample(rows, np.asarray(y), _weights(weights[0], start) if weights else None)


def _weights(weights: Array, start: int) -> NDArray[np.float64]:
    w = np.asarray(weights, np.float64)
    wrong = ~(np.isfinite(w) & (w >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"weight of row {start + row:,} is {w[row]:g}, but must be a finite number >= 0")
    return w


def rows_of(x: Any, features: int, dtype: str = "float64") -> Any:
    """Return rows to predict, (rows, features): an array that starts on a cache line, or CSR rows.

    Raises:
        DataError: they have another number of features.
    """
    if math.prod(x.shape[1:]) != features:
        raise DataError(
            f"the model takes rows of {plural(features, 'number')}, but those of the data have shape {x.shape[1:]}"
        )
    if sparse.issparse(x):
        return sparse.csr_array(x, dtype=dtype)
    rows = aligned((x.shape[0], features), dtype)
    rows[...] = x.reshape(rows.shape)
    return rows


def feature_names(data: DataLike, features: int) -> list[str]:
    """Return the names of the features, or their numbers."""
    names = [str(name) for name in getattr(data, "names", None) or ()]
    return names if len(names) == features else [str(number) for number in range(features)]


def class_names(data: DataLike) -> list[str]:
    """Return the names of the classes, or their numbers."""
    names = [str(name) for name in getattr(data, "class_names", None) or ()]
    return names if len(names) == data.classes else [str(number) for number in range(data.classes)]
