"""The images of all tars and where they lie, as arrays: built once per run, kept in its folder."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jobs.alexnet.tars.headers import Tar
from jobs.errors import DAMAGED, DataError, InputError
from jobs.formatting import error_line
from jobs.npy import read_arrays
from jobs.sharding.blocks import Run
from jobs.storage import Storage

NAME = "index.npz"
_AT_ONCE = 1024
"""Names that are cut at a time: each takes five times as much memory meanwhile."""


@dataclass(frozen=True)
class Partition:
    """Images start..stop-1 of an index, neighbours in one tar.

    Attributes:
        tar: the tar's place in the index.
    """

    tar: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Members:
    """Some images of one tar: all that is needed to read them, without the index.

    Attributes:
        tar: where they lie.
        content: the tar's bytes after decompression.
        numbers: each one's number in the index (int64), ascending.
        names: each one's name in the tar.
        offsets: each one's first byte in the tar, after decompression (int64).
        sizes: each one's bytes (int64).
    """

    tar: Tar
    content: int
    numbers: NDArray[np.int64]
    names: tuple[str, ...]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Index:
    """All images of some tars, numbered by tar and place in it: the same numbers for any number of workers.

    Attributes:
        url: the storage of the tars.
        tars: by name.
        starts: the number of each tar's first image, and that of all (int64, tars + 1).
        contents: bytes of each tar after decompression (int64, tars).
        offsets: each image's first byte in its tar, after decompression (int64).
        sizes: each image's bytes (int64).
        names: each image's name in its tar, in UTF-8, ended by a NUL.
        others: number of members that were left out, as they are no images by their names.
        example: the name of one.
        prefix: with which the tars' names begin.
    """

    url: str
    tars: tuple[Tar, ...]
    starts: NDArray[np.int64]
    contents: NDArray[np.int64]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    names: bytes
    others: int = 0
    example: str = ""
    prefix: str = ""

    def __len__(self) -> int:
        return len(self.offsets)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Where each name ends (int64)."""
        return np.flatnonzero(np.frombuffer(self.names, np.uint8) == 0)

    def name(self, number: int) -> str:
        """Return an image's name in its tar."""
        start = self._ends[number - 1] + 1 if number else 0
        return self.names[start : self._ends[number]].decode("utf-8", "surrogateescape")

    def address(self, number: int) -> str:
        """Return an image's tar and its name there, for messages."""
        tar = self.tars[int(np.searchsorted(self.starts, number, "right")) - 1]
        return f"{self.url.rstrip('/')}/{tar.name}/{self.name(number)}"

    def base_names(self) -> NDArray[np.bytes_]:
        """Return each image's name without folders, in UTF-8 (bytes of the longest's length)."""
        stops = (self._ends[_AT_ONCE - 1 :: _AT_ONCE] + 1).tolist()
        pieces = (self.names[start:stop] for start, stop in itertools.pairwise([0, *stops, len(self.names)]))
        return np.concatenate(
            [np.array([name.rpartition(b"/")[2] for name in piece.split(b"\0")[:-1]], np.bytes_) for piece in pieces]
        )

    def members(self, numbers: ArrayLike) -> list[Members]:
        """Return the images of these numbers, tar by tar, each once, in ascending order."""
        wanted = np.unique(np.asarray(numbers, np.int64))
        cuts = np.searchsorted(wanted, self.starts)
        return [
            self._members(tar, wanted[start:stop])
            for tar, (start, stop) in enumerate(itertools.pairwise(cuts))
            if start < stop
        ]

    def _members(self, tar: int, numbers: NDArray[np.int64]) -> Members:
        names = tuple(self.name(int(number)) for number in numbers)
        content = int(self.contents[tar])
        return Members(self.tars[tar], content, numbers, names, self.offsets[numbers], self.sizes[numbers])

    def partitions(self, images: int = 1024) -> list[Partition]:
        """Cut each tar into runs of at most so many images, as even as can be."""
        return [
            Partition(tar, int(start), int(stop))
            for tar, (first, end) in enumerate(itertools.pairwise(self.starts))
            for start, stop in itertools.pairwise(_cuts(int(first), int(end), images))
        ]

    def packed(self, images: int = 1024) -> list[Run]:
        """Return the partitions of each compressed tar, as runs of their places in `partitions(images)`."""
        tars = [one.tar for one in self.partitions(images)]
        return [(bisect_left(tars, at), bisect_right(tars, at)) for at, tar in enumerate(self.tars) if tar.is_gzip]

    @cached_property
    def digest(self) -> str:
        """32 hex digits (BLAKE2b) of names, offsets and sizes of tars and images; where they are stored is no part."""
        digest = hashlib.blake2b(self.names, digest_size=16)
        digest.update(json.dumps([[tar.name, tar.stamp[0]] for tar in self.tars]).encode())
        for array in (self.starts, self.offsets, self.sizes):
            digest.update(array.astype("<i8").tobytes())  # the same bytes on any machine
        return digest.hexdigest()


def _cuts(start: int, stop: int, length: int) -> list[int]:
    """Return where start..stop-1 is cut into as few runs of at most `length` as there can be, with both ends."""
    runs = -(-(stop - start) // length)
    return [start + (stop - start) * run // runs for run in range(runs + 1)] if runs else []


def check_names(index: Index) -> None:
    """Check that no two images have one name, by which the label file tells them apart.

    Raises:
        DataError: two have.
    """
    names = index.base_names()
    order = np.argsort(names, kind="stable")
    ordered = names[order]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(same):
        first = same[np.argmin(order[same])]
        one, other = (index.address(int(order[place])) for place in (first, first + 1))
        raise DataError(f"two images of one name, by which labels are found: {one} and {other}; rename or remove one")


def save_index(run: Storage, index: Index) -> None:
    """Store an index in a run folder.

    Raises:
        InputError, ClusterError: it cannot be written.
    """
    about = {
        "url": index.url,
        "tars": [[tar.name, *tar.stamp] for tar in index.tars],
        "others": index.others,
        "example": index.example,
        "prefix": index.prefix,
    }
    file = io.BytesIO()
    np.savez_compressed(
        file,
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        starts=index.starts,
        contents=index.contents,
        offsets=np.diff(index.offsets, prepend=0),  # compresses better
        sizes=index.sizes,
        names=np.frombuffer(index.names, np.uint8),
    )
    run.write(NAME, file.getvalue())


def load_index(run: Storage) -> Index | None:
    """Return the index in a run folder, None if there is none yet.

    Raises:
        InputError: it is damaged.
        ClusterError: the folder cannot be reached.
    """
    run.check_inside(NAME)
    try:
        content = run.read(NAME)
    except FileNotFoundError:
        return None
    try:
        return _decode(content)
    except DAMAGED as error:
        raise InputError(
            f"{run.address(NAME)} is damaged ({error_line(error)}); remove it, and the tars are indexed again"
        ) from error


def _decode(content: bytes) -> Index:
    stored = read_arrays(content)
    about = json.loads(stored["about"].tobytes())
    starts, contents, sizes = (np.asarray(stored[name], np.int64) for name in ("starts", "contents", "sizes"))
    offsets, names = np.cumsum(stored["offsets"], dtype=np.int64), stored["names"].tobytes()
    tars = tuple(Tar(str(name), (int(size), str(stamp))) for name, size, stamp in about["tars"])
    if not len(starts) - 1 == len(contents) == len(tars) or not names.count(b"\0") == len(offsets) == len(sizes):
        raise ValueError("its arrays have other lengths than they must have")
    ends = np.repeat(contents, np.diff(starts))
    if len(ends) != len(offsets) or np.any(offsets < 0) or np.any(sizes < 0) or np.any(offsets + sizes > ends):
        raise ValueError("an image lies outside its tar")
    return Index(
        str(about["url"]),
        tars,
        starts,
        contents,
        offsets,
        sizes,
        names,
        int(about["others"]),
        str(about["example"]),
        str(about["prefix"]),
    )
