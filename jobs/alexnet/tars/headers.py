"""The headers of a tar, from ranged reads that skip the bodies; the format itself is the standard library's."""

from __future__ import annotations

import tarfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

from jobs.datasets.readers import Decompressor
from jobs.errors import DataError
from jobs.formatting import one_line
from jobs.storage import MIB, Stamp, Storage

BLOCK = tarfile.BLOCKSIZE
GZIP_ENDS = (".tar.gz", ".tgz")
TAR_ENDS = (".tar", *GZIP_ENDS)
"""How names of tars end."""
OTHER_ENDS = (".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.lz4")
"""How names of tars end that cannot be read."""
_MAX_HEADER = 2**14
"""Bytes of a long name or a pax header; `tarfile` searches one in time that grows with its square."""
_JUMP = 2**16
"""Bytes that are read at a header that lies far from the last one."""
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip file; unpack it, and pack its images as a tar",
    b"PK\x05\x06": "an empty zip file; give a tar",
    b"\x1f\x8b": "compressed by gzip; name it .tar.gz",
    b"BZh": "compressed by bzip2; decompress it",
    b"\xfd7zXZ": "compressed by xz; decompress it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; decompress it",
    b"Rar!": "a rar file; unpack it, and pack its images as a tar",
    b"7z\xbc\xaf": "a 7z file; unpack it, and pack its images as a tar",
    b"<": "HTML or XML, such as a server's error page; download it again",
}


@dataclass(frozen=True)
class Tar:
    """A tar of a storage, as it was when it was indexed.

    Attributes:
        name: in the storage.
        stamp: size in bytes as stored, and time or ETag.
    """

    name: str
    stamp: Stamp

    @property
    def is_gzip(self) -> bool:
        """Whether it is compressed, so that it can only be read from its start."""
        return self.name.lower().endswith(GZIP_ENDS)


class Bytes(Protocol):
    """The content of a tar, after decompression."""

    @property
    def position(self) -> int:
        """The byte after the last one that was read."""

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes start..stop-1, fewer at the end."""


def open_tar(storage: Storage, tar: Tar) -> Bytes:
    """Return a tar's content, to be read in ascending order; what it raises is as of `Storage.read_unchanged`."""
    if tar.is_gzip:
        return _LookBack(Decompressor(lambda: stream_unchanged(storage, tar), storage.address(tar.name)))
    return _ReadAhead(storage, tar)


def stream_unchanged(storage: Storage, tar: Tar) -> Generator[bytes]:
    """Yield all bytes of a tar as stored, a few MiB at a time."""
    for start in range(0, tar.stamp[0], 8 * MIB):
        yield storage.read_unchanged(tar.name, tar.stamp, start, min(start + 8 * MIB, tar.stamp[0]))


class _ReadAhead:
    """A tar that is not compressed; bodies below 1 MiB are read with their headers, larger ones are skipped.

    A request takes as long as a MiB or two. So where images are small, reading all is faster than a request for each.
    """

    def __init__(self, storage: Storage, tar: Tar) -> None:
        self._storage, self._tar = storage, tar
        self._start, self._data, self._last = 0, b"", 0

    @property
    def position(self) -> int:
        """See `Bytes.position`."""
        return self._last

    def read(self, start: int, stop: int) -> bytes:
        """See `Bytes.read`."""
        stop = min(stop, self._tar.stamp[0])
        if not self._start <= start <= stop <= self._start + len(self._data):
            # Far from the last one: bodies are large, and what was read ahead of a header would be dropped.
            near = start - self._last <= MIB
            ahead = self._storage.read_ahead if near else min(self._storage.read_ahead, _JUMP)
            end = min(max(stop, start + ahead), self._tar.stamp[0])
            self._data = self._storage.read_unchanged(self._tar.name, self._tar.stamp, start, end)
            self._start = start
        self._last = max(start, stop)
        return self._data[start - self._start : stop - self._start]


class _LookBack:
    """A compressed tar, of which what was read last may be read again: headers are, and a rewind is a new pass."""

    def __init__(self, content: Decompressor) -> None:
        self._content, self._start, self._data = content, 0, b""

    @property
    def position(self) -> int:
        """See `Bytes.position`."""
        return self._content.position

    def read(self, start: int, stop: int) -> bytes:
        """See `Bytes.read`."""
        if not self._start <= start <= stop <= self._start + len(self._data):
            self._start, self._data = start, self._content.read(start, stop)
        return self._data[start - self._start : stop - self._start]


class _File:
    """What `tarfile` reads headers from: bytes start..stop-1 of a tar, a tar themselves."""

    def __init__(self, content: Bytes, start: int, stop: int | None) -> None:
        self._content, self._start, self._stop = content, start, stop
        self._position = start

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HEADER:  # a damaged size; -1 would read all
            raise tarfile.HeaderError(f"a header of {size:,} bytes")
        end = self._position + size if self._stop is None else min(self._position + size, self._stop)
        data = self._content.read(self._position, end)
        self._position += len(data)
        return data

    def seek(self, position: int) -> None:
        self._position = self._start + position

    def tell(self) -> int:
        return self._position - self._start


@dataclass(frozen=True)
class Member:
    """A file in a tar: its name as packed, its first byte, from the tar's start, and its size in bytes.

    Attributes:
        is_file: whether it is a regular file, no link or device.
        link: of a hard link the file's name.
    """

    name: str
    offset: int
    size: int
    is_file: bool = True
    link: str = ""


def read_members(content: Bytes, start: int, stop: int | None, address: str) -> Iterator[Member]:
    """Yield all members of a tar but folders.

    Args:
        content: what the tar lies in.
        start: its first byte there.
        stop: the byte after its last one; None: unknown, `content` ends there.
        address: the tar's, for messages.

    Raises:
        DataError: it is no tar, is cut short or damaged, or has a file that is stored with holes.
    """
    _check_format(content.read(start, start + BLOCK if stop is None else min(start + BLOCK, stop)), address)
    for info in _headers(_File(content, start, stop), address):
        end = start + info.offset_data + info.size
        if info.issparse():
            raise DataError(f"{address}: {info.name!r} is a sparse file; pack the tar again without that")
        if stop is not None and info.isreg() and end > stop:
            raise DataError(
                f"{address}: cut short: {info.name!r} ends at byte {end:,}, but the tar at byte {stop:,}; get it again"
            )
        if not info.isdir():
            link = info.linkname if info.islnk() else ""
            yield Member(info.name, start + info.offset_data, info.size, info.isreg(), link)


def _headers(file: _File, address: str) -> Iterator[tarfile.TarInfo]:
    """Yield all headers.

    `tarfile`'s own iteration takes a damaged header, and a missing end, for the end: here both are errors.
    """
    end = 0
    try:
        tar = tarfile.TarFile(fileobj=file, encoding="utf-8")  # type: ignore[arg-type]  # it reads, seeks and tells
        info = tar.next()
        while info is not None:
            end = info.offset_data + -(-info.size // BLOCK) * BLOCK
            # A pax header may name another size than the block: what tarfile skips must be what is read as the body.
            if info.size < 0 or (info.isreg() and not info.issparse() and tar.offset != end):
                raise tarfile.HeaderError(f"a size of {info.size:,} bytes")
            yield info
            end = tar.offset
            file.seek(end)
            # One empty block is taken for the end, where the format has two: some programs write only one.
            if (head := file.read(BLOCK)) == bytes(BLOCK):
                _check_end(file, address, end)
                return
            if len(head) < BLOCK:
                raise DataError(f"{address}: cut short: it ends at byte {end:,} without a tar's end; get it again")
            file.seek(end)
            info = tarfile.TarInfo.fromtarfile(tar)  # not `next`, for which a damaged header is the end
    except (tarfile.TarError, ValueError, IndexError, OverflowError, RecursionError) as error:
        raise DataError(f"{address}: damaged: no header at byte {end:,} ({one_line(error)}); get it again") from error


def _check_end(file: _File, address: str, end: int) -> None:
    """Check that nothing follows the end of a tar but the zeros that fill its last record.

    Raises:
        DataError: another tar does.
    """
    if any(file.read(tarfile.RECORDSIZE)):
        raise DataError(
            f"{address}: goes on after its end at byte {end:,}, as tars that were joined by cat do; join them by "
            "tar --concatenate, or give each by itself"
        )


def _check_format(head: bytes, address: str) -> None:
    """Check that a tar may begin by `head`.

    Raises:
        DataError: it is empty, or a file of another kind.
    """
    if not head:
        raise DataError(f"{address} is empty; get it again")
    for magic, what in _OTHER_FORMATS.items():
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(magic) and not _has_checksum(head):
            raise DataError(f"{address} is no tar, but {what}")
    if any(head) and not _has_checksum(head):
        raise DataError(f"{address} is no tar: it begins with {head[:16]!r}; give a tar of images")


def _has_checksum(head: bytes) -> bool:
    """Return whether a block is a tar's header: a name may begin as another format does, `BZhang.jpg`."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True
