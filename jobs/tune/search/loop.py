"""The search: keeps all slots of the cluster busy with trials until a rule ends it. One thread, no rounds."""

from __future__ import annotations

import time

from jobs.errors import InputError
from jobs.tune.records.recorder import StudyRecorder
from jobs.tune.search.executions import Executions
from jobs.tune.search.executor import Pool
from jobs.tune.search.placement import Slots, Worker
from jobs.tune.search.running import Watcher
from jobs.tune.search.stopping import Limits, Rules
from jobs.tune.search.trial_queue import TrialQueue
from jobs.tune.trials.messages import Event

POLL_SECONDS = 0.25
"""Interval of checks for signals and time limits while no event comes."""
GATHER_SECONDS = 1.0
"""How long the first trials wait for all workers to be ready, so that they are spread over them."""


class Search:
    """Runs a study's trials on a pool until the rules end it.

    Args:
        recorder: the study.
        pool: the cluster.
        slots: the placement of trials on workers.
        rules: when the search ends.
        limits: what ends a trial, or the job.
        watcher: observes the search.
        attempt: this attempt's number, for the ids of executions.
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
        self._watcher = watcher
        self._began = time.monotonic()
        self._before = recorder.seconds
        self._trials = TrialQueue(recorder, limits, watcher, lambda: self.seconds, lambda: self.workers)
        self._executions = Executions(recorder, pool, slots, self._trials, limit=limits.trial_seconds, attempt=attempt)
        self._leaving: set[str] = set()
        self._idle: set[str] = set()  # workers that were paused without a trial at the last refresh

    @property
    def seconds(self) -> float:
        """Seconds of the study, all attempts together."""
        return self._before + time.monotonic() - self._began

    @property
    def workers(self) -> int:
        """Number of workers."""
        return len(self._slots.workers)

    def run(self) -> str:
        """Run until a rule ends the search, and return which.

        Raises:
            UserCodeError: too many trials have failed, or the first ones alike.
            InputError: the objective cannot be loaded on a worker, or no worker is large enough for a trial.
            ClusterError: the scheduler is gone, or there is no worker for too long.
            Stopped: what the watcher raises.
        """
        try:
            while (why := self._rules.ended(self._recorder, self.seconds)) is None:
                self._trials.check_failures()
                self._refresh_workers()
                self._fill()
                self._watcher.on_change(self._executions.running)
                # One event, then the rules again: a target may be reached, and nothing is to be launched any more.
                if event := self._pool.get(POLL_SECONDS):
                    self._on_event(event)
                self._executions.stop_late()
            # The last event came after the loop's own call, and may have changed what runs.
            self._watcher.on_change(self._executions.running)
            return why
        finally:
            self._pool.close()

    def _refresh_workers(self) -> None:
        """Take over the membership, when a refresh is due, and check that there is a worker."""
        workers = self._pool.refresh()
        # A worker whose end a living scheduler has not sent went with the last one: no trial is the cause of that.
        for address in [] if workers is None else self._slots.update(workers):
            self._lose(address, died=False)
        if workers is not None:
            self._drain_paused()
        if not self._slots.total:
            if self._slots.workers:
                raise InputError(self._slots.too_small())
            self._pool.check_workers()

    def _drain_paused(self) -> None:
        """Requeue trials that have not begun on paused workers; restart a worker that is paused while it is idle."""
        paused = [address for address, worker in self._slots.workers.items() if worker.paused]
        idle = {address for address in paused if self._executions.pause(address)}
        # Twice in a row: memory that a trial has just left may be freed by the next refresh.
        for address in idle & self._idle:
            why = "is short of memory though no trial runs there (--isolate gives the memory of each trial back)"
            self._watcher.log("memory", f"worker {address} {why}, and is started again")
            self._pool.quit(address)
        self._idle = idle - self._idle

    def _fill(self) -> None:
        """Launch trials while there are slots, requeued ones first; those in quarantine each on a worker of its own."""
        if self._trials.pausing:
            return
        if time.monotonic() - self._began < GATHER_SECONDS and not self._slots.gathered:
            return
        for trial in self._trials.waiting:  # a copy: a launch takes its trial away
            quarantined = self._trials.is_quarantined(trial)
            address = self._slots.quarantine(trial.number) if quarantined else self._slots.free()
            if address is not None:
                self._executions.launch(trial, address)
        while self._recorder.asked < self._rules.trials and (address := self._slots.free()) is not None:
            self._executions.launch(self._trials.ask(), address)

    def _on_event(self, event: Event) -> None:
        if event["kind"] == "ready":
            # Both: the slots, and the pool, whose next refresh replaces the slots' workers.
            self._pool.ready(event)
            self._slots.add(event["worker"], Worker(event["threads"], event["gpus"]))
        elif event["kind"] == "leaving":
            self._leaving.add(event["worker"])  # because of a trial that an earlier attempt has left there
        elif event["kind"] == "gone":
            self._lose(event["worker"], died=not event["expected"])
        else:
            self._executions.on_message(event)

    def _lose(self, address: str, *, died: bool) -> None:
        self._executions.lose(address, died=died and address not in self._leaving)
        self._leaving.discard(address)
