"""Reading ranges of one file in ascending order: .gz files in one pass, files in S3 with few requests."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Callable, Generator, Iterator

from jobs.errors import DataError
from jobs.storage import MIB, Storage, as_file


class Window:
    """A read-ahead buffer: requests `storage.read_ahead` bytes at once and keeps what was not returned yet."""

    def __init__(self, storage: Storage, name: str, size: int) -> None:
        """Open `name`, which has `size` bytes, without reading."""
        self._storage, self._name, self._size = storage, name, size
        self._start, self._data = 0, b""

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes start..stop-1, fewer if the file has become shorter."""
        end = self._start + len(self._data)
        if not self._start <= start <= end:
            self._start, self._data, end = start, b"", start
        if stop > end:
            ahead = min(max(stop, end + self._storage.read_ahead), self._size)
            self._data = self._data[start - self._start :] + self._storage.read_range(self._name, end, ahead)
            self._start = start
        return self._data[start - self._start : stop - self._start]


class Decompressor:
    """Decompresses a .gz file forwards; a seek backwards rewinds to its beginning.

    Args:
        stream: yields its bytes as stored, from the beginning; called again by each rewind.
        address: the file's, for messages.

    Attributes:
        position: the byte of the content after the last one that was read.
    """

    def __init__(self, stream: Callable[[], Generator[bytes]], address: str) -> None:
        self._stream, self._address = stream, address
        self._rewind()

    def _rewind(self) -> None:
        self._file = gzip.GzipFile(fileobj=as_file(self._stream()))
        self.position = 0

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes start..stop-1 of the content, fewer at its end."""
        if start < self.position:
            self._rewind()
        with _translate_errors(self._address):
            while self.position < start and self._skip(start - self.position):
                pass
            data = self._file.read(stop - start)
        self.position += len(data)
        return data

    def _skip(self, count: int) -> int:
        """Skip at most `count` bytes; return how many, 0 at the end."""
        skipped = len(self._file.read(min(count, MIB)))
        self.position += skipped
        return skipped


def decompressed_size(storage: Storage, name: str) -> int:
    """Return the size in bytes of the content of a .gz file, by decompressing it once, a MiB at a time.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it is truncated, damaged, or not a .gz file.
    """
    size = 0  # counted: the size in a .gz file's trailer is modulo 2**32, and of its last member alone
    with _translate_errors(storage.address(name)), gzip.GzipFile(fileobj=as_file(storage.stream(name))) as file:
        while data := file.read(MIB):
            size += len(data)
    return size


@contextlib.contextmanager
def _translate_errors(address: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{address}: not a complete .gz file ({error}); get it again") from error
