"""A study's trials on the driver: which wait for a slot, which are in quarantine, and how each ends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from jobs.errors import ClusterError, UserCodeError, argument, spelled
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import StudyRecorder
from jobs.tune.records.trial_source import PendingTrial
from jobs.tune.search.running import News, Watcher
from jobs.tune.search.states import TrialAction, TrialEvent, TrialState, of_trial
from jobs.tune.search.stopping import Limits

LOST: tuple[TrialEvent, ...] = ("lost", "quarantine", "lost_alone")
"""Events of a trial whose worker is gone."""
ALIKE = 3
"""Trials, or as many as there are workers, whose failures are a bug if none has had another end."""
FAULTS = 10
"""Maximum faults of the cluster or the storage in a row, with pauses between; one more ends the attempt."""
PAUSE_SECONDS = 10.0
"""The longest pause after such a fault."""


class TrialQueue:
    """Takes trials through their states, as `search.states` has them.

    Args:
        recorder: the study; the unfinished trials of an earlier attempt are queued at once.
        limits: what ends a trial, or the job.
        watcher: observes the search.
        clock: returns the seconds of the study, all attempts together.
        workers: returns the number of workers.
    """

    def __init__(
        self,
        recorder: StudyRecorder,
        limits: Limits,
        watcher: Watcher,
        clock: Callable[[], float],
        workers: Callable[[], int],
    ) -> None:
        self._recorder, self._limits, self._watcher, self._clock = recorder, limits, watcher, clock
        self._workers, self._kinds, self._last = workers, set[str](), ("", "")
        self._waiting: deque[PendingTrial] = deque(recorder.unfinished())
        # Those that were lost alone may have killed a worker of the last attempt.
        self._states: dict[int, TrialState] = {
            trial.number: "quarantined" if trial.losses else "pending" for trial in self._waiting
        }
        self._executions: dict[int, int] = {}
        self._lost: dict[int, int] = {}
        self._failures, self._faults, self._pause, self._warned = 0, 0, 0.0, False
        self.actions: dict[TrialAction, Callable[[PendingTrial, News], None]] = {
            "launch": self._launch,
            "put_back": self._put_back,
            "requeue": self._requeue,
            "requeue_after_fault": self._requeue_after_fault,
            "count_loss": self._count_loss,
            "record": self._record,
        }

    @property
    def pausing(self) -> bool:
        """Whether no trial is to be launched now, since the cluster or the storage has just failed."""
        return time.monotonic() < self._pause

    @property
    def waiting(self) -> list[PendingTrial]:
        """The queued trials, those that were requeued last first."""
        return list(self._waiting)

    def is_quarantined(self, trial: PendingTrial) -> bool:
        """Return whether a queued trial is in quarantine."""
        return self._states[trial.number] == "quarantined"

    def ask(self) -> PendingTrial:
        """Return a new trial of the study, to be launched at once."""
        trial = self._recorder.ask()
        self._states[trial.number] = "pending"
        return trial

    def executions(self, trial: PendingTrial) -> int:
        """Return the number of a trial's executions in this attempt."""
        return self._executions.get(trial.number, 0)

    def on_event(self, trial: PendingTrial, event: TrialEvent, news: News) -> None:
        """Take a trial to its next state.

        Raises:
            UserCodeError: too many trials have failed.
            ClusterError: the cluster or the storage fails again and again.
        """
        self._states[trial.number], action = of_trial(self._states[trial.number], event)
        self.actions[action](trial, news)
        if event in LOST and self._states[trial.number] != "ended":
            self._lost[trial.number] = self._lost.get(trial.number, 0) + 1

    def _launch(self, trial: PendingTrial, _news: News) -> None:
        self._executions[trial.number] = self.executions(trial) + 1
        if trial in self._waiting:
            self._waiting.remove(trial)

    def _put_back(self, trial: PendingTrial, _news: News) -> None:
        self._waiting.appendleft(trial)

    def _requeue(self, trial: PendingTrial, news: News) -> None:
        """Put a lost trial first in the queue; fail it if it was lost too often while it ran alone."""
        if trial.losses >= self._limits.losses:
            error = f"lost {trial.losses} times while it ran alone (memory?); the last time: {news.why}"
            self.on_event(trial, "end", News(outcome=Outcome("failed", error=error)))
            return
        self._watcher.log("again", f"trial {trial.number} is tried again: {news.why}")
        self._put_back(trial, news)

    def _count_loss(self, trial: PendingTrial, news: News) -> None:
        trial = replace(trial, losses=trial.losses + 1)
        # In the journal before the trial is requeued: an attempt that resumes here begins with it in quarantine.
        self._recorder.lost(trial.number, trial.losses)
        self._requeue(trial, news)

    def _requeue_after_fault(self, trial: PendingTrial, news: News) -> None:
        """Requeue a trial after a fault of the cluster or the storage, with a pause; no trial is the cause of it."""
        # One outage loses all running trials: what comes while the search pauses for it anyway is the same fault.
        if not self.pausing:
            self._faults += 1
            # 0.5, 1, 2, ... s: ten pauses, before one fault more ends the attempt, make about a minute.
            self._pause = time.monotonic() + min(0.25 * 2**self._faults, PAUSE_SECONDS)
        if self._faults > FAULTS:
            raise ClusterError(f"trials are lost again and again; the last, trial {trial.number}: {news.why}")
        self._requeue(trial, news)

    def _record(self, trial: PendingTrial, news: News) -> None:
        """Record how a trial ended."""
        assert news.outcome is not None
        outcome = replace(news.outcome, tries=self.executions(trial), lost_executions=self._lost.get(trial.number, 0))
        self._faults = 0  # faults in a row: a trial's end shows that cluster and storage work
        self._recorder.tell(trial.number, outcome, self._clock())
        self._watcher.on_end(trial.number, outcome)
        if outcome.state == "failed":
            self._count_failure(trial, outcome)
        elif outcome.state == "complete":
            self._warn_of_silence()

    def _count_failure(self, trial: PendingTrial, outcome: Outcome) -> None:
        self._failures += 1
        # Without a traceback it is no exception: a timeout, or a trial that was lost too often.
        self._kinds.add(outcome.error.partition(":")[0] if outcome.details else f"trial {trial.number}")
        self._last = f"the last, trial {trial.number}: {outcome.error}", outcome.details
        if self._failures > self._limits.failures:
            last, details = self._last
            limit = f"{argument('max_failures')} {self._limits.failures}"
            raise UserCodeError(f"{self._failures:,} trials have failed ({limit}); {last}", details)

    def check_failures(self) -> None:
        """Check that not all trials have failed so far, with one type of exception, and enough of them for a bug.

        Raises:
            UserCodeError: they have.
        """
        enough = self._failures >= max(ALIKE, self._workers())
        alike = len(self._kinds) == 1 and self._recorder.counts["failed"] == self._recorder.done
        if self._limits.alike and enough and alike:
            last, details = self._last
            more = f"then {argument('retry')} failed runs them again; {argument('max_failures')} 20 would go on"
            where = f"see failures/ in {argument('run')}"
            raise UserCodeError(
                f"the first {self._failures} trials have all failed alike; {where}; {more}; {last}", details
            )

    def _warn_of_silence(self) -> None:
        """Log once that no trial can be pruned, where trials end without a report."""
        if not self._warned and not self._recorder.reported and self._recorder.prunes:
            self._warned = True
            self._watcher.log(
                "pruner",
                spelled(
                    "the objective has reported nothing, so no trial is stopped early: call trial.report(value, step), "
                    f"or set {argument('pruner')} to none"
                ),
            )
