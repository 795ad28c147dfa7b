"""The display of a training, and its status in the run folder."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from jobs.formatting import short
from jobs.runs.display.console import Reporter
from jobs.runs.display.eta import EtaEstimator
from jobs.runs.display.progress import SHARE
from jobs.runs.run import Run
from jobs.train.event_files import EventFiles
from jobs.train.loop.fit import Fit
from jobs.train.loop.state import Watcher
from jobs.train.process.messages import Facts, Status
from jobs.train.replica.layout import LOSS

SHOWN_WEIGHTS = 6
"""Maximum numbers of a variable that are printed."""
SHARES = {"data": "data", "compute": "compute", "exchange": "exchange", "apply": "optimizer"}
"""Activities of a worker, and their names as metrics."""
BATCH = "batch_"
"""Begin of the name of a metric of a single step."""
SHARES_SECONDS = 30.0
"""Shares of the time are those of so many seconds."""


class Shares:
    """A worker's activities as shares of its last seconds."""

    def __init__(self) -> None:
        self._notes: deque[tuple[float, Mapping[str, float]]] = deque()

    def note(self, spent: Mapping[str, float], now: float) -> dict[str, float]:
        """Return name -> share of the time, 0 .. 1; nothing before two notes of one worker.

        Args:
            spent: of a worker, as `Status` has it.
            now: the present moment.
        """
        if self._notes and any(spent[name] < self._notes[-1][1][name] for name in SHARES):
            self._notes.clear()  # another worker is asked now, or the first step was left out
        self._notes.append((now, spent))
        while len(self._notes) > 2 and now - self._notes[1][0] >= SHARES_SECONDS:
            self._notes.popleft()
        first = self._notes[0][1]
        seconds = {name: spent[name] - first[name] for name in SHARES}
        total = sum(seconds.values())
        return {shown: seconds[name] / total for name, shown in SHARES.items()} if total else {}


class Monitor(Reporter, Watcher):
    """Shows steps, loss, metrics, rate and where the time goes, and writes them to status.json.

    Args:
        run: the run folder.
        batches: whether the metrics of every tenth step are shown too, beside the means of the epoch so far.
    """

    def __init__(self, run: Run, *, batches: bool = False) -> None:
        super().__init__(run.job, 0, "steps")
        self._run, self._samples, self._batches = run, 0, batches
        self._shares = Shares()

    def begin(self, fit: Fit, facts: Facts, files: EventFiles) -> None:
        """Begin to count: so many steps are done, of so many; losses go to the event files too."""
        self._total, self._steps = fit.total, facts["steps"]
        self._samples, self._means, self._files = facts["samples"], facts["means"], files
        self._start, self._done = time.monotonic(), fit.step
        self._first = fit.step
        self._eta: EtaEstimator | None = None

    def on_status(self, status: Status) -> None:
        """Show how far a worker is, and write it to status.json."""
        now, step = time.monotonic(), status["step"]
        if step <= self._done and step != self._total:
            return
        self._done = step
        if self._eta is None:  # not from the start: the first step is compiled, which would be taken for its rate
            self._eta = EtaEstimator(now, step)
        else:
            self._eta.note(step, now)
        metrics = self._metrics(status, now)
        batch = {name: value for name, value in metrics.items() if name.startswith(BATCH)}
        self._files.step(step, metrics["loss"], batch)
        eta = self._eta.remaining(self._total - step, now)
        self.update(step, metrics, eta)
        progress = {"done": step, "total": self._total, "fraction": step / self._total}
        self._run.status("running", progress=progress if eta is None else {**progress, "eta": eta}, metrics=metrics)

    def _metrics(self, status: Status, now: float) -> dict[str, float]:
        """Return what is shown: means of the epoch so far, the rate, and shares of the time."""
        step, sums = status["step"], status["sums"]
        rate = (step - self._first) / max(now - self._start, 1e-9)
        metrics = {"epoch": max(-(-step // self._steps), 1), "loss": _mean(sums, LOSS)}
        metrics |= {name: _mean(sums, place) for name, place in self._means.items()}
        if self._batches and status["batch"]:
            metrics |= {f"{BATCH}{name}": _mean(status["batch"], place) for name, place in self._means.items()}
        metrics["steps_per_second"] = rate
        if self._samples:
            metrics["samples_per_second"] = rate * self._samples / self._steps
        return metrics | {f"{name}{SHARE}": share for name, share in self._shares.note(status["spent"], now).items()}

    def epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Show the end of an epoch."""
        self._run.observe("values", step=self._done, values={"epoch": float(epoch + 1), **logs})
        text = ", ".join(f"{name} {short(value, 5)}" for name, value in logs.items())
        self.log("epoch", message=f"epoch {epoch + 1}: {text}", epoch=epoch + 1, **logs)

    def weights(self, step: int, weights: Mapping[str, Any]) -> None:
        """Show the weights of a small model."""
        found = {name: np.ravel(value)[:SHOWN_WEIGHTS] for name, value in weights.items()}
        text = ", ".join(f"{name} {' '.join(f'{number:.6f}' for number in value)}" for name, value in found.items())
        self.log("weights", message=f"weights at step {step}: {text}", step=step)


def _mean(sums: list[float], place: int) -> float:
    """Return the mean whose sum lies at a place, and its count after it."""
    return sums[place] / sums[place + 1] if sums and sums[place + 1] else math.nan
