"""The stream of a run's events: a queue and a thread per observer, so that none holds up the run or another."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time

from jobs.formatting import error_line, plural
from jobs.runs.observe.events import Event, Observer

log = logging.getLogger(__name__)
HELD = 10_000
"""Events that wait for an observer at most; more are dropped, and counted."""
BATCH = 500
"""Events that are delivered at once at most."""


class Channel:
    """One observer with its queue and thread.

    Args:
        name: of the observer, for messages.
        observer: gets the events.
    """

    def __init__(self, name: str, observer: Observer) -> None:
        self.name, self._observer = name, observer
        self._queue: queue.Queue[Event | None] = queue.Queue(HELD)
        self._lost, self._error = 0, ""
        self._thread = threading.Thread(target=self._run, name=f"observer {name}", daemon=True)
        self._thread.start()

    def send(self, event: Event) -> None:
        """Queue an event."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._lost += 1

    def end(self, until: float) -> str:
        """Wait until all is delivered, at most until a moment of `time.monotonic`; return what is wrong, or nothing."""
        try:
            self._queue.put(None, timeout=max(until - time.monotonic(), 0.01))
        except queue.Full:
            pass
        else:
            self._thread.join(max(until - time.monotonic(), 0.01))
        if lost := self._lost + (self._queue.qsize() if self._thread.is_alive() else 0):
            return f"{self.name}: {plural(lost, 'event')} did not get there ({self._error or 'it is too slow'})"
        return f"{self.name}: it does not answer" if self._thread.is_alive() else ""

    def _run(self) -> None:
        over = False
        while not over:
            events = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(events) < BATCH:
                    events.append(self._queue.get_nowait())
            over = None in events
            if given := [event for event in events if event is not None]:
                self._deliver(given)

    def _deliver(self, events: list[Event]) -> None:
        try:
            self._observer.deliver(events)
        except BaseException as error:  # noqa: BLE001  the user's code, or a library's: it must not end the run
            self._lost += len(events)
            if not self._error:
                self._error = error_line(error)
                log.warning("%s: %s; the run goes on without it", self.name, self._error)
