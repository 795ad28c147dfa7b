"""`MemoryRows`: a source of rows that lie in memory. Pickled, it is a description; `door` gets the rows."""

from __future__ import annotations

import contextlib
import pickle
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cloudpickle

from jobs.datasets.memory import door


class Reader(Protocol):
    """What has the rows, on the driver."""

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """First rows of the chunks, and the number of rows, if workers get whole chunks by Dask; None of arrays."""

    @property
    def kind(self) -> str:
        """The kind of the labels' type, as NumPy has it."""

    def read(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return rows start .. stop - 1: x, y, and w if there are weights."""

    def fingerprint(self) -> str:
        """Return the identity of the content."""

    def as_classes(self) -> tuple[Reader, tuple[str, ...]]:
        """Return the same rows with labels 0, 1, ..., and the names of the classes."""


@dataclass(frozen=True)
class Head:
    """What is known of the rows everywhere.

    Attributes:
        key: names the source on its driver; no other source has it.
        rows: their number.
        shape: of a row's features.
        classes: labels are 0 .. classes - 1; 0: they are any numbers.
        class_names: what the classes are called.
        names: of the features, if they have any.
        fingerprint: of the content.
        chunks: as of `Reader`.
        row_values: stored numbers of a row on average, if x is sparse.
    """

    key: str
    rows: int
    shape: tuple[int, ...]
    classes: int
    class_names: tuple[str, ...]
    names: tuple[str, ...]
    fingerprint: str
    chunks: tuple[int, ...] | None
    row_values: int | None


_live: weakref.WeakValueDictionary[str, MemoryRows] = weakref.WeakValueDictionary()
"""The sources whose rows this process has: unpickled in it, a source is itself."""
_found = threading.local()


class MemoryRows:
    """Rows with labels, of arrays or chunks in memory; a `RowSource`.

    The rows stay with the driver (or, chunks of Dask's, with the workers that have them): pickled, this is a small
    description, and a worker that reads rows asks the driver for them.

    Args:
        head: what is known of them.
        reader: what has them; None in a process that has not.
    """

    scale = 1.0

    def __init__(self, head: Head, reader: Reader | None) -> None:
        self._head, self.reader = head, reader
        self._chunk: tuple[int, tuple[Any, ...]] | None = None
        self._lock = threading.Lock()
        if reader is not None:
            _live[head.key] = self

    def __repr__(self) -> str:
        return f"<rows in memory: {self.rows:,} of shape {self.shape}>"

    def __reduce__(self) -> tuple[Any, tuple[Head]]:
        if (sources := getattr(_found, "sources", None)) is not None:
            sources[self.key] = self
        return _arrived, (self._head,)

    @property
    def key(self) -> str:
        """Names the source on its driver."""
        return self._head.key

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._head.rows

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row's features."""
        return self._head.shape

    @property
    def classes(self) -> int:
        """Labels are 0 .. classes - 1; 0: y are any numbers."""
        return self._head.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of classes 0, 1, ...; empty where y are numbers."""
        return self._head.class_names

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, a frame's columns; empty if they have none."""
        return self._head.names

    @property
    def row_values(self) -> int | None:
        """Stored numbers of a row on average, at least 1, if x is sparse; None of arrays."""
        return self._head.row_values

    @property
    def chunked(self) -> bool:
        """Whether the rows are chunks of Dask's on workers."""
        return self._head.chunks is not None

    def read(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return rows start .. stop - 1: x (an array, or CSR rows), y, and w (stop - start,) if there are weights.

        Raises:
            ClusterError: the driver that has the rows is gone.
            DataError: a chunk of Dask's cannot be computed.
        """
        if not 0 <= start <= stop <= self.rows:
            raise IndexError(f"rows {start}..{stop - 1} of {self.rows:,} in memory")
        if self.reader is not None:
            return self.reader.read(start, stop)
        if self._head.chunks is None:
            return door.fetch(self.key, start, stop)
        return door.joined(self._parts(start, stop, self._head.chunks))

    def _parts(self, start: int, stop: int, firsts: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows by the chunks that they lie in; the last chunk is kept, as reads mostly ascend."""
        for number in door.overlapping(firsts, start, stop):
            with self._lock:
                if self._chunk is None or self._chunk[0] != number:
                    self._chunk = None  # first: two chunks at once may be much memory
                    door.leave_slot()
                    self._chunk = number, door.fetch(self.key, number, number + 1)
                _, chunk = self._chunk
            first = firsts[number]
            yield tuple(one[max(start - first, 0) : stop - first] for one in chunk)

    def fingerprint(self) -> str:
        """Return the identity of the content, 32 hex digits (BLAKE2b)."""
        return self._head.fingerprint

    def as_classes(self) -> MemoryRows:
        """Return the same rows with labels 0 .. classes - 1: their distinct values, in ascending order.

        Raises:
            DataError: a label is missing, or of a kind that names no class.
        """
        if self.reader is None or self.classes:
            return self
        reader, names = self.reader.as_classes()
        head = replace(
            self._head,
            key=door.new_key(),
            classes=len(names),
            class_names=names,
            fingerprint=reader.fingerprint(),
        )
        return MemoryRows(head, reader)


def source(reader: Reader, shape: tuple[int, ...], names: tuple[str, ...], row_values: int | None = None) -> MemoryRows:
    """Return a new source of the rows that `reader` has: shape is x's; texts and booleans as labels become classes."""
    rows = MemoryRows(
        Head(door.new_key(), shape[0], shape[1:], 0, (), names, reader.fingerprint(), reader.chunks, row_values), reader
    )
    return rows if reader.kind in "iuf" else rows.as_classes()


def _arrived(head: Head) -> MemoryRows:
    """Return the source in the process where it was unpickled."""
    return _live.get(head.key) or MemoryRows(head, None)


def sources_in(thing: Any) -> dict[str, MemoryRows]:
    """Return the sources, key -> source, that an object holds anywhere, found by pickling it."""
    _found.sources = {}
    try:
        try:
            pickle.dumps(thing, protocol=5)
        except Exception:  # noqa: BLE001  what pickle cannot take, cloudpickle may
            with contextlib.suppress(Exception):  # nor that: it is refused elsewhere
                cloudpickle.dumps(thing)
        return {key: one for key, one in _found.sources.items() if one.reader is not None}
    finally:
        del _found.sources
