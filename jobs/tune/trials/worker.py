"""Trials inside a Dask worker: the task that runs one trial, and the plugin by which the driver reaches it.

Messages to the driver are Dask events (`Worker.log_event`), pushed by the scheduler to the client. Messages from the
driver are calls of the plugin, on the worker's event loop: neither takes a task slot, and neither side polls.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import Any, cast

from distributed import Worker, get_worker

from jobs.arithmetic import arithmetic
from jobs.cluster.plugin import CallPlugin
from jobs.errors import ClusterError, JobError
from jobs.tune.trials import subprocess as isolated
from jobs.tune.trials.code import checked
from jobs.tune.trials.execution import Settings, Task, clean, run
from jobs.tune.trials.messages import Event, ExecutionEnd, Reply, StopReason
from jobs.tune.trials.objective import Function
from jobs.tune.trials.trial import Signal

PLUGIN_SECONDS = 1.0
"""Maximum wait of a task for its plugin, which may be late on a new worker, or gone with its study."""
KILLED = 7
"""Exit code of a worker process that is ended because of a trial that does not end."""
GIVEN_UP_SECONDS = 5.0
"""Grace period of a trial of a study that has ended, or of an earlier attempt."""
LEFTOVERS = "dask_jobs_left"
"""Attribute of a Dask worker: signals of trials that were given up and still run there, of any study."""
ANNOUNCE_SECONDS = 0.05
"""Interval of checks whether such trials have ended."""
LAST_MESSAGE_SECONDS = 1.0
"""Time for a last message to leave this process."""


class TrialPlugin(CallPlugin):
    """One study in one worker process: its function, loaded once, and a signal for each running execution.

    An execution is distinguished from all others by its id, the driver's attempt and a count. All that the worker's
    event loop and the trials' threads share is a `Signal`.
    """

    purpose = "run trials"

    def __init__(self, study: str, key: str, settings: Settings) -> None:
        super().__init__(key)
        self.study, self.settings = study, settings

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop: imports no user code."""
        # All that a trial's thread needs before `worker` is set: from then on `run_trial` takes this plugin.
        self._signals: dict[str, Signal] = {}
        # An attribute of the worker, not of a plugin: the next study has to wait for what any other has left here.
        self._left: set[Signal] = worker.__dict__.setdefault(LEFTOVERS, set())
        self.closed = False
        self._lock = threading.Lock()
        self._function: Function | None = None
        super().setup(worker)
        for other in worker.plugins.values():
            if isinstance(other, TrialPlugin) and other.study == self.study and other is not self:
                other.give_up()  # an earlier attempt's, whose driver has not noticed yet
        # Once per process, for all studies: a logger ignores a filter that it has already.
        logging.getLogger("distributed.worker.state_machine").addFilter(_quiet)
        self._announce()

    def _announce(self) -> None:
        """Announce that this worker takes trials, once those that an earlier attempt or study left here have ended."""
        if self.closed:
            return
        if self._left:
            self.worker.loop.call_later(ANNOUNCE_SECONDS, self._announce)
            return
        state = self.worker.state
        gpus = float(state.total_resources.get("GPU", 0.0))
        self.send(
            {
                "kind": "ready",
                "worker": self.worker.address,
                "threads": state.nthreads,
                "gpus": gpus,
                "arithmetic": arithmetic(later=True),  # the objective, which may be of TensorFlow, is not loaded yet
            }
        )

    def teardown(self, worker: Worker) -> None:
        """Called by Dask when the plugin is removed: its study has ended, or its driver is gone."""
        super().teardown(worker)
        self.give_up()

    @property
    def is_open(self) -> bool:
        """Whether the plugin is set up and takes trials."""
        return hasattr(self, "worker") and not self.closed

    def give_up(self) -> None:
        """End the trials that still run.

        One that does not notice, since it never reports, would keep its thread from later trials.
        """
        if self.closed:
            return
        self.closed = True
        for signal in list(self._signals.values()):  # a copy: the threads of trials take theirs away
            self._left.add(signal)
            signal.answer(0, "abandoned")
        self.worker.loop.call_later(GIVEN_UP_SECONDS, self._leave)  # also after the plugin has gone

    def _leave(self) -> None:
        """End this process if a trial that was given up still runs, after a message to all studies on this worker."""
        if self._signals:
            for plugin in self.worker.plugins.values():
                if isinstance(plugin, TrialPlugin):
                    plugin.send({"kind": "leaving", "worker": self.worker.address})
            # Later: `send` only queues the message, which a process that ends at once would lose.
            self.worker.loop.call_later(LAST_MESSAGE_SECONDS, self._end_process)

    def _end_process(self) -> None:
        """End this process: a release's worker replaces itself, a nanny, or what else started it, starts another."""
        if replace := getattr(self.worker, "replace", None):
            replace()
        # Not `sys.exit`: that would wait for the thread that does not end.
        os._exit(KILLED)

    async def answer(self, *, execution_id: str, step: int, reason: StopReason | None) -> None:
        """Receive the driver's decision about a step of one execution, which may have ended meanwhile."""
        if signal := self._signals.get(execution_id):
            signal.answer(step, reason)

    async def respond(self, *, execution_id: str, request: int, response: Reply) -> None:
        """Receive the driver's reply to a request of one execution, which may have ended meanwhile."""
        if signal := self._signals.get(execution_id):
            signal.reply(request, response)

    async def quit(self) -> None:
        """End this process, and with it a trial that does not end by itself."""
        self._end_process()

    def function(self) -> Function:
        """Return the user's function, loaded by the first trial that needs it, in its thread.

        Raises:
            InputError: it cannot be imported here.
        """
        with self._lock:  # also while it is imported: the worker's other first trials wait for the same one
            self._function = self._function or checked(self.settings.source, self.settings.code)
            return self._function

    def send(self, event: Event) -> None:
        """Send an event to the driver, from any thread."""
        self.worker.log_event(self.key, event)  # off the event loop Dask defers it to there

    def run(self, number: int, execution_id: str, params: dict[str, Any]) -> None:
        """Run one execution of a trial, and send the driver its start and its end."""
        if self.closed:
            # Raised, not sent: the future ends with it, so that the driver registers its plugin anew.
            raise ClusterError(f"worker {self.worker.address} has given this study up")
        signal = self._signals[execution_id] = Signal()
        worker = self.worker.address
        try:
            self.send({"kind": "start", "execution_id": execution_id, "worker": worker, "number": number})
            began = time.monotonic()
            end = self._execute(number, execution_id, params, signal)
            seconds = time.monotonic() - began
            self.send(
                {
                    **end,
                    "kind": "end",
                    "execution_id": execution_id,
                    "worker": worker,
                    "number": number,
                    "seconds": seconds,
                }
            )
        finally:
            # After `end` is sent: for `_leave` and `_announce` this thread is busy until then.
            del self._signals[execution_id]
            self._left.discard(signal)

    def _execute(self, number: int, execution_id: str, params: dict[str, Any], signal: Signal) -> ExecutionEnd:
        task = Task(self.settings, number, execution_id, params, self.worker.address, self._scratch())
        link = _Link(self, execution_id, number)
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
    execution_id: str
    number: int

    def send(self, **message: Any) -> None:
        where = {"execution_id": self.execution_id, "worker": self.plugin.worker.address, "number": self.number}
        self.plugin.send(cast("Event", {**message, **where}))


def _quiet(record: logging.LogRecord) -> bool:
    """Return False for Dask's warning that a task was cancelled while it ran, where it is a trial that we gave up."""
    return "execute('tune-" not in record.getMessage()


def run_trial(key: str, number: int, execution_id: str, params: dict[str, Any]) -> None:
    """Run one execution of a trial; the Dask task.

    Raises:
        ClusterError: this worker has no plugin for the study.
    """
    worker = get_worker()
    deadline = time.monotonic() + PLUGIN_SECONDS
    while (plugin := _plugin(worker, key)) is None:
        if time.monotonic() > deadline:
            raise ClusterError(f"worker {worker.address} has no plugin of this study")
        time.sleep(0.01)  # a task's thread, which nothing else needs meanwhile
    plugin.run(number, execution_id, params)


def _plugin(worker: Worker, key: str) -> TrialPlugin | None:
    """Return the study's plugin; by its key, since each registration has a name of its own, see `Membership.name`."""
    # A copy: this is a trial's thread, and the event loop may add a plugin at any time.
    plugins = [plugin for plugin in list(worker.plugins.values()) if isinstance(plugin, TrialPlugin)]
    return next((plugin for plugin in plugins if plugin.key == key and plugin.is_open), None)
