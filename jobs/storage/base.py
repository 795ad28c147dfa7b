"""The interface of a storage: a folder of files, local or in S3.

`jobs.storage.open_storage(url)` gives a `Storage`; names in it are relative, with `/` between their parts, and never
lead out of the folder: see `is_plain`. A `Storage` is cheap to make, can be pickled, and touches neither disk nor
network before its first method. Errors are those of `jobs.errors`: `InputError` for a permanent failure (no access, no
such bucket), `ClusterError` for one where a retry may succeed (no space, no connection), and `FileNotFoundError` for a
name that does not exist.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Self, TypeAlias

from jobs.errors import ClusterError, DataError, InputError, JobError, argument

if TYPE_CHECKING:
    from typing_extensions import Buffer

MIB = 2**20
TEMPORARY = ".tmp-"
"""Prefix of the last part of names that are not listed: files that are not complete yet."""
AGAIN = "then give the same command again: it goes on from what is stored"
"""The remedy after a storage's failure in the midst of a job."""
_EDGE = 2**16
Names: TypeAlias = list[str]  # inside a class with a method `list`, `list[str]` means the method
Stamp: TypeAlias = tuple[int, str]
"""A file's size in bytes, and its time or in S3 its ETag: another one after each write."""


@dataclass(frozen=True)
class Access:
    """How a store in S3 is reached, where that differs from what the AWS_ variables say.

    Attributes:
        endpoint: the store's URL; "" for the variables'.
        anonymous: whether requests are not signed, as for a public bucket; no credentials are needed then.
    """

    endpoint: str = ""
    anonymous: bool = False


DEFAULT_ACCESS = Access()


def is_plain(name: str) -> bool:
    """Return whether a name is of plain parts, none of them empty, `.` or `..`: then it lies below its folder."""
    return is_path(name) and all(part not in ("", ".", "..") for part in name.split("/"))


def is_path(text: str) -> bool:
    """Return whether a text may be a path: NUL ends one, and not all that Python takes for a character has bytes."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def changed(address: str) -> DataError:
    """Return the error for a file that is another one by now."""
    return DataError(f"{address} was written since it was first looked at; bring the old file back, or begin a new run")


@dataclass(frozen=True)
class Storage(ABC):
    """A folder of files at `url`; every method may raise `InputError` or `ClusterError`, see the module.

    A name that is not plain is an `InputError`, wherever it came from; so is a prefix that no plain name starts with.

    Any number of threads and processes may use one storage; equal URLs (in S3 with equal access) make equal storages.
    """

    url: str
    read_ahead: ClassVar[int] = 0
    """How many bytes are worth asking for at once; 0 where small reads cost nothing."""

    def address(self, name: str) -> str:
        """Return the full path or URL of `name`, for messages."""
        return f"{self.url.rstrip('/')}/{name}"

    def checked(self, name: str, *, prefix: bool = False) -> str:
        """Return a method's argument `name`, after checking that it is plain, or as a prefix one of a plain name.

        Raises:
            InputError: it may lead out of the folder.
        """
        if not is_plain(f"{name}x" if prefix else name):
            raise InputError(
                f"{self.url}: {name!r} is no name of a file in it; a name is relative, no part of it empty, '.' or '..'"
            )
        return name

    def check_inside(self, name: str) -> None:  # noqa: B027  not all storages have links
        """Check that `name` lies in this folder, not behind a link below it; only the folder itself may be one.

        Raises:
            InputError: it or a folder that it is in is a symbolic link.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return all bytes of `name`; raises FileNotFoundError if it does not exist."""

    @abstractmethod
    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Return bytes start..stop-1 of `name` with one request, fewer only if the file ends before `stop`.

        Raises:
            FileNotFoundError: `name` does not exist (an empty range is not looked up).
        """

    @abstractmethod
    def read_unchanged(self, name: str, stamp: Stamp, start: int, stop: int) -> bytes:
        """Return bytes start..stop-1 of `name`, all of them and all of the file that had `stamp`.

        Raises:
            FileNotFoundError: `name` does not exist any more (an empty range is not looked up).
            DataError: it was written since.
        """

    @abstractmethod
    def size(self, name: str) -> int:
        """Return the size of `name` in bytes; raises FileNotFoundError if it does not exist."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Return whether there is a file `name`; a folder is not one."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Store `data` as `name`, atomically: readers see the old file or the new one, never a part."""

    @abstractmethod
    def write_file(self, name: str, path: Path) -> None:
        """Store a file of this machine as `name`, atomically, without holding its content in memory."""

    def write_chunks(self, name: str, chunks: Iterable[bytes]) -> None:
        """Store chunks as `name`, atomically, with one in memory at a time; what they raise leaves `name` as it was."""
        with tempfile.NamedTemporaryFile(prefix="dask-jobs-") as file:
            for chunk in chunks:
                try:
                    file.write(chunk)
                    file.flush()
                except OSError as error:
                    raise ClusterError(f"{self.address(name)}: {file.name}: {error.strerror}; make space") from error
            self.write_file(name, Path(file.name))

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Store `data` as `name` unless that exists, and return whether it was stored; of many callers one gets True.

        Readers may see an empty file before they see all of it, where a local file system has no hard links.
        Where a request was retried because its reply was lost, that caller may get False as well.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove the file `name`; a missing one is not an error."""

    @abstractmethod
    def append_log(self, name: str) -> LogWriter:
        """Open the log `name` to append to it, after what it holds; one writer at a time may have it open."""

    @abstractmethod
    def read_log(self, name: str) -> BinaryIO:
        """Return the log `name` as one stream, read in bounded pieces; an empty one if there is no such log."""

    @abstractmethod
    def delete_log(self, name: str) -> None:
        """Remove the log `name`; a missing one is not an error."""

    @abstractmethod
    def list(self, prefix: str = "") -> Names:
        """Return the names of all files, also in subfolders, that start with `prefix`, sorted; those that are plain."""

    @abstractmethod
    def folders(self) -> Names:
        """Return the plain names of the folders directly in this one that hold something, sorted."""

    def stream(self, name: str, start: int = 0, chunk: int = 8 * MIB) -> Generator[bytes]:
        """Yield the bytes of `name` from `start` to its end, `chunk` at a time, the last piece shorter.

        Raises:
            FileNotFoundError: `name` does not exist; raised when the first piece is asked for.
        """
        data = self.read_range(name, start, start + chunk)
        while data:
            yield data
            start += len(data)
            # A short one was the last.
            data = self.read_range(name, start, start + chunk) if len(data) == chunk else b""

    def fingerprint(self, name: str) -> str:
        """Return 32 hex digits (BLAKE2b) of the size and the first and last 64 KiB of `name`, without its time.

        Raises:
            FileNotFoundError: `name` does not exist.
        """
        size = self.size(name)
        digest = hashlib.blake2b(str(size).encode(), digest_size=16)
        digest.update(self.read_range(name, 0, _EDGE))
        # From the end of the first on: in a small file the range is empty, and asks for nothing.
        digest.update(self.read_range(name, max(size - _EDGE, _EDGE), size))
        return digest.hexdigest()

    @abstractmethod
    def stamp(self, name: str) -> Stamp:
        """Return the size of `name` in bytes and its time, or in S3 its ETag, which change with each write.

        Raises:
            FileNotFoundError: `name` does not exist.
        """

    def check_writable(self) -> None:
        """Create a small file in the folder, made if need be, once and not twice, and remove what was made.

        Raises:
            InputError: that is not allowed, or `create` replaces a file; the message names the argument `run`.
            ClusterError: there is no space, or no connection.
        """
        probe = TEMPORARY + secrets.token_hex(8)  # a name of its own: another driver may be checking the folder
        try:
            self.create(probe, b"probe")
            twice = self.create(probe, b"probe")
            self.delete(probe)
        except InputError as error:
            raise InputError(f"{argument('run')} {self.url}: no write access ({error})") from error
        if twice:
            raise InputError(
                f"{argument('run')} {self.url}: the store writes over a file that must be new (it ignores"
                " If-None-Match), so two drivers could take one attempt's number; use another store"
            )


class LogWriter(ABC):
    """Appends records to one log; a context manager that closes the log, even after an error.

    What was appended is stored durably by `flush`, or within half a minute.

    What it raises is a `ClusterError` that names the log. Records appended before stay readable; the one that failed
    may be there in part, so a log's reader must be able to drop a torn end.
    """

    @abstractmethod
    def append(self, data: bytes) -> None:
        """Add `data` to the end of the log."""

    @abstractmethod
    def flush(self) -> None:
        """Return when all that was appended is stored durably."""

    @abstractmethod
    def close(self) -> None:
        """Flush and close the log; closing it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an error of the block: that one is raised, not the one of closing, which often has the same cause.
        with contextlib.suppress(*([JobError] if error else [])):
            self.close()


class _ChunkReader(io.RawIOBase):
    """The chunks of a generator, one after the other, as an unbuffered file."""

    def __init__(self, chunks: Generator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        self._rest = self._rest or memoryview(next(self._chunks, b""))  # b"" at the end, which is a file's end too
        target = memoryview(buffer)
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        self._chunks.close()
        super().close()


def as_file(chunks: Generator[bytes]) -> io.BufferedReader:
    """Return a file to read the bytes that `chunks` yields; it holds one chunk at a time."""
    return io.BufferedReader(_ChunkReader(chunks))
