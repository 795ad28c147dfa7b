"""Fixed blocks and the tree sum: what makes a result independent of workers, threads and failures.

Rows are cut into blocks of a fixed length. Vectors of blocks are added in the one binary tree over block numbers: node
(level, index) covers blocks index * 2**level up to (index + 1) * 2**level, and is the sum of its two children; where
the right child lies beyond the last block, the node is its left child. Since the tree is given by the number of
blocks alone, so is every rounding. A worker adds its blocks into the maximal nodes that they complete, and the driver,
or another worker, continues from those nodes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[Any]
Run = tuple[int, int]  # blocks start .. stop - 1


@dataclass(frozen=True)
class Blocks:
    """Rows 0 .. rows - 1 in blocks of `block_rows` (the last one may be shorter)."""

    rows: int
    block_rows: int

    def __len__(self) -> int:
        return -(-self.rows // self.block_rows)

    def rows_of(self, block: int) -> tuple[int, int]:
        """Return the first row of a block and the row after its last."""
        start = block * self.block_rows
        return start, min(start + self.block_rows, self.rows)


class TreeSum:
    """A partial sum over `count` blocks; `add` may be called from several threads at once.

    It owns the vectors that are added and adds in place. All have the same length and type.

    Args:
        count: the number of blocks.
        adder: returns the sum of two vectors, the same for (a, b) and (b, a); a + b in their type if None.
    """

    def __init__(self, count: int, adder: Callable[[Vector, Vector], Vector] | None = None) -> None:
        self._count, self._add = count, adder or _add
        self._depth = max(count - 1, 0).bit_length()
        self._nodes: dict[tuple[int, int], Vector] = {}
        self._lock = threading.Lock()

    def add(self, level: int, index: int, vector: Vector) -> None:
        """Add a node's vector and merge upwards as far as siblings are there. A block is a node of level 0."""
        while level < self._depth:
            sibling = index ^ 1
            if sibling << level < self._count:
                # Taking the sibling and leaving this node is one step: of two threads with siblings exactly one adds.
                with self._lock:
                    other = self._nodes.pop((level, sibling), None)
                    if other is None:
                        self._nodes[level, index] = vector
                        return
                vector = self._add(vector, other)  # outside the lock: both vectors belong to this thread now
            level, index = level + 1, index >> 1
        with self._lock:
            self._nodes[level, index] = vector

    def nodes(self) -> list[tuple[int, int, Vector]]:
        """Return the maximal nodes so far as (level, index, vector), in order of blocks."""
        return [(*key, self._nodes[key]) for key in sorted(self._nodes, key=lambda node: node[1] << node[0])]

    def missing(self) -> list[Run]:
        """Return the runs of blocks that no node covers yet."""
        done = ((index << level, min((index + 1) << level, self._count)) for level, index in self._nodes)
        return subtract([(0, self._count)], done)

    def total(self) -> Vector:
        """Return the sum over all blocks; the root must be complete (`missing()` is empty)."""
        return self._nodes[self._depth, 0]


def _add(left: Vector, right: Vector) -> Vector:
    """Add two vectors in place where one is writable; a + b and b + a have the same bits."""
    # What Dask received need not be writable: its arrays are views of the message's bytes.
    out = left if left.flags.writeable else right if right.flags.writeable else None
    return np.add(left, right, out=out)


def subtract(runs: Iterable[Run], taken: Iterable[Run]) -> list[Run]:
    """Return the blocks of `runs` that are in none of `taken`, as sorted runs."""
    left = sorted(runs)
    for low, high in taken:
        pieces = [((start, min(stop, low)), (max(start, high), stop)) for start, stop in left]
        left = [piece for pair in pieces for piece in pair if piece[0] < piece[1]]
    return left


def intersect(runs: Iterable[Run], others: Iterable[Run]) -> list[Run]:
    """Return the blocks that are in both, as sorted runs; the runs of each are disjoint."""
    others = list(others)
    pairs = ((max(a, c), min(b, d)) for a, b in runs for c, d in others)
    return sorted((start, stop) for start, stop in pairs if start < stop)


def joined(runs: Iterable[Run]) -> list[Run]:
    """Return disjoint runs sorted, adjacent ones joined."""
    result: list[Run] = []
    for start, stop in sorted(runs):
        if result and result[-1][1] == start:
            result[-1] = (result[-1][0], stop)
        else:
            result.append((start, stop))
    return result


def length(runs: Iterable[Run]) -> int:
    """Return how many blocks are in the runs."""
    return sum(stop - start for start, stop in runs)


def numbers(runs: Iterable[Run]) -> Iterator[int]:
    """Yield the block numbers of the runs in ascending order."""
    for start, stop in sorted(runs):
        yield from range(start, stop)
