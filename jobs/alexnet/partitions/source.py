"""The images in their files: read, decoded, and put where they belong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.images import BadImageError
from jobs.alexnet.partitions.store import Partition
from jobs.errors import DataError

Decode = Callable[[bytes, NDArray[np.uint8]], None]
"""Decodes the content of a file into pixels."""


class Reader(Protocol):
    """Reads images by number; small when pickled, it holds none."""

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield (number, content of the file) of each image, in any order."""

    def address(self, number: int) -> str:
        """Return what an image is called, and where it lies."""

    def begin(self, scratch: str) -> None:
        """Get ready to read in this process, with a folder for temporary files."""

    def close(self) -> None:
        """Free what reading needs."""


@dataclass(frozen=True)
class Source:
    """What makes images.

    Attributes:
        reader: of their files.
        decoder: makes what decodes images one after the other, in one thread: of (content, out), with out
            (side, side, 3) uint8; it raises BadImageError.
        side: pixels.
    """

    reader: Reader
    decoder: Callable[[], Decode]
    side: int

    def fill(self, partition: Partition, wanted: NDArray[np.int64]) -> list[tuple[int, str]]:
        """Make the images of a partition that are not there yet; return (number, reason) of those that cannot be used.

        Args:
            partition: with as many rows as are wanted; those that hold what is wanted are left as they are.
            wanted: the number of the image of each row.
        """
        rows = {int(wanted[row]): row for row in np.flatnonzero(partition.numbers != wanted)}
        bad = []
        decode, images = self.decoder(), np.asarray(partition.images)  # OpenCV does not write into NumPy's memmap class
        for number, content in self.reader.read(sorted(rows)):
            row = rows.pop(number)
            partition.numbers[row] = -1
            try:
                decode(content, images[row])
            except BadImageError as error:
                bad.append((number, str(error)))
            else:
                partition.numbers[row] = number
        if rows:
            raise DataError(f"{self.reader.address(min(rows))} was not read")
        return bad

    def remake(self, partition: Partition, wanted: NDArray[np.int64]) -> None:
        """Make the images of a partition that are not there, all of which could be used before.

        Raises:
            DataError: one cannot be used now.
        """
        for number, reason in self.fill(partition, wanted):
            raise DataError(f"{self.reader.address(number)} was read before, and cannot be now: {reason}")
