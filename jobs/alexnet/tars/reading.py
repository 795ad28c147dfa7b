"""Reading images by ranges of their tars, several ahead."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from jobs.alexnet.tars.headers import Tar, open_tar
from jobs.alexnet.tars.index import Members
from jobs.errors import ClusterError, DataError
from jobs.storage import MIB, Stamp, Storage, open_storage

MAX_RANGE = 16 * MIB
"""Bytes of one request, unless a single image is larger."""
MAX_GAP = MIB // 2
"""Bytes between two images that are read and dropped, as that takes less time than another request."""


class Image(NamedTuple):
    """An image as it lies in its tar: its number in the index, its name in the tar, its bytes."""

    number: int
    name: str
    data: bytes


@dataclass(frozen=True)
class Range:
    """Bytes start..stop-1 of a tar, in which the images first..end-1 of some members lie."""

    start: int
    stop: int
    first: int
    end: int


def ranges_of(members: Members) -> list[Range]:
    """Return the ranges to request for some images of one tar, in order."""
    ranges: list[Range] = []
    for place, (offset, size) in enumerate(zip(members.offsets.tolist(), members.sizes.tolist(), strict=True)):
        stop = offset + size
        if ranges and offset - ranges[-1].stop <= MAX_GAP and stop - ranges[-1].start <= MAX_RANGE:
            ranges[-1] = Range(ranges[-1].start, stop, ranges[-1].first, place + 1)
        else:
            ranges.append(Range(offset, stop, place, place + 1))
    return ranges


class Reader:
    """Reads images of one storage's tars; a context manager that ends its threads and removes its files.

    At most `ahead` requests are in flight or wait with their answers, of `MAX_RANGE` bytes each, so memory is bounded.
    Any number of threads may use one reader.

    Args:
        storage: of the tars.
        scratch: a folder of this machine, in which compressed tars are unpacked; made when it is needed.
        ahead: requests in flight.
    """

    def __init__(self, storage: Storage, scratch: Path, ahead: int = 4) -> None:
        self._storage, self._scratch, self._ahead = storage, scratch, ahead
        self._pool = ThreadPoolExecutor(ahead, thread_name_prefix="dask-jobs-tars")
        self._unpacking = threading.Lock()
        self._unpacked: dict[Tar, tuple[Storage, str, Stamp]] = {}
        self._opening = threading.Lock()
        self._opened: set[Path] = set()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)  # called on an event loop, which must not wait
        with self._opening:  # held for a moment each time, unlike `_unpacking`
            self._is_closed = True
        for path in self._opened:  # also one that is still written: its thread finds out after the next MiB
            path.unlink(missing_ok=True)

    def read(self, members: Iterable[Members]) -> Iterator[Image]:
        """Yield images in the order of `members`, each once, with all of its bytes.

        Raises:
            DataError: a tar was changed or deleted since it was indexed, or a compressed one is damaged.
            InputError: the storage refuses.
            ClusterError: it cannot be reached, or there is no space to unpack a compressed tar.
        """
        waiting: deque[tuple[Members, Range, Future[bytes]]] = deque()
        try:
            for some in members:
                for each in ranges_of(some):
                    # Before the next is asked for: an answer that nobody has taken yet counts too.
                    if len(waiting) >= self._ahead:
                        yield from _images(*waiting.popleft())
                    waiting.append((some, each, self._pool.submit(self._fetch, some, each)))
            while waiting:
                yield from _images(*waiting.popleft())
        finally:
            for _, _, future in waiting:
                future.cancel()

    def _fetch(self, members: Members, wanted: Range) -> bytes:
        tar = members.tar
        try:
            storage, name, stamp = self._unpack(members) if tar.is_gzip else (self._storage, tar.name, tar.stamp)
            return storage.read_unchanged(name, stamp, wanted.start, wanted.stop)
        except FileNotFoundError as error:
            raise DataError(f"tar {error.filename} was deleted; bring it back, or begin a new run") from error

    def _unpack(self, members: Members) -> tuple[Storage, str, Stamp]:
        """Return where a compressed tar's content lies, after it was decompressed once."""
        with self._unpacking:  # held meanwhile: threads that need the same tar wait for it
            if members.tar not in self._unpacked:
                self._unpacked[members.tar] = self._decompress(members)
            return self._unpacked[members.tar]

    def _decompress(self, members: Members) -> tuple[Storage, str, Stamp]:
        name = f"{len(self._unpacked):06}.tar"
        path = self._scratch / name
        content, end = open_tar(self._storage, members.tar), 0
        with _scratch_errors(path), self._open(path) as file:
            while data := content.read(end, end + MIB):
                end += file.write(data)
                self._check_open()
        if end != members.content:
            raise DataError(
                f"tar {self._storage.address(members.tar.name)} has {end:,} bytes of content, but had"
                f" {members.content:,} when it was indexed; bring the old file back, or begin a new run"
            )
        scratch = open_storage(self._scratch)
        return scratch, name, scratch.stamp(name)

    def _open(self, path: Path) -> BinaryIO:
        """Open a file to be written; its folder is made, unless the reader has ended, and with it its folder."""
        with self._opening:
            self._check_open()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._opened.add(path)
            return path.open("wb")

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClusterError(f"{self._scratch}: the reader of its tars has ended")


@contextlib.contextmanager
def _scratch_errors(path: Path) -> Iterator[None]:
    """Translate errors of writing a file, whose incomplete content is removed.

    Raises:
        ClusterError: there is no space, or another fault of this machine.
    """
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            path.unlink()
        # That is a tar's that was deleted, see `_fetch`.
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise ClusterError(f"{path}: cannot be written ({error.strerror or error}); give more space") from error
        raise


def _images(members: Members, of: Range, future: Future[bytes]) -> Iterator[Image]:
    data = memoryview(future.result())
    for place in range(of.first, of.end):
        start = int(members.offsets[place]) - of.start
        # A copy: a view would keep all 16 MiB of the answer alive as long as any of its images.
        image = bytes(data[start : start + int(members.sizes[place])])
        yield Image(int(members.numbers[place]), members.names[place], image)
