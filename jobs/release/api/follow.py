"""Follows containers' logs through lost connections: each line once, in order, until the container has ended."""

from __future__ import annotations

import contextlib
import math
import queue
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Protocol

from jobs.errors import JobError
from jobs.release.api.client import Forbidden
from jobs.release.api.objects import Object, seconds, terminated

AGAIN_SECONDS = 1.0
OVERLAP_SECONDS = 5
"""Overlap that is requested of a log after a lost connection, beyond the time since its last line."""
CACHE_SIZE = 100_000
"""Lines that are remembered; of a longer overlap lines would come twice, but none would be lost."""
STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))(?: |$)(.*)", re.DOTALL)
"""A line of the container's: its time stamp and its text."""


class Logs(Protocol):
    """The interface to a cluster's logs: `jobs.release.api.client.Cluster` has it."""

    def follow(self, pod: str, container: str, **options: object) -> Iterator[str]:
        """Yield the lines of a container's log as they come, each with its end; the last may lack it."""

    def pod(self, name: str) -> Object | None:
        """Return a pod; None if it is gone."""


def follow(logs: Logs, pod: str, container: str, tail: int | None = None) -> Iterator[str]:
    """Yield the lines of a container's log, each once, until it has ended or its pod is gone.

    After the container's end its log is read once more: a stream may end a moment before.

    Args:
        logs: reads logs and pods.
        pod: the pod's name; its container, the next argument, need not have started.
        container: its name.
        tail: begin with so many lines of the past (None: all).

    Raises:
        Forbidden: the logs may not be read.
    """
    seen, over = _Seen(), False
    options: dict[str, object] = {} if tail is None else {"tail_lines": tail}
    while True:
        lost = False
        try:
            yield from seen.new(logs.follow(pod, container, timestamps=True, **options), whole=over)
        except Forbidden:  # a JobError too, but a retry cannot help
            raise
        except JobError:
            lost = True
        if over and not lost:
            return
        found = _found(logs, pod)
        if found is None:
            return
        # Kubernetes closes a stream for its own reasons too, such as a rotated log file or a restarted kubelet: the
        # container's status shows its end.
        over = terminated(found, container) is not None
        if lost or not over:
            time.sleep(AGAIN_SECONDS)
        options = seen.since() or options


def _found(logs: Logs, pod: str) -> Object | None:
    """Return a pod; None if it is gone, an empty one if that is unknown."""
    try:
        return logs.pod(pod)
    except JobError:
        return {}


class _Seen:
    """The lines that were yielded last, by time stamp and text.

    Their order is of no use: the runtime reads stdout and stderr separately, so a line may come after a younger one.
    """

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._counts: Counter[int] = Counter()
        self._moment, self._received_at = "", 0.0

    def new(self, stream: Iterable[str], *, whole: bool) -> Iterator[str]:
        """Yield the texts of a connection's lines that no connection before it had.

        Args:
            stream: its lines. Those without a time stamp are not the container's, but the kubelet's.
            whole: the container has ended, so a last line without an end is one.
        """
        # Counted per connection: equal lines with equal time stamps are several lines.
        before, here = self._counts.copy(), Counter[int]()
        for line in stream:
            found = STAMPED.match(line.removesuffix("\n"))
            if found is None or not (whole or line.endswith("\n")):
                continue
            key = hash(found[0])  # not the line: 100,000 may be long ones
            here[key] += 1
            if here[key] > before[key]:
                self._add(key, found[1])
                yield found[2]

    def _add(self, key: int, moment: str) -> None:
        self._moment, self._received_at = moment, time.monotonic()
        self._counts[key] += 1
        self._order.append(key)
        if len(self._order) > CACHE_SIZE:
            oldest = self._order.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]

    def since(self) -> dict[str, object]:
        """Return the options of the next request, from the last line with overlap; none before the first line."""
        if not self._moment:
            return {}
        # By either clock, the longer one: a line may come late, and this machine's clock may differ from the node's.
        age = max(time.monotonic() - self._received_at, time.time() - seconds(self._moment))
        return {"since_seconds": math.ceil(age) + OVERLAP_SECONDS}


class Tails:
    """Follows several containers at once, each in a thread; their lines come through one queue."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._queue: queue.SimpleQueue[tuple[str, str] | Forbidden] = queue.SimpleQueue()
        self._threads: dict[tuple[str, str], threading.Thread] = {}

    def add(self, pod: str, container: str, tail: int | None = None) -> None:
        """Follow a container from now on; nothing happens if it is followed already."""
        if (pod, container) not in self._threads:
            # daemon: a silent stream blocks its thread, and must not keep a command that has ended.
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
