"""Labels of any kind (texts, booleans, numbers) as classes 0, 1, ...: the one mapping for all sources of rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import DataError
from jobs.formatting import one_line

Values = NDArray[Any]
_NO_VALUES = ("NAType", "NaTType")
"""Types of pandas' missing values, which are not equal, or not even comparable, to anything."""


def encode(labels: Any, where: str = "y") -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the class of each label, (rows,) int64, and the classes' names: by value, in ascending order.

    Args:
        labels: (rows,) texts, booleans, integers or floats, as an array, a list, or anything that becomes one.
        where: what they are called in messages.

    Raises:
        DataError: one is missing or not finite, or they are of no such kind.
    """
    values = plain(labels, where)
    classes = classes_of([values])
    return codes(values, classes, where), names(classes)


def plain(labels: Any, where: str = "y", first: int = 0) -> Values:
    """Return labels as an array of texts, booleans, int64 or float64, (rows,).

    Args:
        labels: as of `encode`, or a part of them.
        where: what they are called in messages.
        first: the number of the first row, for messages.

    Raises:
        DataError: they are not (rows,), one is missing or not finite, or they are of no such kind.
    """
    values = np.asarray(labels)
    if values.ndim != 1:
        raise DataError(f"{where} has shape {values.shape}, but labels must be (rows,): one a row")
    if values.dtype.kind == "O":
        values = _of_objects(values, where, first)
    if values.dtype.kind == "f":
        _check_present(~np.isfinite(values), values, where, first)
        return values.astype(np.float64, copy=False)
    if values.dtype.kind in "iu":
        return values.astype(np.int64, copy=False)
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8")
    if values.dtype.kind not in "bU":
        raise DataError(f"{where} is of type {values.dtype}, but labels must be texts, booleans or numbers")
    return values


def classes_of(parts: Iterable[Values]) -> Values:
    """Return the distinct values of all parts, as of `plain`, in ascending order."""
    distinct = [np.unique(part) for part in parts]
    return np.unique(np.concatenate(distinct)) if distinct else np.zeros(0, np.int64)


def codes(values: Values, classes: Values, where: str = "y", first: int = 0) -> NDArray[np.int64]:
    """Return the class of each value, (rows,) int64.

    Args:
        values: as of `plain`.
        classes: distinct values in ascending order, as of `classes_of`.
        where: what they are called in messages.
        first: the number of the first row, for messages.

    Raises:
        DataError: a value is no class.
    """
    found = np.searchsorted(classes, values).astype(np.int64)
    wrong = classes[np.minimum(found, len(classes) - 1)] != values if len(classes) else np.ones(len(values), np.bool_)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{where}: row {first + row:,} is {name(values[row])!r}, which is none of the known classes")
    return found


def names(classes: Values) -> tuple[str, ...]:
    """Return the names of classes, as of `classes_of`."""
    return tuple(name(value) for value in classes)


def name(value: Any) -> str:
    """Return the text of one value: of a float without fraction that of the integer."""
    plain_value = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain_value, float) and plain_value.is_integer():
        plain_value = int(plain_value)
    return str(plain_value)


def _of_objects(values: Values, where: str, first: int) -> Values:
    """Return Python objects as an array of their one type."""
    missing = [value is None or type(value).__name__ in _NO_VALUES or _is_nan(value) for value in values]
    _check_present(np.array(missing, np.bool_), values, where, first)
    kinds = {_kind(value) for value in values}
    if len(kinds) > 1 or not kinds <= {"text", "boolean", "number"}:
        raise DataError(f"{where} has labels of several kinds ({', '.join(sorted(kinds))}); make them all texts")
    return np.array([str(value) if isinstance(value, str) else value for value in values])


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _kind(value: Any) -> str:
    for kind, types in {
        "text": (str, bytes),
        "boolean": (bool, np.bool_),
        "number": (int, float, np.integer, np.floating),
    }.items():
        if isinstance(value, types):
            return kind
    return type(value).__name__


def _check_present(missing: NDArray[np.bool_], values: Values, where: str, first: int) -> None:
    if missing.any():
        row = int(np.argmax(missing))
        raise DataError(
            f"{where}: row {first + row:,} has no label ({one_line(values[row])}); drop such rows, or give them one"
        )
