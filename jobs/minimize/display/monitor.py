"""Monitoring of a run: its best point, the history of evaluations, iterations; in the run folder and on the display."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.minimize.display.summary import damage
from jobs.minimize.journal import FULL, Journal
from jobs.minimize.optimize.l1 import stationarity
from jobs.runs.display.console import Reporter
from jobs.runs.run import Run
from jobs.runs.save_interval import SaveInterval

Vector = NDArray[np.float64]
COLUMNS = ("evaluation", "seconds", "loss", "gradient_norm")
"""Columns of history.csv."""


@dataclass(frozen=True)
class Optimizer:
    """What is shown of the optimizer beside its points.

    Attributes:
        limit: maximum iterations.
        uses_gradient: whether it does.
        tolerance: the largest gradient entry at which it ends; None if it has no such rule.
        workers: returns the present number of workers.
    """

    limit: int
    uses_gradient: bool
    tolerance: float | None
    workers: Callable[[], int]


class Observer:
    """Monitors one attempt: has the best point and the history, and updates the run folder and the display.

    Args:
        run: the run folder.
        reporter: the display.
        journal: once it is full, the best point is saved for a warm start.
        l1: (n,) penalties, or 0.
        optimizer: its limits, and its workers.
    """

    def __init__(
        self,
        run: Run,
        reporter: Reporter,
        journal: Journal,
        l1: Vector | float,
        optimizer: Optimizer,
    ) -> None:
        self._run, self._reporter, self._journal, self._l1, self._optimizer = run, reporter, journal, l1, optimizer
        self._level, self._change = math.inf, math.nan
        self._replayed = 0
        self.best: tuple[float, Vector] | None = None
        self.iterations = 0
        self._history: list[tuple[float, float, float]] = []
        self._began = time.monotonic()
        self._history_interval, self._best_interval = SaveInterval(), SaveInterval()
        self._outgrown = self._damaged = False

    @property
    def seconds(self) -> float:
        """The run's seconds at its last evaluation, all attempts together."""
        return self._history[-1][0] if self._history else 0.0

    @property
    def attempt_seconds(self) -> float:
        """Seconds since this attempt began."""
        return time.monotonic() - self._began

    def on_iteration(self, *_: object) -> None:
        """Count an iteration; SciPy's callback."""
        self.iterations += 1
        if self.best is not None:
            self._change, self._level = self.best[0] - self._level, self.best[0]
        if self._journal.replayed == self._replayed and self._history:  # observers have those of earlier attempts
            loss, norm = self._history[-1][1:]
            gradient = {"gradient_norm": norm} if math.isfinite(norm) else {}
            shown = {"loss": loss, **gradient, "evaluations": float(len(self._history))}
            self._run.observe("values", step=self.iterations, values=shown)
        self._replayed = self._journal.replayed

    def on_evaluation(self, theta: Vector, loss: float, grad: Vector | None, seconds: float) -> None:
        """Record an evaluation: theta (n,), the smooth loss, its gradient (n,) if known, and the run's seconds."""
        loss += float(np.sum(self._l1 * np.abs(theta)))
        norm = float(np.abs(stationarity(theta, grad, self._l1, None)).max()) if grad is not None else np.nan
        self._history.append((seconds, loss, norm))
        if self.best is None or loss < self.best[0]:
            self.best = (loss, theta.copy())
        self._report(loss, norm)

    def _report(self, loss: float, norm: float) -> None:
        now = time.monotonic()
        rate = len(self._history) / max(now - self._began, 1e-9)
        metrics: dict[str, float] = {"loss": loss}
        if math.isfinite(self._change):
            metrics["loss_change"] = self._change
        if self._optimizer.uses_gradient:
            metrics["gradient_norm"] = norm
            if self._optimizer.tolerance is not None:
                metrics["gradient_tolerance"] = self._optimizer.tolerance
        metrics["evaluations_per_second"] = rate
        if workers := self._optimizer.workers():
            metrics["workers"] = workers
        self._reporter.update(self.iterations, metrics, None)
        progress = {"done": self.iterations, "total": self._optimizer.limit, "at_most": True}
        self._run.status("running", progress=progress, metrics=metrics)
        self._save_at_times()

    def _save_at_times(self) -> None:
        if self._journal.dropped and not self._damaged:
            self._damaged = True
            self._reporter.log("journal", message=damage(self._journal.dropped, self._journal.replayed))
        # The first time at once, the best point before the mark: a marked run without one would have no warm start.
        outgrown = self._journal.full and not self._outgrown
        if outgrown or self._history_interval.is_over:
            self.save(best=outgrown)
        if self._journal.full and self._best_interval.is_over:
            self._save_best()
        if outgrown:
            self._outgrown = True
            self._run.storage.write(FULL, b"")
            self._reporter.log("journal", message="past --journal-limit: a restart will go on from the best point only")

    def finished(self, iterations: int, success: bool) -> None:  # noqa: FBT001  SciPy's own name
        """Report that the optimizer has ended, with its number of iterations."""
        progress = {"done": iterations, "total": iterations}
        self._run.status("running", progress=progress)
        self._reporter.record("done", iterations=iterations, success=success, seconds=round(self.seconds, 3))

    def save(self, *, best: bool) -> None:
        """Save the history, and the best point as x.npy."""
        with self._history_interval.writing():
            text = io.StringIO()
            table = csv.writer(text, lineterminator="\n")
            table.writerow(COLUMNS)
            for number, (seconds, loss, norm) in enumerate(self._history, start=1):
                table.writerow((number, f"{seconds:.6f}", loss, None if np.isnan(norm) else norm))
            self._run.storage.write("history.csv", text.getvalue().encode())
        if best:
            self._save_best()

    def _save_best(self) -> None:
        if self.best is not None:
            with self._best_interval.writing():
                self._run.save_array("x.npy", self.best[1])
