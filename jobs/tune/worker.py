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
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Worker, get_worker
from distributed.diagnostics.plugin import WorkerPlugin

from jobs.errors import ClusterError, JobError
from jobs.storage import open_storage
from jobs.tune.checkpoint import Checkpoint
from jobs.tune.objective import Function, Source, finite, scores, wants_trial
from jobs.tune.trial import Signal, Stop, Trial

PLUGIN_SECONDS = 1.0
"""How long a task waits for its plugin: it may be late on a new worker, or gone with its study."""
KILLED = 7
"""Exit code of a worker process that is ended because of a trial that does not end."""
GIVEN_UP_SECONDS = 5.0
"""How long a trial of a study that has ended, or of an earlier attempt, may take to notice."""
WORD_SECONDS = 1.0
"""How long a last word may take to leave this process."""
KEPT = ("complete", "lost", "abandoned")
"""Ends after which a trial's checkpoint stays in the run folder: another try may go on from it, or a person."""
DETAILS = 20_000
"""Characters of a traceback that are kept: its end says most."""


@dataclass(frozen=True)
class Settings:
    """What is the same for all trials of a study, as workers need it."""

    source: Source
    run: str
    seed: int
    threads: int
    fixed: dict[str, Any]
    metrics: tuple[str, ...]
    constraints: tuple[str, ...]


class TrialPlugin(WorkerPlugin):  # type: ignore[misc]  # distributed is untyped here
    """One study in one worker process: its function, made once, and a signal for each running try.

    A try is told from all others by `go`, the driver's attempt and a count. All that the driver's event loop and the
    trials' threads share is a `Signal`.
    """

    def __init__(self, key: str, settings: Settings) -> None:
        self.name = self.key = key
        self.settings = settings

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop: only names the handlers, imports nothing of the user's."""
        self.worker = worker
        self._signals: dict[str, Signal] = {}
        self._lock = threading.Lock()
        self._function: Function | None = None
        worker.handlers[f"{self.key}-answer"] = self.answer
        worker.handlers[f"{self.key}-quit"] = self.quit
        logging.getLogger("distributed.worker.state_machine").addFilter(_quiet)
        worker.log_event(self.key, {"kind": "ready", "worker": worker.address})

    def teardown(self, worker: Worker) -> None:
        """Called by Dask when the plugin goes, or another attempt's takes its place: trials that still run end.

        One that does not notice, since it never reports, would keep its thread from those that come after it.
        """
        for call in ("answer", "quit"):
            worker.handlers.pop(f"{self.key}-{call}", None)
        for signal in list(self._signals.values()):
            signal.answer(0, "abandoned")
        worker.loop.call_later(GIVEN_UP_SECONDS, self._leave)

    def _leave(self) -> None:
        """End this process if a trial that was given up still runs, after a word to the driver that will miss it."""
        if self._signals:
            self.worker.log_event(self.key, {"kind": "leaving", "worker": self.worker.address})
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
            self._function = self._function or self.settings.source()
            return self._function

    def send(self, go: str, **message: Any) -> None:
        """Send a message about a try to the driver, from any thread."""
        self.worker.log_event(self.key, {"go": go, "worker": self.worker.address, **message})

    def run(self, number: int, go: str, params: dict[str, Any]) -> None:
        """Run one try of a trial, and tell the driver when it starts and how it ends."""
        signal = self._signals[go] = Signal()
        try:
            self.send(go, kind="start", number=number)
            began = time.monotonic()
            end = self._try(number, go, params, signal)
            self.send(go, kind="end", number=number, seconds=time.monotonic() - began, **end)
        finally:
            del self._signals[go]

    def _try(self, number: int, go: str, params: dict[str, Any], signal: Signal) -> dict[str, Any]:
        try:
            function = self.function()
        except JobError as error:
            return {"state": "broken", "error": str(error), "details": error.details}
        trial = self._trial(number, go, params, signal)
        end = _call(function, trial, self.settings)
        trial.close(keep=end["state"] in KEPT)
        return end

    def _trial(self, number: int, go: str, params: dict[str, Any], signal: Signal) -> Trial:
        settings, scratch = self.settings, self.worker.local_directory or tempfile.gettempdir()
        return Trial(
            number,
            {**settings.fixed, **params},
            seed=trial_seed(settings.seed, number),
            workers=(self.worker.address,),
            threads=settings.threads,
            link=_Link(self, go, number),
            signal=signal,
            checkpoint=lambda: Checkpoint(open_storage(settings.run), number, go, str(Path(scratch) / "trials")),
        )


@dataclass(frozen=True)
class _Link:
    plugin: TrialPlugin
    go: str
    number: int

    def send(self, **message: Any) -> None:
        self.plugin.send(self.go, number=self.number, **message)


def _call(function: Function, trial: Trial, settings: Settings) -> dict[str, Any]:
    """Call the user's function, and say how that ended: state, and values and metrics, or error and details."""
    try:
        returned = function(dict(trial.params), trial) if wants_trial(function) else function(dict(trial.params))
        if trial.ended is None:
            values, metrics = scores(returned, settings.metrics, settings.constraints)
            trial.save()
            if not finite([*values, *(metrics[name] for name in settings.constraints)]):
                return {"state": "diverged"}
            metrics = {name: value for name, value in metrics.items() if finite([value])}
            return {"state": "complete", "values": values, "metrics": metrics}
    except Stop:
        pass
    except ClusterError as error:
        return {"state": "lost", "error": str(error)}
    except BaseException as error:  # noqa: BLE001  also sys.exit() in a trial must end that trial only
        if trial.ended is None:
            return {"state": "failed", "error": _line(error), "details": traceback.format_exc()[-DETAILS:]}
    return {"state": trial.ended or "pruned"}


def _line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return type(error).__name__ + (f": {text[0][:300]}" if text else "")


def trial_seed(seed: int, number: int) -> int:
    """Return the seed of trial `number` of a study with `seed`."""
    return int(np.random.SeedSequence([seed, number, 1]).generate_state(1)[0])


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
