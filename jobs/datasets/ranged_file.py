"""One file of a data set, plain or .gz, on any storage."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jobs.datasets.readers import Decompressor, Window, decompressed_size
from jobs.storage import Storage

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MAX_CURSORS = 4  # features and labels of a training and a test set
_cursors: OrderedDict[File, Decompressor | Window] = OrderedDict()
_cursors_lock = threading.Lock()


@dataclass(frozen=True)
class File:
    """A file as it was when it was opened; a changed file is unequal, so that no cursor of the old one is used for it.

    Attributes:
        size: bytes of content, after decompression.
        fingerprint: of the bytes as stored.
        part: the part that is read; parts of one file are read independently of each other, by cursors of their own.
    """

    storage: Storage
    name: str
    size: int
    fingerprint: str
    part: str = ""

    @property
    def address(self) -> str:
        """Path or URL."""
        return self.storage.address(self.name)

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes start..stop-1 of the content, fewer if the file has become shorter.

        For .gz files and S3 the process caches a cursor where the last read ended, and a read that starts there or a
        little after it is cheap; cursors of the last four files that were not read to their end are cached.

        Raises:
            FileNotFoundError: the file was deleted.
            DataError: a .gz file is damaged.
        """
        if not (_is_gzip(self.name) or self.storage.read_ahead):
            return self.storage.read_range(self.name, start, stop)
        # Held while reading, too: a cursor has one position. Loading is serial anyway, see `Shard`.
        with _cursors_lock:
            cursor = _cursors.pop(self, None) or self._cursor()
            data = cursor.read(start, stop)
            if stop < self.size:
                _cursors[self] = cursor
            if len(_cursors) > _MAX_CURSORS:
                _cursors.popitem(last=False)
        return data

    def _cursor(self) -> Decompressor | Window:
        if _is_gzip(self.name):
            return Decompressor(lambda: self.storage.stream(self.name), self.address)
        return Window(self.storage, self.name, self.size)


def open_file(storage: Storage, name: str) -> File:
    """Return the file `name` with its size and fingerprint; a .gz file is decompressed once for that.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: a .gz file is truncated or damaged.
    """
    size = decompressed_size(storage, name) if _is_gzip(name) else storage.size(name)
    return File(storage, name, size, storage.fingerprint(name))


def _is_gzip(name: str) -> bool:
    return name.endswith(".gz")


class Ranged(Protocol):
    """What is read by ranges: a `File`, or a file of a table."""

    @property
    def size(self) -> int:
        """Bytes of content."""

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes start..stop-1 of the content."""


class SeekableFile(io.RawIOBase):
    """What is read by ranges with the seekable interface that zipfile and PyArrow require."""

    def __init__(self, file: Ranged) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Set the position, and return it."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        self._position = max(origin + offset, 0)  # a damaged file has negative offsets
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer from the position on, and return how many bytes there were."""
        target = memoryview(buffer)
        data = self._file.read(self._position, min(self._position + len(target), self._file.size))
        target[: len(data)] = data
        self._position += len(data)
        return len(data)
