"""What observes a run by its options: one object, which does nothing where they ask for nothing."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from jobs.runs.observe.events import Event, Kind
from jobs.runs.observe.metrics import RunMetrics, served
from jobs.runs.observe.observers import UserObserver, trackers
from jobs.runs.observe.on_end import run_on_end
from jobs.runs.observe.stream import Channel
from jobs.storage import Storage

if TYPE_CHECKING:
    from jobs.options import JobOptions

END_SECONDS, STOP_SECONDS = 30.0, 8.0
"""How long the end of an attempt waits for its observers, and the same where it was told to stop."""
HOST = "DASK_JOBS_METRICS_HOST"
"""Environment variable: the address on which metrics are served; a pod's chart sets it to all of them."""


class Observation:
    """The observers, metrics and the end of one attempt."""

    def __init__(self) -> None:
        self._channels: list[Channel] = []
        self._metrics: RunMetrics | None = None
        self._on_end = ""
        self._job = self._run = ""
        self._attempt = 0

    @contextlib.contextmanager
    def of(self, job: str, storage: Storage, options: JobOptions) -> Iterator[None]:
        """Observe as the options say, within the context.

        Raises:
            InputError: an observer is not installed or cannot be imported, or the port is taken.
        """
        self._job, self._run, self._on_end = job, str(options.run), options.on_end or ""
        found = trackers([name for name in options.log if name not in options.OWN_TRACKERS], storage)
        if options.observer:
            found["observer"] = UserObserver(options.observer)
        with contextlib.ExitStack() as stack:
            if options.metrics_port:
                self._metrics = RunMetrics(job, self._run, options.threads)
                host = os.environ.get(HOST, "127.0.0.1")
                stack.enter_context(served(self._metrics, options.metrics_port, host))
            self._channels = [Channel(name, observer) for name, observer in found.items()]
            try:
                yield
            finally:
                self._close(0.0)  # of an attempt that was superseded, or ended before it began

    def start(self, attempt: int, options: Mapping[str, Any]) -> None:
        """Begin the attempt of this number: from now on events are sent."""
        self._attempt = attempt
        if self._metrics:
            self._metrics.attempt = attempt
        self.send("start", options=dict(options))

    def send(self, kind: Kind, **fields: Any) -> None:
        """Send an event."""
        if self._attempt and self._channels:
            self._deliver(self._event(kind, **fields))

    def status(self, fields: Mapping[str, Any]) -> None:
        """Take over the fields of a status for the metrics."""
        if self._metrics:
            self._metrics.status(fields)

    def end(self, state: str, code: int, **fields: Any) -> str:
        """Send the last event, wait for the observers, and do what the user wants at the end; return what is wrong."""
        event = self._event("end", state=state, exit_code=code, **{"error": None, "result": None, **fields})
        self._deliver(event)
        seconds = STOP_SECONDS if state == "stopped" else END_SECONDS
        wrong = self._close(seconds)
        if self._on_end and (failed := run_on_end(self._on_end, event, seconds)):
            wrong.append(f"--on-end {self._on_end}: {failed}")
        self._on_end = ""
        return "; ".join(filter(None, wrong))

    def _deliver(self, event: Event) -> None:
        for channel in self._channels:
            channel.send(event)

    def _close(self, seconds: float) -> list[str]:
        """Wait until all is delivered, or for so many seconds; return what is wrong with each."""
        until, channels = time.monotonic() + seconds, self._channels
        self._channels = []
        return [channel.end(until) for channel in channels]

    def _event(self, kind: Kind, **fields: Any) -> Event:
        common = {"event": kind, "job": self._job, "run": self._run, "attempt": self._attempt, "time": time.time()}
        return cast(Event, {**common, **fields})
