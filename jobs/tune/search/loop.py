"""The search: keeps all slots of the cluster busy with trials until a rule ends it. One thread, no rounds."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

from jobs.errors import ClusterError, InputError, UserCodeError, argument
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import PendingTrial, StudyRecorder
from jobs.tune.search.executor import Pool
from jobs.tune.search.placement import Slots, Worker
from jobs.tune.search.running import RunningTrial, Watcher, overtime, stop_late
from jobs.tune.search.stopping import Limits, Rules
from jobs.tune.trials.messages import (
    EndEvent,
    Event,
    FutureEvent,
    ReportEvent,
    StartEvent,
)

POLL_SECONDS = 0.25
"""How often it looks for a signal or a time that is over while nothing else happens."""
GATHER_SECONDS = 1.0
"""How long the first trials wait for all workers to be ready, so that they are spread over them."""
FAULTS = 10
"""How often in a row, with pauses, tries may be lost to the cluster or the storage; once more ends the attempt."""
PAUSE_SECONDS = 10.0
"""The longest pause after such a loss."""


class Search:
    """Runs a study's trials on a pool until the rules end it.

    Args:
        recorder: the study.
        pool: the cluster.
        slots: where trials fit.
        rules: when it ends.
        limits: what ends a trial, or the job.
        watcher: who is told.
        attempt: this attempt's number, for the names of tries.
    """

    def __init__(
        self,
        recorder: StudyRecorder,
        pool: Pool,
        slots: Slots,
        *,
        rules: Rules,
        limits: Limits,
        watcher: Watcher,
        attempt: int,
    ) -> None:
        self._recorder, self._pool, self._slots, self._rules = recorder, pool, slots, rules
        self._limits, self._watcher, self._attempt = limits, watcher, attempt
        self._going: dict[str, RunningTrial] = {}
        self._tries: dict[int, int] = {}
        self._leaving: set[str] = set()
        self._waiting: deque[PendingTrial] = deque(recorder.unfinished())
        self._suspects = {ticket.number for ticket in self._waiting if ticket.losses}
        self._failures, self._faults, self._pause, self._warned = 0, 0, 0.0, False
        self._idle: set[str] = set()  # workers that were paused without a trial when they were last looked at
        self._began = time.monotonic()
        self._before = recorder.seconds

    @property
    def seconds(self) -> float:
        """Seconds of the study, all attempts together."""
        return self._before + time.monotonic() - self._began

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return len(self._slots.workers)

    def run(self) -> str:
        """Run until a rule ends the search, and return which.

        Raises:
            UserCodeError: too many trials have failed.
            InputError: the objective cannot be had on a worker, or no worker is large enough for a trial.
            ClusterError: the scheduler is gone, or there is no worker for too long.
            Stopped: what the watcher raises.
        """
        try:
            while (why := self._rules.ended(self._recorder, self.seconds)) is None:
                self._refresh_workers()
                self._fill()
                self._watcher.on_change(self._going.values())
                if event := self._pool.get(POLL_SECONDS):
                    self._on_event(event)
                stop_late(self._going, self._pool, self._limits.trial_seconds)
            self._watcher.on_change(self._going.values())
            return why
        finally:
            self._pool.close()

    def _refresh_workers(self) -> None:
        """Take over who is there, when it is time to ask the scheduler, and see to it that somebody is.

        A worker whose end a living scheduler has not told went with the last one: no trial is to blame for that.
        """
        workers = self._pool.refresh()
        for address in [] if workers is None else self._slots.update(workers):
            self._lose(address, blame=False)
        if workers is not None:
            self._drain_paused()
        if not self._slots.total:
            if self._slots.workers:
                raise InputError(self._slots.too_small())
            self._pool.check_workers()

    def _drain_paused(self) -> None:
        """Take trials that have not begun from paused workers; restart one that is paused though nothing runs there."""
        idle = set()
        for address in [address for address, worker in self._slots.workers.items() if worker.paused]:
            there = {one: going for one, going in self._going.items() if going.address == address}
            for one in [one for one, going in there.items() if going.started is None]:
                self._waiting.appendleft(self._release(one).ticket)
                del there[one]
            if not there:
                idle.add(address)
        for address in idle & self._idle:
            why = "is short of memory though no trial runs there (--isolate gives the memory of each trial back)"
            self._watcher.say("memory", f"worker {address} {why}, and is started again")
            self._pool.quit(address)
        self._idle = idle - self._idle

    def _fill(self) -> None:
        """Start trials while there are slots: first those that were lost, suspects only where they are alone."""
        now = time.monotonic()
        if now < self._pause or (now - self._began < GATHER_SECONDS and not self._slots.gathered):
            return
        for ticket in list(self._waiting):
            alone = ticket.number in self._suspects
            address = self._slots.alone(ticket.number) if alone else self._slots.free()
            if address is not None:
                self._waiting.remove(ticket)
                self._launch(ticket, address)
        while self._recorder.asked < self._rules.trials and (address := self._slots.free()) is not None:
            self._launch(self._recorder.ask(), address)

    def _launch(self, ticket: PendingTrial, address: str) -> None:
        self._tries[ticket.number] = self._tries.get(ticket.number, 0) + 1
        execution_id = f"{self._attempt}-{ticket.number}-{self._tries[ticket.number]}"
        self._slots.take(address, ticket.number)
        self._going[execution_id] = RunningTrial(ticket, address, time.monotonic())
        self._pool.launch(ticket.number, execution_id, ticket.params, address)

    def _on_event(self, event: Event) -> None:
        if event["kind"] == "start":
            self._on_start(event)
        elif event["kind"] == "report":
            self._on_report(event)
        elif event["kind"] == "end":
            self._on_end(event)
        elif event["kind"] == "future":
            self._on_future(event)
        elif event["kind"] == "leaving":
            self._leaving.add(event["worker"])  # because of a trial that an earlier attempt has left there
        elif event["kind"] == "gone":
            self._lose(event["worker"], blame=not event["expected"])
        else:
            self._pool.ready(event["worker"])
            self._slots.add(event["worker"], Worker(event["threads"], event["gpus"]))

    def _on_start(self, event: StartEvent) -> None:
        if going := self._known(event):
            going.started = time.monotonic()

    def _on_report(self, event: ReportEvent) -> None:
        """Record a report and answer it; a trial that is stopped has ended, though its function has yet to hear it."""
        if (going := self._known(event)) is None or going.over:
            return
        stop = self._recorder.report(event["number"], event["step"], event["value"])
        if stop or event["waits"]:
            self._pool.answer(going.address, event["execution_id"], event["step"], "pruned" if stop else None)
        if stop:
            going.over = True
            self._end(going, Outcome("pruned", seconds=going.seconds))

    def _known(self, event: StartEvent | ReportEvent) -> RunningTrial | None:
        """Return a try that this attempt waits for; one that it has given up is told to end."""
        going = self._going.get(event["execution_id"])
        if going is None:
            step = event["step"] if event["kind"] == "report" else 0
            self._pool.answer(event["worker"], event["execution_id"], step, "abandoned")
        return going

    def _on_end(self, event: EndEvent) -> None:
        if event["execution_id"] not in self._going:
            return
        state, error = event["state"], event.get("error", "")
        if state == "broken":
            raise InputError(f"worker {self._going[event['execution_id']].address}: {error}", event.get("details", ""))
        going = self._release(event["execution_id"])
        if going.over:
            return
        if state == "fault" or state == "abandoned":  # noqa: PLR1714  `in` would not narrow the type
            self._requeue_after_fault(going.ticket, error or "its worker had to let it go")
            return
        if state == "timeout" or going.late is not None:
            state, error = "failed", overtime(self._limits.trial_seconds)
        if state == "died":
            self._requeue(going.ticket, alone=True, why=error)
            return
        values, metrics = tuple(event.get("values", ())), event.get("metrics", {})
        self._end(going, Outcome(state, values, metrics, error, event.get("details", ""), event["seconds"]))

    def _release(self, execution_id: str) -> RunningTrial:
        going = self._going.pop(execution_id)
        self._pool.drop(execution_id)
        self._slots.end(going.address, going.ticket.number)
        return going

    def _end(self, going: RunningTrial, outcome: Outcome) -> None:
        """Record how a trial ended.

        Raises:
            UserCodeError: too many have failed.
        """
        number = going.ticket.number
        outcome = replace(outcome, worker=going.address, tries=self._tries[number])
        self._suspects.discard(number)
        self._faults = 0
        self._recorder.tell(number, outcome, self.seconds)
        self._watcher.on_end(number, outcome)
        if outcome.state == "failed":
            self._failures += 1
            if self._failures > self._limits.failures:
                raise UserCodeError(
                    f"{self._failures:,} trials have failed ({argument('max_failures')} {self._limits.failures}); the "
                    f"last, trial {number}: {outcome.error}",
                    outcome.details,
                )
        elif outcome.state == "complete" and not self._warned and not self._recorder.reported and self._recorder.prunes:
            self._warned = True
            self._watcher.say(
                "pruner",
                "the objective has reported nothing, so no trial is stopped early: call trial.report(value, step), or "
                "say --pruner none",
            )

    def _on_future(self, event: FutureEvent) -> None:
        """Try a trial again whose task ended without a word: cancelled, or without its plugin."""
        if event["execution_id"] in self._going and not (going := self._release(event["execution_id"])).over:
            self._requeue_after_fault(going.ticket, event["error"])

    def _lose(self, address: str, *, blame: bool) -> None:
        """Try the trials of a lost worker again; those who may have killed it where each is alone.

        A worker that left in order is nobody's fault. One that died with a single trial counts against it.
        """
        self._slots.lose(address)
        blame = blame and address not in self._leaving
        self._leaving.discard(address)
        lost = {one: going for one, going in self._going.items() if going.address == address}
        suspected = blame and all(going.late is None for going in lost.values())  # else it was ended for one's time
        for execution_id, going in reversed(lost.items()):
            self._release(execution_id)
            if going.over:
                continue
            if going.late is not None:
                self._end(going, Outcome("failed", error=overtime(self._limits.trial_seconds), seconds=going.seconds))
                continue
            if suspected:
                self._suspects.add(going.ticket.number)
            self._requeue(going.ticket, alone=suspected and len(lost) == 1, why=f"worker {address} is gone")

    def _requeue_after_fault(self, ticket: PendingTrial, why: str) -> None:
        """Try a trial again that the cluster or the storage has lost, after a pause; no trial is to blame for that.

        Raises:
            ClusterError: that goes on for too long.
        """
        if time.monotonic() >= self._pause:
            self._faults += 1
            self._pause = time.monotonic() + min(0.25 * 2**self._faults, PAUSE_SECONDS)
        if self._faults > FAULTS:
            raise ClusterError(f"trials are lost again and again; the last, trial {ticket.number}: {why}")
        self._requeue(ticket, alone=False, why=why)

    def _requeue(self, ticket: PendingTrial, *, alone: bool, why: str) -> None:
        """Put a lost trial first in the queue; fail it if it was lost too often while it was alone."""
        if alone:
            ticket = replace(ticket, losses=ticket.losses + 1)
            self._recorder.lost(ticket.number, ticket.losses)
        if ticket.losses >= self._limits.losses:
            error = f"lost {ticket.losses} times while it ran alone (memory?); the last time: {why}"
            self._end(RunningTrial(ticket, "", time.monotonic()), Outcome("failed", error=error))
            return
        self._watcher.say("again", f"trial {ticket.number} is tried again: {why}")
        self._waiting.appendleft(ticket)
