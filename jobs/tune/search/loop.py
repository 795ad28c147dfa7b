"""The search: keeps all slots of the cluster busy with trials until a rule ends it. One thread, no rounds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from jobs.errors import ClusterError, InputError, UserCodeError, argument
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import PendingTrial, StudyRecorder
from jobs.tune.search.executor import Event, Pool
from jobs.tune.search.placement import Slots, Worker
from jobs.tune.search.running import RunningTrial, Watcher, overtime, stop_late
from jobs.tune.search.stopping import Limits, Rules

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
        self._began = self._peopled = time.monotonic()
        self._before = recorder.seconds
        self._handlers: dict[str, Callable[[Event], None]] = {
            "start": self._on_start,
            "report": self._on_report,
            "end": self._on_end,
            "future": self._on_future,
            "leaving": self._on_leaving,
            "gone": self._on_gone,
            "ready": self._on_ready,
        }

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
                self._look()
                self._fill()
                self._watcher.on_change(self._going.values())
                if event := self._pool.get(POLL_SECONDS):
                    self._handlers[event["kind"]](event)
                stop_late(self._going, self._pool, self._limits.trial_seconds)
            self._watcher.on_change(self._going.values())
            return why
        finally:
            self._pool.close()

    def _look(self) -> None:
        """Take over who is there, when it is time to ask the scheduler, and see to it that somebody is.

        A worker whose end a living scheduler has not told went with the last one: no trial is to blame for that.
        """
        workers = self._pool.refresh()
        for address in [] if workers is None else self._slots.update(workers):
            self._lose(address, blame=False)
        if workers is not None:
            self._relieve()
        if self._slots.total:
            self._peopled = time.monotonic()
        elif self._slots.workers:
            raise InputError(self._slots.too_small())
        elif time.monotonic() - self._peopled > self._limits.no_workers:
            raise ClusterError(f"no worker for {self._limits.no_workers:g} s ({argument('workers_timeout')})")

    def _relieve(self) -> None:
        """Take trials that have not begun from paused workers; restart one that is paused though nothing runs there."""
        idle = set()
        for address in [address for address, worker in self._slots.workers.items() if worker.paused]:
            there = {go: going for go, going in self._going.items() if going.address == address}
            for go in [go for go, going in there.items() if going.started is None]:
                self._waiting.appendleft(self._release(go).ticket)
                del there[go]
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
        go = f"{self._attempt}-{ticket.number}-{self._tries[ticket.number]}"
        self._slots.take(address, ticket.number)
        self._going[go] = RunningTrial(ticket, address, time.monotonic())
        self._pool.launch(ticket.number, go, ticket.params, address)

    def _on_start(self, event: Event) -> None:
        if going := self._known(event):
            going.started = time.monotonic()

    def _on_report(self, event: Event) -> None:
        """Record a report and answer it; a trial that is stopped has ended, though its function has yet to hear it."""
        if (going := self._known(event)) is None or going.over:
            return
        stop = self._recorder.report(event["number"], event["step"], event["value"])
        if stop or event["waits"]:
            self._pool.answer(going.address, event["go"], event["step"], "pruned" if stop else None)
        if stop:
            going.over = True
            self._end(going, Outcome("pruned", seconds=going.seconds))

    def _known(self, event: Event) -> RunningTrial | None:
        """Return a try that this attempt waits for; one that it has given up is told to end."""
        going = self._going.get(event["go"])
        if going is None:
            self._pool.answer(event["worker"], event["go"], event.get("step", 0), "abandoned")
        return going

    def _on_end(self, event: Event) -> None:
        if event["go"] not in self._going:
            return
        state, error = event["state"], event.get("error", "")
        if state == "broken":
            raise InputError(f"worker {self._going[event['go']].address}: {error}", event.get("details", ""))
        going = self._release(event["go"])
        if going.over:
            return
        if state in ("fault", "abandoned"):
            self._fault(going.ticket, error or "its worker had to let it go")
            return
        if state == "timeout" or going.late is not None:
            state, error = "failed", overtime(self._limits.trial_seconds)
        if state == "died":
            self._again(going.ticket, alone=True, why=error)
            return
        values, metrics = tuple(event.get("values", ())), event.get("metrics", {})
        self._end(going, Outcome(state, values, metrics, error, event.get("details", ""), event["seconds"]))

    def _release(self, go: str) -> RunningTrial:
        going = self._going.pop(go)
        self._pool.drop(go)
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

    def _on_future(self, event: Event) -> None:
        """Try a trial again whose task ended without a word: cancelled, or without its plugin."""
        if event["go"] in self._going and not (going := self._release(event["go"])).over:
            self._fault(going.ticket, event["error"])

    def _on_leaving(self, event: Event) -> None:
        """Note that a worker ends itself, because of a trial that an earlier attempt has left there."""
        self._leaving.add(event["worker"])

    def _on_gone(self, event: Event) -> None:
        self._lose(event["worker"], blame=not event["expected"])

    def _on_ready(self, event: Event) -> None:
        self._pool.ready(event["worker"])
        self._slots.add(event["worker"], Worker(event["threads"], event["gpus"]))

    def _lose(self, address: str, *, blame: bool) -> None:
        """Try the trials of a lost worker again; those who may have killed it where each is alone.

        A worker that left in order is nobody's fault. One that died with a single trial counts against it.
        """
        self._slots.lose(address)
        blame = blame and address not in self._leaving
        self._leaving.discard(address)
        lost = {go: going for go, going in self._going.items() if going.address == address}
        suspected = blame and all(going.late is None for going in lost.values())  # else it was ended for one's time
        for go, going in reversed(lost.items()):
            self._release(go)
            if going.over:
                continue
            if going.late is not None:
                self._end(going, Outcome("failed", error=overtime(self._limits.trial_seconds), seconds=going.seconds))
                continue
            if suspected:
                self._suspects.add(going.ticket.number)
            self._again(going.ticket, alone=suspected and len(lost) == 1, why=f"worker {address} is gone")

    def _fault(self, ticket: PendingTrial, why: str) -> None:
        """Try a trial again that the cluster or the storage has lost, after a pause; no trial is to blame for that.

        Raises:
            ClusterError: that goes on for too long.
        """
        if time.monotonic() >= self._pause:
            self._faults += 1
            self._pause = time.monotonic() + min(0.25 * 2**self._faults, PAUSE_SECONDS)
        if self._faults > FAULTS:
            raise ClusterError(f"trials are lost again and again; the last, trial {ticket.number}: {why}")
        self._again(ticket, alone=False, why=why)

    def _again(self, ticket: PendingTrial, *, alone: bool, why: str) -> None:
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
