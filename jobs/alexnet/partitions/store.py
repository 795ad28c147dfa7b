"""The decoded images of one process, by partition: in memory, or beyond a limit in files on its scratch disk."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.errors import ClusterError, argument
from jobs.formatting import decimal_bytes

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Partition:
    """Images that are kept together.

    Attributes:
        images: (n, side, side, 3) uint8.
        numbers: (n,) int64, which they are; -1: not there yet.
    """

    images: Pixels
    numbers: Numbers

    def taken(self, rows: Numbers) -> tuple[Pixels, Numbers]:
        """Return a copy of some rows: images and their numbers."""
        return self.images[rows], self.numbers[rows]

    def put(self, rows: Numbers, images: Pixels, numbers: Numbers) -> None:
        """Set some rows."""
        # Not a number before its image: a row whose number is right is taken for complete.
        self.numbers[rows] = -1
        self.images[rows] = images
        self.numbers[rows] = numbers


def exchange(first: Partition, rows: Numbers, second: Partition, others: Numbers) -> None:
    """Exchange rows of one partition for others of another, as many."""
    mine, its = first.taken(rows), second.taken(others)
    first.put(rows, *its)
    second.put(others, *mine)


class Store:
    """Partitions by number; may be used by several threads.

    Args:
        side: pixels of an image's side.
        memory: bytes that partitions may take in memory.
        scratch: the folder below which a folder is made for those beyond.
    """

    def __init__(self, side: int, memory: float, scratch: str | None = None) -> None:
        self._side, self._memory, self._scratch = side, memory, scratch
        self._held: dict[int, Partition] = {}
        self._used = 0
        self._folder: Path | None = None
        self._lock = threading.Lock()

    def make(self, number: int, count: int) -> Partition:
        """Return room for a partition, of which no image is there yet; it replaces one of the same number."""
        shape = (count, self._side, self._side, 3)
        size = int(np.prod(shape))
        with self._lock:
            self._drop(number)
            images: Pixels
            # An empty file cannot be mapped: a partition without images is always in memory.
            if not size or self._used + size <= self._memory:
                images = np.empty(shape, np.uint8)
                self._used += size
            else:
                images = np.memmap(self._allocated(number, size), np.uint8, "r+", shape=shape)
            self._held[number] = Partition(images, np.full(count, -1, np.int64))
            return self._held[number]

    def get(self, number: int) -> Partition | None:
        """Return a partition, None if it is not here."""
        return self._held.get(number)  # without the lock: one look into a dict

    def drop(self, number: int) -> None:
        """Free a partition, if it is here."""
        with self._lock:
            self._drop(number)

    def _drop(self, number: int) -> None:
        if (old := self._held.pop(number, None)) is None:
            return
        if isinstance(old.images, np.memmap):
            self._file(number).unlink()  # a reader goes on: a map keeps the file's bytes
        else:
            self._used -= old.images.nbytes

    def numbers(self) -> list[int]:
        """Return which partitions are here, in ascending order."""
        return sorted(self._held)

    def _file(self, number: int) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="dask-jobs-images-", dir=self._scratch))
        return self._folder / str(number)

    def _allocated(self, number: int, size: int) -> Path:
        """Return a file with so many bytes on the disk: a write to a map of one that is not full ends the process."""
        path = self._file(number)
        try:
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise ClusterError(
                f"{path}: no room for {decimal_bytes(size)} of images ({error.strerror or error}); give the workers "
                f"more scratch space, or more {argument('memory')}"
            ) from error
        return path

    def close(self) -> None:
        """Free all, and delete the files."""
        with self._lock:
            self._held.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)  # maps of its files stay valid while a reader has one
