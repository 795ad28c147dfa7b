"""The display of a training, and its status in the run folder."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from jobs.formatting import short
from jobs.runs.console import Reporter
from jobs.runs.eta import EtaEstimator
from jobs.runs.run import Run
from jobs.train.loop.fit import Fit, Watcher
from jobs.train.process.messages import Facts, Status
from jobs.train.replica.layout import LOSS, ROWS

SHOWN_WEIGHTS = 6
"""Maximum numbers of a variable that are printed."""


class Monitor(Reporter, Watcher):
    """Shows steps, loss and rate, and writes them to status.json.

    Args:
        run: the run folder.
    """

    def __init__(self, run: Run) -> None:
        super().__init__("train", 0)
        self._run, self._samples = run, 0

    def begin(self, fit: Fit, facts: Facts) -> None:
        """Begin to count: so many steps are done, of so many."""
        self._total, self._steps = fit.total, facts["steps"]
        self._samples = facts["samples"]
        self._start, self._done = time.monotonic(), fit.step
        self._first = fit.step
        self._eta = EtaEstimator(self._start, fit.step)

    def on_status(self, status: Status) -> None:
        """Show how far a worker is, and write it to status.json."""
        now, step = time.monotonic(), status["step"]
        if step <= self._done and step != self._total:
            return
        self._done = step
        self._eta.note(step, now)
        sums = status["sums"]
        loss = sums[LOSS] / sums[ROWS] if sums and sums[ROWS] else math.nan
        rate = (step - self._first) / max(now - self._start, 1e-9)
        metrics = {"epoch": max(-(-step // self._steps), 1), "loss": loss, "steps_per_second": rate}
        if self._samples:
            metrics["samples_per_second"] = rate * self._samples / self._steps
        eta = self._eta.remaining(self._total - step, now)
        self.update(step, metrics, eta)
        progress = {"done": step, "total": self._total, "fraction": step / self._total}
        self._run.status("running", progress=progress if eta is None else {**progress, "eta": eta}, metrics=metrics)

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Show the end of an epoch."""
        text = ", ".join(f"{name} {short(value, 5)}" for name, value in logs.items())
        self.log("epoch", message=f"{epoch + 1}: {text}", epoch=epoch + 1, **logs)

    def weights(self, step: int, weights: Mapping[str, Any]) -> None:
        """Show the weights of a small model."""
        found = {name: np.ravel(value)[:SHOWN_WEIGHTS] for name, value in weights.items()}
        text = ", ".join(f"{name} {' '.join(f'{number:.6f}' for number in value)}" for name, value in found.items())
        self.log("weights", message=f"step {step}: {text}", step=step)
