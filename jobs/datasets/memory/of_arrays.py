"""`from_arrays`: a source of rows from arrays, frames, lists or sparse matrices in this process's memory."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from jobs.datasets import labels
from jobs.datasets.memory import convert
from jobs.datasets.memory.source import MemoryRows, source

DIGEST_BYTES = 2**24


def from_arrays(x: Any, y: Any, weights: Any = None) -> MemoryRows:
    """Return a source of the rows of arrays that lie in this process's memory.

    The exception to the rule that a driver holds no data: it keeps the arrays, without a copy where that can be, and
    sends each block to the worker that computes on it, again where a worker was lost. Don't change them meanwhile.

    Args:
        x: features, (rows, ...): an array, a pandas frame, lists, or a sparse matrix of SciPy's (rows, features).
        y: labels or targets, (rows,) or (rows, ...): an array, a series or a list. Texts and booleans are classes by
            name; numbers are classes where a model needs them, by their distinct values.
        weights: of the rows, (rows,), >= 0: what they count in a loss; all 1 if None.

    Raises:
        DataError: they do not fit each other, or a value is missing, infinite or no number.
    """
    rows, names = convert.features(x), convert.feature_names(x)
    y = convert.targets(y)
    w = None if weights is None else convert.weights(weights)
    convert.check_rows(rows, y=y, weights=w)
    row_values = max(1, round(rows.nnz / rows.shape[0])) if sparse.issparse(rows) else None
    return source(ArrayReader(rows, y, w), rows.shape, names, row_values)


@dataclass(frozen=True)
class ArrayReader:
    """Arrays, (rows, ...) each.

    Attributes:
        x: features, an array or CSR rows.
        y: labels.
        w: weights, if there are any.
    """

    x: Any
    y: NDArray[Any]
    w: NDArray[np.float64] | None
    chunks = None

    @property
    def kind(self) -> str:
        """The kind of the labels' type."""
        return self.y.dtype.kind

    @functools.cached_property
    def _features(self) -> str:
        return digest_of(self.x)

    def read(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return rows start .. stop - 1, views where that can be."""
        return tuple(array[start:stop] for array in (self.x, self.y, self.w) if array is not None)

    def fingerprint(self) -> str:
        """Return a digest of all bytes, types and shapes."""
        content = f"{self._features} {digest_of(self.y, self.w)}"
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    def as_classes(self) -> tuple[ArrayReader, tuple[str, ...]]:
        """Return the same rows with labels 0, 1, ..., and the names of the classes."""
        codes, names = labels.encode(self.y)
        labelled = replace(self, y=codes)
        labelled.__dict__["_features"] = self._features  # not again: the features may be many GB
        return labelled, names


def digest_of(*arrays: Any) -> str:
    """Return a digest of arrays, 32 hex digits (BLAKE2b)."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        for part in _parts_of(array):
            digest.update(f"{part.shape} {part.dtype.str}".encode())
            step = max(1, DIGEST_BYTES // max(1, part[:1].nbytes))
            for start in range(0, len(part), step):
                digest.update(np.ascontiguousarray(part[start : start + step]).view(np.uint8).data)
    return digest.hexdigest()


def _parts_of(array: Any) -> Iterator[NDArray[Any]]:
    if array is None:
        return
    if sparse.issparse(array):
        yield np.array(array.shape)
        # As one type: the same matrix may have either.
        yield array.indptr.astype(np.int64)
        yield array.indices.astype(np.int64)
        yield array.data
    else:
        yield array
