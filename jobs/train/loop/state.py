"""What the loop over epochs keeps, what it is asked for, and what sees how it goes."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.train.loop.callbacks import monitored
from jobs.train.loop.timeline import Record
from jobs.train.process.messages import Status

History = dict[str, list[float]]


@dataclass
class FitState:
    """The driver's part of a run's state; all of it is in each checkpoint.

    Attributes:
        history: name -> value at the end of each epoch.
        seconds: of all attempts together.
        best: the lowest monitored loss, and its step.
        ended: why the training ended before its last epoch.
        workers: which worker took part when, in earlier attempts.
    """

    history: History = field(default_factory=dict)
    seconds: float = 0.0
    best: tuple[float, int] | None = None
    ended: str = ""
    workers: list[Record] = field(default_factory=list)

    @classmethod
    def of(cls, progress: Mapping[str, Any]) -> FitState:
        """Return that of a checkpoint; KeyError, TypeError, ValueError or AttributeError if it is damaged."""
        best = progress["best"]
        return cls(
            {name: [float(value) for value in values] for name, values in progress["history"].items()},
            float(progress["seconds"]),
            None if best is None else (float(best[0]), int(best[1])),
            str(progress["ended"]),
            [Record(**one) for one in progress["workers"]],
        )

    @property
    def epochs(self) -> int:
        """Epochs that are done."""
        return len(self.history.get("loss", ()))

    def add(self, logs: Mapping[str, float], step: int) -> None:
        """Add an epoch's logs."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        if self.best is None or math.isnan(self.best[0]) or monitored(logs) < self.best[0]:  # nothing is less than NaN
            self.best = (monitored(logs), step)


class Beside:
    """Seconds of the driver in activities that no worker's steps contain, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def on(self, activity: str) -> Iterator[None]:
        """Count what is enclosed."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[activity] = self.seconds.get(activity, 0.0) + time.monotonic() - began


class Watcher:
    """Sees how a fit goes; this one does nothing with it."""

    def on_status(self, status: Status) -> None:
        """Called about twice a second."""

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Called at the end of an epoch, from 0."""

    def weights(self, step: int, weights: Mapping[str, Any]) -> None:
        """Called every so many steps with the weights, if that was asked for."""
