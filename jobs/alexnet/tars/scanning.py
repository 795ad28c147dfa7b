"""What a tar holds, from its headers: the work of one task, on any worker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.tars.headers import GZIP_ENDS, Bytes, Member, Tar, open_tar, read_members
from jobs.errors import DataError
from jobs.formatting import binary_bytes, given
from jobs.storage import MIB, Storage

IMAGES = frozenset(("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm"))
"""Extensions of members that are loaded; which format one has, its bytes decide."""
_MAX_IMAGE = 256 * MIB
_MAX_NAME = 1024
_MAX_DEPTH = 2
"""Tars that may lie in each other within a tar."""


@dataclass(frozen=True)
class Span:
    """A tar in a storage, or one within that, which is scanned by a task of its own.

    Attributes:
        tar: the one in the storage.
        start: the first byte in it.
        stop: the byte after the last one; None: the end, which of a compressed one is unknown.
        within: names of the tars between, `inner.tar/`.
        depth: number of the tars between.
    """

    tar: Tar
    start: int = 0
    stop: int | None = None
    within: str = ""
    depth: int = 0


@dataclass(frozen=True, eq=False)
class Scan:
    """The images of one span, in the order in which they lie there, without those of the tars in it.

    Attributes:
        tar: the one in the storage.
        names: in UTF-8, each ended by a NUL; those of inner tars with the inner tar's before them.
        offsets: the first byte of each in the tar, after decompression (int64).
        sizes: bytes of each (int64).
        inner: the tars in it, still to be scanned.
        content: bytes of the tar after decompression; of a part of it 0.
        others: number of members that are no images by their names.
        example: the name of one.
    """

    tar: Tar
    names: bytes
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    inner: tuple[Span, ...] = ()
    content: int = 0
    others: int = 0
    example: str = ""


def first_span(storage: Storage, name: str) -> Span:
    """Return the span of a whole tar as it is now.

    Raises:
        DataError: it does not exist any more.
    """
    try:
        tar = Tar(name, storage.stamp(name))
    except FileNotFoundError as error:
        raise _gone(storage, name) from error
    return Span(tar, 0, None if tar.is_gzip else tar.stamp[0])


def _gone(storage: Storage, name: str) -> DataError:
    return DataError(f"tar {storage.address(name)} was deleted; bring it back, or begin a new run")


def scan(storage: Storage, span: Span) -> Scan:
    """Return what a span holds, by reading its headers; of a compressed tar all is read, inner tars included.

    Raises:
        DataError: it is no tar, empty, cut short or damaged, was changed, or a member has a bad name or size.
        InputError, ClusterError: as of the storage.
    """
    found = _Found(storage, span.tar, open_tar(storage, span.tar))
    try:
        found.add(span)
        content = found.read_to_end() if span.tar.is_gzip else span.tar.stamp[0] * (not span.within)
    except FileNotFoundError as error:
        raise _gone(storage, span.tar.name) from error
    return Scan(
        span.tar,
        # As tarfile decoded them: a name that is not UTF-8 keeps its bytes.
        "".join(f"{name}\0" for name in found.names).encode("utf-8", "surrogateescape"),
        np.array(found.offsets, np.int64),
        np.array(found.sizes, np.int64),
        tuple(found.inner),
        content,
        found.others,
        found.example,
    )


class _Found:
    """Collects the members of a tar."""

    def __init__(self, storage: Storage, tar: Tar, content: Bytes) -> None:
        self.names: list[str] = []
        self.offsets: list[int] = []
        self.sizes: list[int] = []
        self.inner: list[Span] = []
        self.others, self.example = 0, ""
        self._tar, self._content = tar, content
        self._address = f"tar {storage.address(tar.name)}"

    def add(self, span: Span) -> None:
        """Add the members of a span.

        Raises:
            DataError: see `scan`.
        """
        address = f"{self._address}/{span.within}".rstrip("/")
        count = 0
        for member in read_members(self._content, span.start, span.stop, address):
            self._add_member(member, _plain(member.name, address), span, address)
            count += 1
        if not count:
            raise DataError(f"{address} has no members; get it again, or remove it")

    def _add_member(self, member: Member, name: str, span: Span, address: str) -> None:
        base = name.rpartition("/")[2]
        kind = base.rpartition(".")[2].lower() if "." in base else ""
        if base.startswith("._"):  # what macOS packs beside each file: its attributes, under the file's own extension
            kind = ""
        if kind in IMAGES and member.link:
            raise DataError(
                f"{address}: {name!r} is a hard link to {member.link!r}; pack the tar again, by --hard-dereference"
            )
        if not member.is_file:
            self.others, self.example = self.others + 1, self.example or name
        elif kind == "tar":
            inner = f"{span.within}{name}/"
            self._add_inner(Span(self._tar, member.offset, member.offset + member.size, inner, span.depth + 1))
        elif base.lower().endswith(GZIP_ENDS):
            raise DataError(f"{address}: {name!r} is a compressed tar within a tar; unpack it, and give it by itself")
        elif kind not in IMAGES:
            self.others, self.example = self.others + 1, self.example or name
        elif member.size > _MAX_IMAGE:
            size = binary_bytes(member.size)
            raise DataError(f"{address}: {name!r} is {size}, but an image has at most {binary_bytes(_MAX_IMAGE)}")
        else:
            self.names.append(span.within + name)
            self.offsets.append(member.offset)
            self.sizes.append(member.size)

    def _add_inner(self, span: Span) -> None:
        if span.depth > _MAX_DEPTH:
            raise DataError(f"{self._address}: {span.within[:-1]!r} is a tar in a tar in a tar; unpack it")
        if self._tar.is_gzip:
            self.add(span)
        else:
            self.inner.append(span)

    def read_to_end(self) -> int:
        """Return the content's size; a compressed tar has a checksum at its end."""
        end = self._content.position
        while data := self._content.read(end, end + MIB):
            end += len(data)
        return end


def _plain(name: str, address: str) -> str:
    """Return a member's name without empty and `.` parts.

    Raises:
        DataError: it is absolute or leads out of its folder, or has no name.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or not parts or "\0" in name or len(name) > _MAX_NAME:
        raise DataError(
            f"{address}: {given(name)} is no name of a member; it must be relative, without '..', and have at most "
            f"{_MAX_NAME:,} letters; pack the tar again"
        )
    return "/".join(parts)
