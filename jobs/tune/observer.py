"""What is known of a search while it goes on, told to the terminal and the run folder; and its table of trials."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from jobs.progress import DIRECTION
from jobs.run import Run
from jobs.tune.book import Book
from jobs.tune.live import FRAMES, ROWS, Line, LiveTable, Standing
from jobs.tune.outcome import Outcome
from jobs.tune.pace import Pace
from jobs.tune.table import RUN, as_csv, as_json, state_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from jobs.tune.going import Going

SAVE_SECONDS = 30.0
"""How often the table is written while the search goes on."""
SAVE_SHARE = 0.01
"""It is written less often where that would take a larger share of the time."""


class Observer:
    """Follows one attempt.

    Args:
        run: the run folder.
        reporter: the terminal.
        book: the study.
        total: trials at most.
        max_seconds: seconds of the study at most, if limited.
    """

    def __init__(self, run: Run, reporter: LiveTable, book: Book, total: int, max_seconds: float | None) -> None:
        self._run, self._reporter, self._book, self._total = run, reporter, book, total
        self._seconds = max_seconds
        self._began = self._saved = time.monotonic()
        self._before = book.seconds
        self._told = -math.inf
        self._pause = SAVE_SECONDS
        self._going: Collection[Going] = ()
        self._pace = Pace(self._began)
        self._latest: deque[int] = deque(maxlen=ROWS)

    def on_change(self, going: Collection[Going]) -> None:
        """Tell how the search stands, a few times a second.

        Raises:
            Stopped: a signal came, the deadline is over, or a later attempt has taken over.
        """
        self._run.poll()
        self._going = going
        now = time.monotonic()
        if now - self._told > 1 / FRAMES:
            self._told = now
            self._tell(now)
            if now - self._saved > self._pause:
                self.save()

    def _tell(self, now: float) -> None:
        book = self._book
        running = sum(not going.over for going in self._going)
        left = self._left(running, now)
        metrics: dict[str, Any] = {} if book.best is None else {"best": float(book.best.value or 0.0)}
        if len(book.directions) == 1:
            metrics[DIRECTION] = book.directions[0]
        metrics["running"] = running
        metrics |= {str(state): count for state, count in book.counts.items() if state != "complete"}
        progress = {"done": book.done, "total": self._total, "fraction": book.done / self._total}
        self._run.status("running", progress=progress if left is None else {**progress, "eta": left}, metrics=metrics)
        if self._reporter.live:
            self._reporter.update(self._standing(running, left, now))
        else:
            self._reporter.progress(book.done, self._total, metrics)

    def _left(self, running: int, now: float) -> float | None:
        """Return about how many seconds the search has left, if that is known: for its trials, or of --max-seconds."""
        left = self._pace.left(self._total - self._book.done, running, now)
        if self._seconds is None:
            return left
        limit = max(0.0, self._seconds - self._before - (now - self._began))
        return limit if left is None else min(left, limit)

    def _standing(self, running: int, left: float | None, now: float) -> Standing:
        book = self._book
        going = list(itertools.islice((going for going in self._going if not going.over), ROWS))
        lines = [self._line(book.trial(one.ticket.number), now - (one.started or now), one.address) for one in going]
        lines += [self._ended(book.trial(number)) for number in reversed(self._latest)]
        return Standing(
            done=book.done,
            total=self._total,
            counts={"running": running, **{str(state): count for state, count in book.counts.items()}},
            best=None if book.best is None else self._ended(book.best),
            direction=book.directions[0] if len(book.directions) == 1 else None,
            seconds=self._before + now - self._began,
            moment=now,
            left=left,
            lines=lines,
        )

    def _ended(self, trial: FrozenTrial) -> Line:
        run = trial.user_attrs.get(RUN, {})
        return self._line(trial, run.get("seconds", 0.0), run.get("worker", ""))

    @staticmethod
    def _line(trial: FrozenTrial, seconds: float, worker: str) -> Line:
        step = trial.last_step
        values = trial.values or ([] if step is None else [trial.intermediate_values[step]])
        return Line(trial.number, state_of(trial), values, step, seconds, worker, trial.params)

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Keep a failed trial's traceback, and tell about failures."""
        self._pace.end(time.monotonic())
        self._latest.append(number)
        if outcome.state == "failed":
            text = f"{outcome.error}\n\n{outcome.details}".rstrip() + "\n"
            self._run.storage.write(f"failures/{number:04d}.txt", text.encode())
            self.say("failed", f"trial {number}: {outcome.error}")

    def say(self, event: str, message: str) -> None:
        """Tell that something happened."""
        self._reporter.log(event, message=message)

    def save(self) -> None:
        """Write trials.csv and trials.json, and see to it that status.json says the same when it is written next."""
        began = time.monotonic()
        self._tell(began)
        rows = self._book.rows()
        self._run.storage.write("trials.csv", as_csv(rows))
        self._run.storage.write("trials.json", as_json(rows))
        self._saved = time.monotonic()
        self._pause = max(SAVE_SECONDS, (self._saved - began) / SAVE_SHARE)
