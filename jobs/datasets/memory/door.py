"""A worker's side: rows that the driver has, asked for by an event, and handed in by a call or a task.

A read waits in its thread until its request is answered. A request that is lost, as with a scheduler that restarts, is
made again; a driver that is gone takes the plugin with it, which ends the reads that wait.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from distributed import Worker, secede
from distributed.threadpoolexecutor import thread_state
from scipy import sparse

from jobs.cluster.plugin import CallPlugin
from jobs.errors import ClusterError, DataError

REPEAT_SECONDS = 10.0
"""After so many seconds without an answer a request is made again."""
DOOR_SECONDS = 30.0
"""How long a read waits for the plugin of its driver, which may be registered once more at this moment."""
POLL_SECONDS = 0.05

_numbers = itertools.count()
_doors: dict[str, RowsPlugin] = {}
_lock = threading.Lock()


class _Closed(Exception):
    """The plugin went while a read waited."""


class RowsPlugin(CallPlugin):
    """Asks the driver for rows of its sources, and takes them in.

    Args:
        key: the plugin's, also the topic of its requests.
        sources: the keys of the sources.
    """

    purpose = "get rows from the driver's memory"

    def __init__(self, key: str, sources: Sequence[str]) -> None:
        super().__init__(key)
        self._sources = tuple(sources)

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop."""
        self._waiting: dict[str, Future[tuple[Any, ...]]] = {}
        super().setup(worker)
        with _lock:
            _doors.update(dict.fromkeys(self._sources, self))

    def teardown(self, worker: Worker) -> None:
        """Called by Dask when the plugin goes or the worker ends."""
        with _lock:
            for key in [key for key in self._sources if _doors.get(key) is self]:
                del _doors[key]
        super().teardown(worker)
        for answer in list(self._waiting.values()):
            if not answer.done():
                answer.set_exception(_Closed())

    def ask(self, source: str, start: int, stop: int) -> tuple[Any, ...]:
        """Return rows of a source, once the driver has sent them; in a thread that may wait.

        Raises:
            DataError: the driver cannot get them.
            _Closed: the plugin goes.
        """
        request = f"{next(_numbers)}-{uuid.uuid4().hex}"
        answer = self._waiting[request] = Future()
        message = {"worker": self.worker.address, "request": request, "source": source, "start": start, "stop": stop}
        try:
            while not self.is_torn_down:
                self.worker.log_event(self.key, message)
                with contextlib.suppress(TimeoutError):
                    return answer.result(REPEAT_SECONDS)
            raise _Closed
        finally:
            del self._waiting[request]

    def take(self, request: str, arrays: tuple[Any, ...]) -> None:
        """Answer a request; one that was answered already needs nothing."""
        answer = self._waiting.get(request)
        if answer is not None and not answer.done():
            answer.set_result(arrays)

    async def deliver(self, *, request: str, arrays: list[Any]) -> None:
        """Take the rows of a request from the driver."""
        self.take(request, tuple(arrays))

    async def refuse(self, *, request: str, error: str) -> None:
        """Take the reason why there are no rows."""
        answer = self._waiting.get(request)
        if answer is not None and not answer.done():
            answer.set_exception(DataError(error))


def hand_in(source: str, request: str, *arrays: Any) -> None:
    """Answer a request of this worker by its own copy of a chunk: a task of Dask's, which brings the chunk here."""
    if plugin := _doors.get(source):
        plugin.take(request, arrays)


def fetch(source: str, start: int, stop: int) -> tuple[Any, ...]:
    """Return rows start .. stop - 1 of arrays, or chunk `start`, from the driver that has them.

    Raises:
        ClusterError: there is no such driver any more.
        DataError: it cannot get them.
    """
    deadline = time.monotonic() + DOOR_SECONDS
    while time.monotonic() < deadline:
        plugin = _doors.get(source)
        if plugin is None:
            time.sleep(POLL_SECONDS)
            continue
        with contextlib.suppress(_Closed):
            return plugin.ask(source, start, stop)
    raise ClusterError(
        "rows in memory can be read only while the driver that has them computes with them, by its own client"
    )


def leave_slot() -> None:
    """Give the slot of this thread's task, if it is one's, free for good: a chunk that is waited for may need it.

    Not until the chunk is there: the task would wait for a slot then, which another task may have that waits for what
    this one has locked.
    """
    if getattr(thread_state, "proceed", False):  # of a thread of Dask's pool that has not left it
        secede()


def overlapping(firsts: Sequence[int], start: int, stop: int) -> range:
    """Return the numbers of the chunks that hold rows start .. stop - 1, by their first rows; one if there are none."""
    low = int(np.searchsorted(firsts, start, side="right")) - 1
    high = int(np.searchsorted(firsts, max(stop, start + 1), side="left"))
    low = min(low, len(firsts) - 2)
    return range(low, max(min(high, len(firsts) - 1), low + 1))


def joined(parts: Iterator[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the rows of several chunks as one; those of one chunk as they are."""
    found = list(parts)
    return found[0] if len(found) == 1 else tuple(_stacked(columns) for columns in zip(*found, strict=True))


def _stacked(columns: Sequence[Any]) -> Any:
    return sparse.vstack(columns, "csr") if sparse.issparse(columns[0]) else np.concatenate(columns)


def new_key() -> str:
    """Return a key that no other source has."""
    return f"rows-{uuid.uuid4().hex}"
