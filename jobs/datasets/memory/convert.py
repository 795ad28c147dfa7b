"""Features, labels and weights from whatever holds them: NumPy arrays, pandas frames and series, lists, sparse rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from jobs.datasets import labels
from jobs.errors import DataError

Array = NDArray[Any]
Rows = Any
"""An array (rows, ...), or a sparse matrix (rows, features) in CSR form."""


def features(x: Any, first: int = 0) -> Rows:
    """Return features as an array (rows, ...) of finite numbers, or a CSR array (rows, features) of floats.

    Args:
        x: an array, a frame, lists of lists, or any sparse matrix of SciPy's.
        first: the number of the first row, for messages.

    Raises:
        DataError: they are no numbers, one is missing or infinite, or their shape is another.
    """
    if sparse.issparse(x):
        return _sparse(x, first)
    array = _numbers(x, "x")
    if array.ndim < 2:
        raise DataError(f"x has shape {array.shape}, but must be (rows, features...); give x[:, None]")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(axis=1)))
        raise DataError(f"x: row {first + row:,} has a missing or infinite number; drop such rows, or fill them in")
    return array


def feature_names(x: Any) -> tuple[str, ...]:
    """Return the names of a frame's columns; none of anything else."""
    columns = getattr(x, "columns", None)
    return () if columns is None else tuple(str(column) for column in columns)


def targets(y: Any, first: int = 0) -> Array:
    """Return labels as they are, (rows, ...): finite numbers, or texts and booleans, (rows,).

    Raises:
        DataError: one is missing or infinite, or of another kind.
    """
    array = np.asarray(y)
    if array.dtype.kind not in "iuf":
        return labels.plain(array, "y", first)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(axis=1)))
        raise DataError(f"y: row {first + row:,} has a missing or infinite number; drop such rows, or fill them in")
    return array


def weights(w: Any, first: int = 0) -> NDArray[np.float64]:
    """Return weights, (rows,) float64.

    Raises:
        DataError: they are not (rows,) finite numbers >= 0.
    """
    array = _numbers(w, "weights").astype(np.float64, copy=False)
    if array.ndim != 1:
        raise DataError(f"weights have shape {array.shape}, but must be (rows,)")
    wrong = ~(np.isfinite(array) & (array >= 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"weights: row {first + row:,} is {array[row]:g}, but must be a finite number >= 0")
    return array


def check_rows(x: Rows, **others: Array | None) -> None:
    """Check that there are rows and features, and as many rows of all.

    Raises:
        DataError: there are not.
    """
    if 0 in x.shape:
        raise DataError(f"x has shape {x.shape}; there must be at least one row and one feature")
    for name, other in others.items():
        if other is not None and other.shape[:1] != x.shape[:1]:
            count = other.shape[0] if other.shape else 0
            raise DataError(f"x has {x.shape[0]:,} rows, but {name} has {count:,}; they must be as many")


def _numbers(values: Any, name: str) -> Array:
    """Return an array of numbers; booleans become 0 and 1."""
    array = np.asarray(values)
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{name} has values that are no numbers ({error}); make numbers of them, for instance by "
                "pandas.get_dummies"
            ) from None
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise DataError(f"{name} is of type {array.dtype}, but must be numbers")
    return array


def _sparse(x: Any, first: int) -> sparse.csr_array:
    rows = sparse.csr_array(x)
    if rows.dtype.kind not in "biuf":
        raise DataError(f"x is of type {rows.dtype}, but must be numbers")
    if rows.dtype.kind != "f":
        rows = rows.astype(np.float64)
    # One form for one matrix: the order of a row's entries decides the order of sums.
    if not (rows.has_canonical_format and rows.has_sorted_indices):
        rows = rows.copy()
        rows.sum_duplicates()
    if not np.isfinite(rows.data).all():
        bad = int(np.argmin(np.isfinite(rows.data)))
        row = int(np.searchsorted(rows.indptr, bad, side="right")) - 1
        raise DataError(f"x: row {first + row:,} has a missing or infinite number; drop such rows, or fill them in")
    return rows
