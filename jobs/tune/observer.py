"""What is known of a search while it goes on, told to the terminal and the run folder; and its table of trials."""

from __future__ import annotations

import time

from jobs.progress import Reporter
from jobs.run import Run
from jobs.tune.book import Book
from jobs.tune.outcome import Outcome
from jobs.tune.table import as_csv

SAVE_SECONDS = 30.0
"""How often trials.csv is written while the search goes on."""


class Observer:
    """Follows one attempt.

    Args:
        run: the run folder.
        reporter: the terminal.
        book: the study.
        total: trials at most.
    """

    def __init__(self, run: Run, reporter: Reporter, book: Book, total: int) -> None:
        self._run, self._reporter, self._book, self._total = run, reporter, book, total
        self._began = self._saved = time.monotonic()
        self._first = book.done

    def on_change(self, running: int) -> None:
        """Tell how the search stands.

        Raises:
            Stopped: a signal came, the deadline is over, or a later attempt has taken over.
        """
        self._run.poll()
        book = self._book
        metrics: dict[str, float] = {} if book.best is None else {"best": float(book.best.value or 0.0)}
        metrics["running"] = running
        metrics |= {str(state): count for state, count in book.counts.items() if state != "complete"}
        self._reporter.update(book.done, metrics)
        self._run.status("running", progress=self._progress(), metrics=metrics)
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()

    def _progress(self) -> dict[str, float]:
        done, here = self._book.done, self._book.done - self._first
        elapsed = time.monotonic() - self._began
        eta = max(self._total - done, 0) * elapsed / here if here else None
        known = {} if eta is None else {"eta": eta}
        return {"done": done, "total": self._total, "fraction": done / self._total, **known}

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Keep a failed trial's traceback, and tell about failures."""
        if outcome.state == "failed":
            text = f"{outcome.error}\n\n{outcome.details}".rstrip() + "\n"
            self._run.storage.write(f"failures/{number:04d}.txt", text.encode())
            self.say("failed", f"trial {number}: {outcome.error}")

    def say(self, event: str, message: str) -> None:
        """Tell that something happened."""
        self._reporter.log(event, message=message)

    def save(self) -> None:
        """Write trials.csv."""
        self._saved = time.monotonic()
        self._run.storage.write("trials.csv", as_csv(self._book.rows()))
