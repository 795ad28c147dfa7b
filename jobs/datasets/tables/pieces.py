"""Decoded rows that a process keeps: the next call goes on where the last one ended, or finds its rows here."""

from __future__ import annotations

import bisect
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT_BYTES = 256 * 2**20
KEPT_SECONDS = 10.0
MAX_CHUNKS, MAX_OPEN = 256, 4


@dataclass(frozen=True, eq=False)
class Piece:
    """Decoded rows.

    Attributes:
        numbers: of columns of numbers, (rows, columns).
        codes: numbers of categories, (rows, columns) int32.
        y: labels, (rows,) or (rows, 0).
        w: weights, (rows,) float64; None: there are none.
    """

    numbers: NDArray[Any]
    codes: NDArray[np.int32]
    y: NDArray[Any]
    w: NDArray[np.float64] | None

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(array.nbytes for array in (self.numbers, self.codes, self.y, self.w) if array is not None)


@dataclass
class _Chunk:
    """What is known of a chunk: the first rows of its pieces so far, and, if it is open, which piece comes next."""

    starts: list[int] = field(default_factory=lambda: [0])
    rest: Iterator[Piece] | None = None
    following: int = 0


class Pieces:
    """The pieces of one process, up to `KEPT_BYTES` of them, until `KEPT_SECONDS` after their last use.

    A piece is found only by decoding all before it in its chunk; those are kept too, so that calls in any order decode
    a chunk once as long as it fits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chunks: OrderedDict[object, _Chunk] = OrderedDict()
        self._pieces: OrderedDict[tuple[object, int], Piece] = OrderedDict()
        self._bytes, self._used, self._clearing = 0, 0.0, False

    def at(self, key: object, row: int, begin: Callable[[], Iterator[Piece]]) -> tuple[Piece, int]:
        """Return the piece that has a row of a chunk, and its first row.

        Args:
            key: of the chunk.
            row: its number in the chunk.
            begin: returns the chunk's pieces, from the first on.
        """
        with self._lock:
            chunk = self._chunks.setdefault(key, _Chunk())
            self._chunks.move_to_end(key)
            index = bisect.bisect_right(chunk.starts, row) - 1
            piece = self._pieces.get((key, index))
            if piece is None:
                try:
                    index, piece = self._decoded(key, chunk, row, index, begin)
                except BaseException:
                    chunk.rest = None
                    raise
            self._pieces.move_to_end((key, index))
            self._limit()
            self._used = time.monotonic()
            if not self._clearing:
                self._clearing = True
                threading.Thread(target=self._clear_unused, name="dask-jobs-pieces", daemon=True).start()
            return piece, chunk.starts[index]

    def _decoded(
        self, key: object, chunk: _Chunk, row: int, index: int, begin: Callable[[], Iterator[Piece]]
    ) -> tuple[int, Piece]:
        """Decode a chunk, from its beginning if need be, up to the piece that has a row; return its number too."""
        if chunk.rest is None or chunk.following > index:
            chunk.rest, chunk.following = begin(), 0
        while True:
            index, piece = chunk.following, next(chunk.rest)
            stop = chunk.starts[index] + len(piece.y)
            if index + 1 == len(chunk.starts):
                chunk.starts.append(stop)
            chunk.following += 1
            old = self._pieces.pop((key, index), None)
            self._pieces[key, index] = piece
            self._bytes += piece.nbytes - (old.nbytes if old else 0)
            if row < stop:
                return index, piece
            self._limit()

    def _limit(self) -> None:
        """Forget the pieces that were used longest ago, but the last one, and end what is not gone on with."""
        while self._bytes > KEPT_BYTES and len(self._pieces) > 1:
            self._bytes -= self._pieces.popitem(last=False)[1].nbytes
        for chunk in [chunk for chunk in self._chunks.values() if chunk.rest is not None][:-MAX_OPEN]:
            chunk.rest = None
        while len(self._chunks) > MAX_CHUNKS:
            old, _ = self._chunks.popitem(last=False)
            for at in [at for at in self._pieces if at[0] == old]:
                self._bytes -= self._pieces.pop(at).nbytes

    def _clear_unused(self) -> None:
        """Free all memory when nothing was asked for a while: a worker that has loaded its rows has them elsewhere."""
        while True:
            time.sleep(KEPT_SECONDS)
            with self._lock:
                if time.monotonic() >= self._used + KEPT_SECONDS:
                    self.clear()
                    self._clearing = False
                    return

    def clear(self) -> None:
        """Forget all."""
        self._chunks.clear()
        self._pieces.clear()
        self._bytes = 0


PIECES = Pieces()
