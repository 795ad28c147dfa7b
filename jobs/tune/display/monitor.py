"""The state of a running search, for the terminal and the run folder; and its table of trials."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from jobs.runs.display.eta import EtaEstimator
from jobs.runs.display.progress import DIRECTION, Progress
from jobs.runs.run import Run
from jobs.runs.save_interval import SaveInterval
from jobs.runs.tables import as_csv, as_json
from jobs.tune.display.live_table import FRAMES, ROWS, LiveTable, SearchStatus, TrialRow
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import StudyRecorder
from jobs.tune.records.table import EARLIER, RUN, state_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from jobs.tune.search.running import RunningTrial


class Observer:
    """Observes one attempt.

    Args:
        run: the run folder.
        reporter: the terminal.
        recorder: the study.
        total: maximum trials.
        max_seconds: maximum seconds of the study, if limited.
    """

    def __init__(
        self, run: Run, reporter: LiveTable, recorder: StudyRecorder, total: int, max_seconds: float | None
    ) -> None:
        self._run, self._reporter, self._recorder, self._total = run, reporter, recorder, total
        self._seconds = max_seconds
        self._began = time.monotonic()
        self._before = recorder.seconds
        self._reported = -math.inf
        self._save_interval = SaveInterval()
        self._running: Collection[RunningTrial] = ()
        self._eta = EtaEstimator(self._began, recorder.done)
        self._latest: deque[int] = deque(maxlen=ROWS)

    def on_change(self, running: Collection[RunningTrial]) -> None:
        """Report the state of the search, a few times per second.

        Raises:
            Stopped: a signal came, the deadline is over, or a later attempt has taken over.
        """
        self._run.poll()
        self._running = running
        now = time.monotonic()
        if now - self._reported > 1 / FRAMES:
            self._reported = now
            self._report(now)
            if self._save_interval.is_over:
                self.save()

    def _report(self, now: float) -> None:
        recorder = self._recorder
        running = sum(not one.recorded for one in self._running)
        left = self._remaining(running, now)
        metrics: dict[str, Any] = {} if recorder.best is None else {"best": float(recorder.best.value or 0.0)}
        if len(recorder.directions) == 1:
            metrics[DIRECTION] = recorder.directions[0]
        metrics["running"] = running
        metrics |= {str(state): count for state, count in recorder.counts.items() if state != "complete"}
        progress = {"done": recorder.done, "total": self._total, "fraction": recorder.done / self._total}
        self._run.status("running", progress=progress if left is None else {**progress, "eta": left}, metrics=metrics)
        if self._reporter.live:
            self._reporter.update(self._status(running, left, now))
        else:
            seconds = self._before + now - self._began
            self._reporter.progress(Progress(recorder.done, self._total, "trials", False, metrics, seconds, left))

    def _remaining(self, running: int, now: float) -> float | None:
        """Return the ETA, if known: of its trials, or the rest of --max-seconds."""
        left = self._eta.remaining(self._total - self._recorder.done, now, running)
        if self._seconds is None:
            return left
        limit = max(0.0, self._seconds - self._before - (now - self._began))
        return limit if left is None else min(left, limit)

    def _status(self, running: int, left: float | None, now: float) -> SearchStatus:
        recorder = self._recorder
        shown = itertools.islice((one for one in self._running if not one.recorded), ROWS)
        lines = [self._line(recorder.trial(one.trial.number), now - (one.started or now), one.address) for one in shown]
        lines += [self._ended(recorder.trial(number)) for number in reversed(self._latest)]
        return SearchStatus(
            done=recorder.done,
            total=self._total,
            counts={"running": running, **{str(state): count for state, count in recorder.counts.items()}},
            best=None if recorder.best is None else self._ended(recorder.best),
            direction=recorder.directions[0] if len(recorder.directions) == 1 else None,
            seconds=self._before + now - self._began,
            moment=now,
            eta=left,
            lines=lines,
        )

    def _ended(self, trial: FrozenTrial) -> TrialRow:
        run = trial.user_attrs.get(RUN, {})
        return self._line(trial, run.get("seconds", 0.0), run.get("worker", ""))

    @staticmethod
    def _line(trial: FrozenTrial, seconds: float, worker: str) -> TrialRow:
        step = trial.last_step
        values = trial.values or ([] if step is None else [trial.intermediate_values[step]])
        return TrialRow(trial.number, state_of(trial), values, step, seconds, worker, trial.params)

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Write a failed trial's traceback, and log failures; one that was tried again with success loses its own."""
        self._eta.note(self._recorder.done, time.monotonic())
        self._latest.append(number)
        self._observe(self._recorder.trial(number))
        if outcome.state == "failed":
            text = f"{outcome.error}\n\n{outcome.details}".rstrip() + "\n"
            self._run.storage.write(f"failures/{number:04d}.txt", text.encode())
            self.log("failed", f"trial {number}: {outcome.error}")
        elif EARLIER in self._recorder.trial(number).user_attrs:
            self._run.storage.delete(f"failures/{number:04d}.txt")

    def _observe(self, trial: FrozenTrial) -> None:
        names = self._recorder.metrics or ("value",)
        self._run.observe(
            "trial",
            number=trial.number,
            state=state_of(trial),
            values=dict(zip(names, map(float, trial.values or ()), strict=False)),
            params=dict(trial.params),
            reports=dict(trial.intermediate_values),
            seconds=float(trial.user_attrs.get(RUN, {}).get("seconds", 0.0)),
        )

    def log(self, event: str, message: str) -> None:
        """Log an event."""
        self._reporter.log(event, message=message)

    def save(self) -> None:
        """Write trials.csv and trials.json; the same numbers come to status.json when it is written next."""
        with self._save_interval.writing():
            self._report(time.monotonic())
            rows = self._recorder.rows()
            self._run.storage.write("trials.csv", as_csv(rows))
            self._run.storage.write("trials.json", as_json(rows))
