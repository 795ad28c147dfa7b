"""The rules by which a search ends, and the limits of a trial and of the job."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from jobs.errors import argument, spelled
from jobs.tune.records.recorder import StudyRecorder


@dataclass(frozen=True)
class Rules:
    """The limits of a search; None sets no limit.

    Attributes:
        trials: trials of the study.
        seconds: seconds of the study, all attempts together.
        target: a score that is good enough.
        patience: trials without a better one.
        stop: set to end the search.
    """

    trials: int
    seconds: float | None = None
    target: float | None = None
    patience: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def ended(self, recorder: StudyRecorder, seconds: float) -> str | None:
        """Return the rule, in words, by which the search has ended after so many seconds of the study; None if not."""
        if recorder.done >= self.trials:
            return f"all {self.trials:,} trials are done"
        if recorder.stopped or self.stop.is_set():
            return "a callback has stopped the search" if recorder.stopped else "stopped by Study.stop()"
        if self.target is not None and recorder.best is not None:
            value = float(recorder.best.value or 0.0)
            if value >= self.target if recorder.maximize else value <= self.target:
                option = f"{spelled(argument('target'))} {self.target:g}"
                return f"trial {recorder.best.number} has reached the target: {value:.6g} ({option})"
        if self.patience is not None and recorder.best is not None and recorder.since_best >= self.patience:
            return (
                f"no better score in {recorder.since_best:,} trials ({spelled(argument('patience'))} {self.patience})"
            )
        if self.seconds is not None and seconds >= self.seconds:
            return f"the time is over ({spelled(argument('max_seconds'))} {self.seconds:g})"
        return None


@dataclass(frozen=True)
class Limits:
    """What ends a trial or the job from within.

    Attributes:
        trial_seconds: seconds of a trial, if limited.
        failures: maximum failed trials.
        losses: maximum losses of a trial alone on a worker; one that has had so many is failed.
        alike: whether the first trials end the job if all of them fail with one type of exception.
    """

    trial_seconds: float | None
    failures: int
    losses: int
    alike: bool = False
