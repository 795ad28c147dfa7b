"""Vectors as they travel: whole, or their first numbers in half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[Any]
Wire = Literal["full", "bfloat16"]


class Format:
    """How vectors are rounded, sent and added.

    With `bfloat16` each node of the tree over parts is rounded, those too that never travel: else the bits would depend
    on which do, hence on the number of workers.

    Args:
        wire: 'full' or 'bfloat16'.
        rounded: how many of a vector's first numbers are gradients; statistics, loss and rows are never rounded.
    """

    def __init__(self, wire: Wire, rounded: int) -> None:
        self._half = wire == "bfloat16"
        self._rounded = rounded if self._half else 0

    def leaf(self, vector: Vector) -> Vector:
        """Round a part's vector in place, and return it."""
        return self._round(vector, 0)

    def adder(self, start: int) -> Callable[[Vector, Vector], Vector] | None:
        """Return how a tree adds two slices that begin at entry `start`; None: as they are."""
        return (lambda left, right: self._round(np.add(left, right), start)) if self._half else None

    def _round(self, vector: Vector, start: int) -> Vector:
        count = max(self._rounded - start, 0)
        if count:
            from ml_dtypes import bfloat16

            vector[:count] = vector[:count].astype(bfloat16)
        return vector

    def encode(self, vector: Vector, start: int) -> list[Vector]:
        """Return the arrays to send of a slice that begins at entry `start`."""
        count = min(max(self._rounded - start, 0), vector.size)
        if not count:
            return [vector]
        from ml_dtypes import bfloat16

        return [vector[:count].astype(bfloat16).view(np.uint16), vector[count:]]

    def decode(self, arrays: list[Vector]) -> Vector:
        """Return the slice of arrays that have arrived."""
        if len(arrays) == 1:
            return arrays[0]
        from ml_dtypes import bfloat16

        half, rest = arrays
        return np.concatenate([half.view(bfloat16).astype(rest.dtype), rest])
