"""A state as pieces of bounded size: runs of rows of its arrays, to be written, sent and set one after another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

PIECE_BYTES = 1 << 25
Array = NDArray[Any]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Shape:
    """An array of the state: its shape and type."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def rows(self) -> int:
        """Its entries along the first axis; one of a scalar, none of an array without numbers."""
        return (self.shape[0] if self.shape else 1) if math.prod(self.shape) else 0

    @property
    def nbytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def row_bytes(self) -> int:
        """The size of a row."""
        return self.nbytes // self.rows


class Cut(NamedTuple):
    """Rows start .. stop - 1 of an array of the state."""

    array: int
    start: int
    stop: int


def shapes(state: Sequence[Array]) -> tuple[Shape, ...]:
    """Return the shapes of a state's arrays."""
    return tuple(Shape(tuple(array.shape), str(array.dtype)) for array in state)


def pieces(layout: Sequence[Shape]) -> list[list[Cut]]:
    """Return the pieces of a state: what each has of which arrays, in order.

    A piece has at most `PIECE_BYTES`, or is a single row: rows can be set in place, single numbers of a row cannot.
    """
    found: list[list[Cut]] = [[]]
    room = PIECE_BYTES
    for number, shape in enumerate(layout):
        at = 0
        while at < shape.rows:
            if shape.row_bytes > room and found[-1]:
                found.append([])
                room = PIECE_BYTES
            stop = min(at + max(room // shape.row_bytes, 1), shape.rows)
            found[-1].append(Cut(number, at, stop))
            room -= (stop - at) * shape.row_bytes
            at = stop
    return found


def views(state: Sequence[Array] | Mapping[int, Array], cuts: Sequence[Cut]) -> list[Bytes]:
    """Return the bytes of some rows of a state, or of those of its arrays that are cut, which share its memory."""
    return [_rows(np.asarray(state[array], order="C"))[start:stop].reshape(-1).view(np.uint8)
            for array, start, stop in cuts]  # fmt: skip


def _rows(array: Array) -> Array:
    return array if array.ndim else array.reshape(1)


def joined(state: Sequence[Array], cuts: Sequence[Cut]) -> bytes:
    """Return a piece in one."""
    return b"".join(one.data for one in views(state, cuts))


def split(data: bytes, layout: Sequence[Shape], cuts: Sequence[Cut]) -> Iterator[Bytes]:
    """Yield the bytes of each cut of a piece that was joined."""
    everything, at = np.frombuffer(data, np.uint8), 0
    for array, start, stop in cuts:
        size = (stop - start) * layout[array].row_bytes
        yield everything[at : at + size]
        at += size


def rows_of(data: Bytes, shape: Shape, cut: Cut) -> Array:
    """Return rows of an array from their bytes; of a scalar, the scalar."""
    tail = (cut.stop - cut.start, *shape.shape[1:]) if shape.shape else ()
    return np.frombuffer(data, shape.dtype).reshape(tail)
