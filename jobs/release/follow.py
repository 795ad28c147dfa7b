"""Follows containers' logs through lost connections: each line once, in order, until the container has ended."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from jobs.errors import JobError
from jobs.release.client import Forbidden
from jobs.release.objects import Object, terminated

AGAIN_SECONDS = 1.0
OVERLAP_SECONDS = 5
"""How much more of a log is asked for after a lost connection than the time that has passed."""


class Logs(Protocol):
    """What is needed of a cluster: `jobs.release.client.Cluster` has it."""

    def follow(self, pod: str, container: str, **options: object) -> Iterator[str]:
        """Yield the lines of a container's log as they come."""

    def pod(self, name: str) -> Object | None:
        """Return a pod; None if it is gone."""


def follow(logs: Logs, pod: str, container: str, tail: int | None = None) -> Iterator[str]:
    """Yield the lines of a container's log, each once, until it has ended or its pod is gone.

    Args:
        logs: where logs and pods are read.
        pod: the pod's name; its container, the next argument, need not have started.
        container: its name.
        tail: begin with so many lines of the past (None: all).

    Raises:
        Forbidden: the logs may not be read.
    """
    last, heard, lost = "", time.monotonic(), False
    options: dict[str, object] = {} if tail is None else {"tail_lines": tail}
    while True:
        try:
            for line in logs.follow(pod, container, timestamps=True, **options):
                moment, _, text = line.partition(" ")
                if moment > last:
                    last, heard = moment, time.monotonic()
                    yield text
            lost = False
        except Forbidden:
            raise
        except JobError:
            lost = True
        if _over(logs, pod, container, lost=lost):
            return
        time.sleep(AGAIN_SECONDS)
        options = {"since_seconds": math.ceil(time.monotonic() - heard) + OVERLAP_SECONDS} if last else options


def _over(logs: Logs, pod: str, container: str, *, lost: bool) -> bool:
    """Return whether no line will come any more; after a lost connection the rest of the log is still to be read."""
    try:
        found = logs.pod(pod)
    except JobError:
        return False
    return found is None or (not lost and terminated(found, container) is not None)


class Tails:
    """Follows several containers at once, each in a thread; their lines come out of one queue."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._queue: queue.SimpleQueue[tuple[str, str] | Forbidden] = queue.SimpleQueue()
        self._threads: dict[tuple[str, str], threading.Thread] = {}

    def add(self, pod: str, container: str, tail: int | None = None) -> None:
        """Follow a container from now on; nothing happens if it is followed already."""
        if (pod, container) not in self._threads:
            thread = threading.Thread(target=self._run, args=(pod, container, tail), daemon=True)
            self._threads[pod, container] = thread
            thread.start()

    @property
    def busy(self) -> bool:
        """Whether lines may still come."""
        return not self._queue.empty() or any(thread.is_alive() for thread in self._threads.values())

    def lines(self, seconds: float) -> Iterator[tuple[str, str]]:
        """Yield (pod, line) for all that comes within `seconds`.

        Raises:
            Forbidden: the logs may not be read.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                item = self._queue.get(timeout=left)
                if isinstance(item, Forbidden):
                    raise item
                yield item

    def rest(self, seconds: float) -> Iterator[tuple[str, str]]:
        """Yield (pod, line) until all containers have ended, for at most `seconds`."""
        end = time.monotonic() + seconds
        while self.busy and time.monotonic() < end:
            yield from self.lines(0.1)

    def _run(self, pod: str, container: str, tail: int | None) -> None:
        try:
            for line in follow(self._logs, pod, container, tail):
                self._queue.put((pod, line))
        except Forbidden as error:
            self._queue.put(error)
