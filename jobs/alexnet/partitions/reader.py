"""Images in tars, read by number."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jobs.alexnet.tars import Index
from jobs.alexnet.tars.reading import Reader
from jobs.storage import Storage


class TarReader:
    """The images of an index; opened in each process that reads.

    Args:
        index: the images.
        storage: of their tars.
    """

    def __init__(self, index: Index, storage: Storage) -> None:
        self._index, self._storage = index, storage
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._reader: Reader | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_index": self._index, "_storage": self._storage, "_folder": None, "_reader": None}

    def begin(self, scratch: str) -> None:
        """Get ready to read in this process, with a folder for compressed tars that are unpacked."""
        self._folder = tempfile.TemporaryDirectory(prefix="dask-jobs-tars-", dir=scratch)
        self._reader = Reader(self._storage, Path(self._folder.name)).__enter__()

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield (number, content of the file) of each image.

        Raises:
            InputError, DataError: a tar has changed, or is damaged.
            ClusterError: the storage cannot be reached.
        """
        assert self._reader is not None
        for image in self._reader.read(self._index.members(numbers)):
            yield image.number, image.data

    def address(self, number: int) -> str:
        """Return an image's tar and its name there."""
        return self._index.address(number)

    def close(self) -> None:
        """End the threads, and delete what was unpacked."""
        if self._reader is not None and self._folder is not None:
            self._reader.__exit__()
            self._folder.cleanup()
