"""Reading single rows from a source that reads ranges of rows."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.rows import RowSource
from jobs.errors import DataError
from jobs.train.data.order import WINDOW_BLOCKS
from jobs.usercode import call

Array = NDArray[Any]
Arrays = tuple[Array, ...]
"""x, y and, if the source has them, sample weights; rows first."""


class BlockCache:
    """The blocks that were read last for one part: those of its window stay, so that a small region is read once.

    Args:
        source: the data.
        rows: how many there are.
        block_rows: rows of one block.
    """

    def __init__(self, source: RowSource, rows: int, block_rows: int) -> None:
        self._source, self._rows, self._block_rows = source, rows, block_rows
        self._blocks: dict[int, Arrays] = {}

    def take(self, indices: NDArray[np.int64]) -> Arrays:
        """Return rows by number, in the order of the numbers.

        Raises:
            DataError, ClusterError: the data cannot be read.
            UserCodeError: the user's source raised.
        """
        blocks = indices // self._block_rows
        picked: list[Arrays] = []
        for number in np.unique(blocks):
            arrays, at = self._block(int(number)), indices[blocks == number] - number * self._block_rows
            picked.append(tuple(array[at] for array in arrays))
        # The rows were picked block by block: back into the order of the numbers.
        order = np.argsort(np.argsort(blocks, kind="stable"), kind="stable")
        return tuple(np.concatenate(column)[order] for column in zip(*picked, strict=True))

    def _block(self, number: int) -> Arrays:
        if (arrays := self._blocks.pop(number, None)) is None:
            arrays = self._read(number)
            for oldest in list(self._blocks)[: len(self._blocks) + 1 - 2 * WINDOW_BLOCKS]:
                del self._blocks[oldest]
        self._blocks[number] = arrays  # last: the one that was used longest ago goes first
        return arrays

    def _read(self, number: int) -> Arrays:
        start = number * self._block_rows
        stop = min(start + self._block_rows, self._rows)
        arrays = tuple(np.asarray(part) for part in call("data.read", self._source.read, start, stop))
        if not all(len(array) == stop - start for array in arrays):
            lengths = " and ".join(str(len(array)) for array in arrays)
            raise DataError(
                f"data.read({start}, {stop}) returned {lengths} rows, but must return {stop - start} of each"
            )
        return arrays


class ArrayRows:
    """Arrays as a source of rows: for data that a caller has in memory.

    Args:
        arrays: x, y and, if there are any, sample weights; rows first.

    Raises:
        DataError: their lengths differ, or one is a single number.
    """

    def __init__(self, *arrays: Any) -> None:
        self._arrays = tuple(np.asarray(array) for array in arrays)
        if not all(array.ndim for array in self._arrays):
            raise DataError("one of the data's arrays is a single value, but must have rows first")
        if len({len(array) for array in self._arrays}) != 1:
            lengths = ", ".join(str(len(array)) for array in self._arrays)
            raise DataError(f"the arrays of the data have {lengths} rows, but must have the same number")

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._arrays[0])

    def extremes(self) -> NDArray[np.int64]:
        """Return the numbers of rows with the smallest and the largest label; none if labels are no whole numbers."""
        labels = self._arrays[1] if len(self._arrays) > 1 else np.zeros(0)
        if labels.size != len(labels) or labels.dtype.kind not in "iu" or not len(labels):
            return np.zeros(0, np.int64)
        return np.array([labels.argmin(), labels.argmax()])

    def fingerprint(self) -> str:
        """Return a digest of all rows."""
        found = hashlib.blake2b(digest_size=16)
        for array in self._arrays:
            found.update(f"{array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).data if array.dtype.kind != "O" else repr(array).encode())
        return found.hexdigest()

    def read(self, start: int, stop: int) -> Any:
        """Return rows start .. stop - 1 of each array."""
        return tuple(array[start:stop] for array in self._arrays)
