"""What runs inside a Dask worker: the task that runs one trial, and the plugin by which the driver speaks to it.

Words to the driver are Dask events (`Worker.log_event`), pushed by the scheduler to the client. Words from the driver
are calls of the plugin's handlers, on the worker's event loop: neither takes a task slot, and nobody asks again and
again.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Any

from distributed import Worker, get_worker
from distributed.diagnostics.plugin import WorkerPlugin

from jobs.errors import ClusterError, JobError
from jobs.tune.trials import subprocess as isolated
from jobs.tune.trials.code import checked
from jobs.tune.trials.execution import Settings, Task, clean, run
from jobs.tune.trials.objective import Function
from jobs.tune.trials.trial import Signal

PLUGIN_SECONDS = 1.0
"""How long a task waits for its plugin: it may be late on a new worker, or gone with its study."""
KILLED = 7
"""Exit code of a worker process that is ended because of a trial that does not end."""
GIVEN_UP_SECONDS = 5.0
"""How long a trial of a study that has ended, or of an earlier attempt, may take to notice."""
LEFT = "dask_jobs_left"
"""Attribute of a Dask worker: signals of trials that were given up and still run there, whosever they are."""
ANNOUNCE_SECONDS = 0.05
"""How often a worker looks whether such trials have ended."""
WORD_SECONDS = 1.0
"""How long a last word may take to leave this process."""


class TrialPlugin(WorkerPlugin):  # type: ignore[misc]  # distributed is untyped here
    """One study in one worker process: its function, made once, and a signal for each running try.

    A try is told from all others by `go`, the driver's attempt and a count. All that the driver's event loop and the
    trials' threads share is a `Signal`.
    """

    def __init__(self, study: str, key: str, settings: Settings) -> None:
        self.name = self.key = key
        self.study, self.settings = study, settings

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop: only names the handlers, imports nothing of the user's."""
        self.worker = worker
        self._signals: dict[str, Signal] = {}
        self._left: set[Signal] = worker.__dict__.setdefault(LEFT, set())
        self._closed = False
        self._lock = threading.Lock()
        self._function: Function | None = None
        for other in worker.plugins.values():
            if isinstance(other, TrialPlugin) and other.study == self.study and other is not self:
                other.give_up()  # an earlier attempt's, whose driver does not know yet
        worker.handlers[f"{self.key}-answer"] = self.answer
        worker.handlers[f"{self.key}-quit"] = self.quit
        logging.getLogger("distributed.worker.state_machine").addFilter(_quiet)
        self._announce()

    def _announce(self) -> None:
        """Say that this worker takes trials, once those that an earlier attempt or study has left here have ended."""
        if self._closed:
            return
        if self._left:
            self.worker.loop.call_later(ANNOUNCE_SECONDS, self._announce)
            return
        state = self.worker.state
        size = {"threads": state.nthreads, "gpus": float(state.total_resources.get("GPU", 0.0))}
        self.worker.log_event(self.key, {"kind": "ready", "worker": self.worker.address, **size})

    def teardown(self, worker: Worker) -> None:
        """Called by Dask when the plugin goes: its study has ended, or its driver is gone."""
        for call in ("answer", "quit"):
            worker.handlers.pop(f"{self.key}-{call}", None)
        self.give_up()

    def give_up(self) -> None:
        """End the trials that still run.

        One that does not notice, since it never reports, would keep its thread from those that come after it.
        """
        if self._closed:
            return
        self._closed = True
        for signal in list(self._signals.values()):
            self._left.add(signal)
            signal.answer(0, "abandoned")
        self.worker.loop.call_later(GIVEN_UP_SECONDS, self._leave)

    def _leave(self) -> None:
        """End this process if a trial that was given up still runs, after a word to those who will miss it."""
        if self._signals:
            for plugin in self.worker.plugins.values():
                if isinstance(plugin, TrialPlugin):
                    self.worker.log_event(plugin.key, {"kind": "leaving", "worker": self.worker.address})
            self.worker.loop.call_later(WORD_SECONDS, self._end_process)

    def _end_process(self) -> None:
        """End this process: a release's worker replaces itself, a nanny or whoever else started it starts another."""
        if replace := getattr(self.worker, "replace", None):
            replace()
        os._exit(KILLED)

    async def answer(self, go: str, step: int, reason: str | None) -> None:
        """Take the driver's decision about a step of one try; there may be no such try any more."""
        if signal := self._signals.get(go):
            signal.answer(step, reason)

    async def quit(self) -> None:
        """End this process, and with it a trial that does not end by itself."""
        self._end_process()

    def function(self) -> Function:
        """Return the user's function, made by the first trial that needs it.

        Raises:
            InputError: it cannot be imported here.
        """
        with self._lock:
            self._function = self._function or checked(self.settings.source, self.settings.code)
            return self._function

    def send(self, go: str, **message: Any) -> None:
        """Send a message about a try to the driver, from any thread."""
        self.worker.log_event(self.key, {"go": go, "worker": self.worker.address, **message})

    def run(self, number: int, go: str, params: dict[str, Any]) -> None:
        """Run one try of a trial, and tell the driver when it starts and how it ends."""
        if self._closed:
            raise ClusterError(f"worker {self.worker.address} has given this study up")
        signal = self._signals[go] = Signal()
        try:
            self.send(go, kind="start", number=number)
            began = time.monotonic()
            end = self._try(number, go, params, signal)
            self.send(go, kind="end", number=number, seconds=time.monotonic() - began, **end)
        finally:
            del self._signals[go]
            self._left.discard(signal)

    def _try(self, number: int, go: str, params: dict[str, Any], signal: Signal) -> dict[str, Any]:
        task = Task(self.settings, number, go, params, self.worker.address, self._scratch())
        link = _Link(self, go, number)
        if self.settings.isolate:
            return isolated.run(task, link, signal)
        try:
            function = self.function()
        except JobError as error:
            return {"state": "broken", "error": clean(error.text), "details": clean(error.details)}
        return run(function, task, link, signal)

    def _scratch(self) -> str:
        return self.worker.local_directory or tempfile.gettempdir()


@dataclass(frozen=True)
class _Link:
    plugin: TrialPlugin
    go: str
    number: int

    def send(self, **message: Any) -> None:
        self.plugin.send(self.go, number=self.number, **message)


def _quiet(record: logging.LogRecord) -> bool:
    """Return False for Dask's warning that a task was cancelled while it ran, where it is a trial that we gave up."""
    return "execute('tune-" not in record.getMessage()


def run_trial(key: str, number: int, go: str, params: dict[str, Any]) -> None:
    """Run one try of a trial; the Dask task.

    Raises:
        ClusterError: this worker has no plugin for the study.
    """
    worker = get_worker()
    deadline = time.monotonic() + PLUGIN_SECONDS
    while (plugin := worker.plugins.get(key)) is None:
        if time.monotonic() > deadline:
            raise ClusterError(f"worker {worker.address} has no plugin of this study")
        time.sleep(0.01)
    plugin.run(number, go, params)
