"""Rows of a fixed number of bytes, one after the other, somewhere in a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.ranged_file import File
from jobs.errors import DataError


@dataclass(frozen=True)
class Column:
    """An array of shape `shape` (rows, ...) in C order, whose bytes begin at `offset` of `file`."""

    file: File
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def address(self) -> str:
        """Path or URL of the file."""
        return self.file.address

    @property
    def row_bytes(self) -> int:
        """Size of one row in bytes."""
        return self.dtype.itemsize * math.prod(self.shape[1:])

    @property
    def end(self) -> int:
        """Where the array ends in the file, in bytes."""
        return self.offset + self.dtype.itemsize * math.prod(self.shape)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows start..stop-1, (stop - start, ...), read-only, in this machine's byte order.

        Raises:
            DataError: the file is shorter than when it was opened, damaged or gone.
            IndexError: there are no such rows.
        """
        if not 0 <= start <= stop <= self.shape[0]:
            raise IndexError(f"rows {start}..{stop - 1} of {self.address}, which has {self.shape[0]}")
        first, last = (self.offset + row * self.row_bytes for row in (start, stop))
        try:
            data = self.file.read(first, last)
        except FileNotFoundError as error:
            raise DataError(f"{self.address}: rows {start}..{stop - 1} cannot be read; the file is gone") from error
        if len(data) != last - first:
            raise DataError(
                f"{self.address}: rows {start}..{stop - 1} need bytes {first}..{last - 1}, but the last"
                f" {last - first - len(data)} are missing; the file was longer when it was opened"
            )
        rows = np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])
        return rows.astype(self.dtype.newbyteorder("="), copy=False)
