"""Running executions: takes each through its states, with the cluster, its slots and the trials in step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial

from jobs.errors import InputError, argument, spelled
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import StudyRecorder
from jobs.tune.records.trial_source import PendingTrial
from jobs.tune.search.executor import Pool
from jobs.tune.search.placement import Slots
from jobs.tune.search.running import News, RunningTrial, news_of
from jobs.tune.search.states import ExecutionAction, ExecutionEvent, TrialEvent, of_execution
from jobs.tune.search.trial_queue import TrialQueue
from jobs.tune.trials.messages import ExecutionMessage, Reply

_UNKNOWN = PendingTrial(-1, {})
"""Stands for the trial of an execution that this attempt does not wait for."""


class Executions:
    """The executions of trials, by `search.states`.

    Args:
        recorder: the study, for reports.
        pool: the cluster.
        slots: the placement of trials on workers.
        trials: the study's trials.
        limit: seconds of a trial, if limited.
        attempt: this attempt's number, a part of each execution's id.
    """

    def __init__(
        self,
        recorder: StudyRecorder,
        pool: Pool,
        slots: Slots,
        trials: TrialQueue,
        *,
        limit: float | None,
        attempt: int,
    ) -> None:
        self._recorder, self._pool, self._slots, self._trials = recorder, pool, slots, trials
        self._limit, self._attempt = limit, attempt
        self._running: dict[str, RunningTrial] = {}
        self.actions = self._table()

    def _table(self) -> Mapping[ExecutionAction, Callable[[RunningTrial, News], None]]:
        return {
            "launch": self._launch,
            "ignore": lambda _execution, _news: None,
            "abandon": self._abandon,
            "note_start": self._note_start,
            "record_report": self._record_report,
            "reply": self._reply,
            "record_attribute": self._record_attribute,
            "stop": self._stop,
            "quit_worker": self._quit_worker,
            "refuse": self._refuse,
            "end": self._end,
            "end_pruned": self._end_pruned,
            "end_overtime": self._end_overtime,
            "paused": partial(self._pass_on, "paused"),
            "lost": partial(self._pass_on, "lost"),
            "fault": partial(self._pass_on, "fault"),
            "quarantine": partial(self._pass_on, "quarantine"),
            "lost_alone": partial(self._pass_on, "lost_alone"),
            "died": partial(self._pass_on, "died"),
        }

    @property
    def running(self) -> Collection[RunningTrial]:
        """Running executions, in the order of launches."""
        return self._running.values()

    def launch(self, trial: PendingTrial, address: str) -> None:
        """Start an execution of a trial on a worker."""
        execution_id = f"{self._attempt}-{trial.number}-{self._trials.executions(trial) + 1}"
        self.on_event(RunningTrial(execution_id, trial, address, time.monotonic()), "launch")

    def on_message(self, message: ExecutionMessage) -> None:
        """Handle a message of an execution, also of one that this attempt does not wait for.

        Raises:
            UserCodeError: too many trials have failed.
            InputError: the objective cannot be loaded on a worker.
            ClusterError: the cluster or the storage fails again and again.
        """
        execution = self._running.get(message["execution_id"])
        if execution is None:
            # Given up, or an earlier attempt's that has not noticed yet; a future's own message has no worker.
            worker = "" if message["kind"] == "future" else message["worker"]
            execution = RunningTrial(message["execution_id"], _UNKNOWN, worker, time.monotonic())
        event: ExecutionEvent = message["state"] if message["kind"] == "end" else message["kind"]
        self.on_event(execution, event, news_of(message))

    def stop_late(self) -> None:
        """Stop trials that are out of time; end the worker process of those that do not notice."""
        if self._limit is None:
            return
        now = time.monotonic()
        for execution in list(self._running.values()):  # a copy: an event may release its execution
            if event := execution.timing(self._limit, now):
                self.on_event(execution, event)

    def pause(self, address: str) -> bool:
        """Requeue what has not begun on a paused worker, and return whether nothing is left there."""
        for execution in self._on(address):
            self.on_event(execution, "worker_paused")
        return not self._on(address)

    def lose(self, address: str, *, died: bool) -> None:
        """Requeue what ran on a lost worker; what may have killed it is quarantined.

        Args:
            address: the worker's.
            died: whether a trial may have killed it; else it left in order, or with the scheduler.
        """
        self._slots.lose(address)
        lost = self._on(address)
        event: ExecutionEvent = "worker_lost"
        if died and all(execution.stopped is None for execution in lost):  # else it was ended for a timeout
            event = "worker_died_alone" if len(lost) == 1 else "worker_died"
        for execution in reversed(lost):  # each goes first in the queue, so that the order of launches is kept
            self.on_event(execution, event, News(f"worker {address} is gone"))

    def _on(self, address: str) -> list[RunningTrial]:
        return [execution for execution in self._running.values() if execution.address == address]

    def on_event(self, execution: RunningTrial, event: ExecutionEvent, news: News = News()) -> None:  # noqa: B008  frozen
        """Take an execution to its next state."""
        execution.state, action = of_execution(execution.state, event)
        if execution.state == "released":
            self._release(execution)
        self.actions[action](execution, news)

    def _release(self, execution: RunningTrial) -> None:
        # Before the action, which may end the search: its last status counts what runs.
        if self._running.pop(execution.execution_id, None):
            self._pool.drop(execution.execution_id)
            self._slots.end(execution.address, execution.trial.number)

    def _launch(self, execution: RunningTrial, news: News) -> None:
        trial = execution.trial
        self._trials.on_event(trial, "launch", news)
        self._slots.take(execution.address, trial.number)
        self._running[execution.execution_id] = execution
        self._pool.launch(trial.number, execution.execution_id, trial.params, execution.address)

    def _abandon(self, execution: RunningTrial, news: News) -> None:
        # Though nothing waits for it: until it ends, it keeps its threads of the worker from other trials.
        self._pool.answer(execution.address, execution.execution_id, news.step, "abandoned")

    def _note_start(self, execution: RunningTrial, _news: News) -> None:
        execution.started = time.monotonic()  # this clock, not the worker's

    def _record_report(self, execution: RunningTrial, news: News) -> None:
        """Record a report and answer it; a pruned trial has ended, though its function has not noticed yet."""
        stop = self._recorder.report(execution.trial.number, news.step, news.value)
        if stop or news.waits:
            self._pool.answer(execution.address, execution.execution_id, news.step, "pruned" if stop else None)
        if stop:
            self.on_event(execution, "hopeless")

    def _reply(self, execution: RunningTrial, news: News) -> None:
        assert news.request is not None
        number, request = execution.trial.number, news.request
        if request["what"] == "prune":
            value, error = float(self._recorder.prune(number, request["step"])), ""
        else:
            value, error = self._recorder.suggest(number, request["name"], json.loads(request["wanted"]))
        reply = Reply(value=value, error=error)
        self._pool.reply(execution.address, execution.execution_id, request["request"], reply)

    def _record_attribute(self, execution: RunningTrial, news: News) -> None:
        assert news.attribute is not None
        self._recorder.attribute(execution.trial.number, news.attribute["name"], json.loads(news.attribute["value"]))

    def _stop(self, execution: RunningTrial, _news: News) -> None:
        execution.stopped = time.monotonic()
        self._pool.answer(execution.address, execution.execution_id, 0, "timeout")

    def _quit_worker(self, execution: RunningTrial, _news: News) -> None:
        execution.stopped = time.monotonic()  # the call may be lost with a connection: it is retried after a while
        self._pool.quit(execution.address)

    def _refuse(self, execution: RunningTrial, news: News) -> None:
        """Raise an error that all trials would have."""
        outcome = news.outcome or Outcome("failed")
        raise InputError(f"worker {execution.address}: {outcome.error}", outcome.details)

    def _end(self, execution: RunningTrial, news: News) -> None:
        assert news.outcome is not None
        outcome = replace(news.outcome, worker=execution.address)
        self._trials.on_event(execution.trial, "end", replace(news, outcome=outcome))

    def _end_pruned(self, execution: RunningTrial, news: News) -> None:
        self._end(execution, replace(news, outcome=Outcome("pruned", seconds=execution.seconds)))

    def _end_overtime(self, execution: RunningTrial, news: News) -> None:
        """Fail a trial for its timeout, however it ended; its values and metrics are kept."""
        outcome = news.outcome or Outcome("failed", seconds=execution.seconds)
        error = f"took longer than {self._limit:g} s ({spelled(argument('trial_timeout'))})"
        self._end(execution, replace(news, outcome=replace(outcome, state="failed", error=error)))

    def _pass_on(self, event: TrialEvent, execution: RunningTrial, news: News) -> None:
        self._trials.on_event(execution.trial, event, news)
