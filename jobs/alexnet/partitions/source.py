"""The images in their files: read, decoded, and put where they belong."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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

    def fill(self, partition: Partition, wanted: NDArray[np.int64], threads: int = 1) -> list[tuple[int, str]]:
        """Make the images of a partition that are not there yet; return (number, reason) of those that cannot be used.

        Args:
            partition: with as many rows as are wanted; those that hold what is wanted are left as they are.
            wanted: the number of the image of each row.
            threads: that decode.
        """
        rows = {int(wanted[row]): row for row in np.flatnonzero(partition.numbers != wanted)}
        images = np.asarray(partition.images)  # OpenCV does not write into NumPy's memmap class

        def decoded(decode: Decode, number: int, content: bytes) -> tuple[int, str] | None:
            row = rows.pop(number)  # threads share the dict: of each number one pops it, which needs no lock
            partition.numbers[row] = -1  # before the first pixel changes: see Partition.put
            try:
                decode(content, images[row])
            except BadImageError as error:
                return number, str(error)
            partition.numbers[row] = number
            return None

        # By number, hence by place in a tar: neighbours come in one request.
        found = self._on_threads(decoded, self.reader.read(sorted(rows)), threads)
        bad = [one for one in found if one is not None]
        if rows:
            raise DataError(f"{self.reader.address(min(rows))} was not read")
        return bad

    def _on_threads(
        self,
        function: Callable[[Decode, int, bytes], tuple[int, str] | None],
        items: Iterable[tuple[int, bytes]],
        threads: int,
    ) -> Iterator[tuple[int, str] | None]:
        """Yield function(decode, number, content) of each item in order, with one `decode` for each thread."""
        if threads == 1:
            decode = self.decoder()
            yield from (function(decode, *item) for item in items)
            return
        free: queue.SimpleQueue[Decode] = queue.SimpleQueue()
        for _ in range(threads):
            free.put(self.decoder())

        def work(number: int, content: bytes) -> tuple[int, str] | None:
            decode = free.get()
            try:
                return function(decode, number, content)
            finally:
                free.put(decode)

        waiting: deque[Future[tuple[int, str] | None]] = deque()
        with ThreadPoolExecutor(threads, thread_name_prefix="dask-jobs-decode") as pool:
            for item in items:
                if len(waiting) >= 2 * threads:  # what was read and not decoded takes little memory
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, *item))
            while waiting:
                yield waiting.popleft().result()

    def remake(self, partition: Partition, wanted: NDArray[np.int64], threads: int = 1) -> None:
        """Make the images of a partition that are not there, all of which could be used before.

        Raises:
            DataError: one cannot be used now.
        """
        for number, reason in self.fill(partition, wanted, threads):
            raise DataError(f"{self.reader.address(number)} was read before, and cannot be now: {reason}")
