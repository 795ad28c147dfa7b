"""A log in S3, whose objects cannot be appended to: objects `name/00000001`, `name/00000002`, ... in this order."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator
from typing import BinaryIO

from jobs.errors import ClusterError, InputError
from jobs.storage import haste
from jobs.storage.base import MIB, LogWriter, Storage, as_file

_PART_BYTES = 8 * MIB
_MAX_BUFFERED_BYTES = 64 * MIB
_LOOK_SECONDS = 0.5


def part_names(storage: Storage, name: str) -> list[str]:
    """Return the names of the log's parts in order, `name/00000001` first.

    Raises:
        InputError: one of them is missing.
    """
    parts = [
        part
        for part in storage.list(f"{storage.checked(name)}/")
        if re.fullmatch(r"\d{8}", part.removeprefix(f"{name}/"))
    ]
    for number, part in enumerate(parts, start=1):
        if part != f"{name}/{number:08}":
            raise InputError(f"{storage.address(name)}: part {number:08} of this log is missing; use another folder")
    return parts


def read_parts(storage: Storage, name: str) -> BinaryIO:
    """Return the present parts of the log `name` as one file, read in pieces of at most 8 MiB."""

    # Listed here, not in the generator: a part that is missing raises at once, and later ones are not read.
    def chunks(parts: list[str]) -> Generator[bytes]:
        for part in parts:
            yield from storage.stream(part)

    return as_file(chunks(part_names(storage, name)))


class S3Log(LogWriter):
    """Buffers what is appended and uploads it in the background, one part at a time.

    A part is uploaded when the last one is 1 % of the log's age old (at least 1 s, at most 30 s), or as soon as 8 MiB
    are buffered: a long job makes few parts and a short one loses little. What is not uploaded when the process is
    killed is lost. `append` blocks while more than 64 MiB are not uploaded.

    The thread `_run` takes from `_buffered` and uploads; all that both threads use is guarded by `_changed`.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        """Find the log's last part in `storage` and start the thread."""
        self._storage, self._name = storage, name
        self._number = len(part_names(storage, name))
        self._began = self._stored_at = time.monotonic()
        self._changed = threading.Condition()
        self._buffered: list[bytes] = []
        self._unstored = 0  # bytes that are buffered or being uploaded
        self._flushing = self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"log {name}", daemon=True)
        self._thread.start()

    def append(self, data: bytes) -> None:
        """See `LogWriter.append`; an error is that of an earlier upload."""
        if self._closed:
            raise ValueError(f"{self._storage.address(self._name)}: the log is closed")
        with self._changed:
            self._wait_for(lambda: self._unstored <= _MAX_BUFFERED_BYTES)
            self._raise_error()
            if data:  # `_run` takes an empty part for the end of the log
                self._buffered.append(bytes(data))
                self._unstored += len(data)
                self._changed.notify_all()

    def flush(self) -> None:
        """See `LogWriter.flush`."""
        with self._changed:
            self._flushing = True
            self._changed.notify_all()
            # Not `not self._buffered`: a part that the thread has taken is not stored yet.
            self._wait_for(lambda: not self._unstored)
            self._flushing = False
            self._raise_error()

    def close(self) -> None:
        """See `LogWriter.close`."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()  # `_run` may wait for data without a limit
            if not self._error:  # else it may be in a request that is not answered
                self._thread.join()

    def _wait_for(self, done: Callable[[], bool]) -> None:
        """Wait until `done`, or for the thread's error; after a signal that is `haste`'s."""
        hasty_since = None
        while not self._changed.wait_for(lambda: self._error or done(), timeout=_LOOK_SECONDS):
            if haste.hasty():
                hasty_since = hasty_since or time.monotonic()
                if time.monotonic() > hasty_since + haste.LOG_SECONDS:
                    self._error = TimeoutError("the store does not answer")

    def _raise_error(self) -> None:
        if self._error:
            address = self._storage.address(self._name)
            raise ClusterError(
                f"{address}: the log could not be stored ({self._error}); give the same command again: it goes on from"
                " what is stored"
            ) from self._error

    def _run(self) -> None:
        """Upload parts until the log is closed or one cannot be stored."""
        try:
            while data := self._next_part():
                # Without the lock: `append` must not block for an upload. Only this thread changes `_number`.
                self._storage.write(f"{self._name}/{self._number + 1:08}", data)
                with self._changed:
                    self._number += 1
                    self._stored_at = time.monotonic()
                    self._unstored -= len(data)
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 `_raise_error` raises it in the caller's thread
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _next_part(self) -> bytes:
        """Wait until a part is due and return it; return `b""` when the log is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._buffered or self._closed)
            interval = min(max((time.monotonic() - self._began) / 100, 1.0), 30.0)
            self._changed.wait_for(self._is_urgent, timeout=self._stored_at + interval - time.monotonic())
            buffered, self._buffered = self._buffered, []
        return b"".join(buffered)

    def _is_urgent(self) -> bool:
        return self._flushing or self._closed or self._unstored >= _PART_BYTES
