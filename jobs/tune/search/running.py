"""What runs now, and who is told of it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import PendingTrial
from jobs.tune.search.executor import Pool

GRACE_SECONDS = 5.0
"""How long a trial that is out of time may take to notice, at its next report; then its worker process is ended."""


class Watcher(Protocol):
    """Who is told what happens."""

    def on_change(self, going: Collection[RunningTrial]) -> None:
        """Called with what runs after each event, and at least four times a second; may raise to end the attempt."""

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Called when a trial has ended."""

    def say(self, event: str, message: str) -> None:
        """Called when something happens that a person may want to know."""


@dataclass
class RunningTrial:
    """One execution of a trial that runs now; the search owns it."""

    ticket: PendingTrial
    address: str
    launched: float
    started: float | None = None
    late: float | None = None
    over: bool = False

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - (self.started or self.launched)


def stop_late(going: Mapping[str, RunningTrial], pool: Pool, limit: float | None) -> None:
    """Stop trials that are out of time; end the worker process of those that do not notice."""
    if limit is None:
        return
    now = time.monotonic()
    for execution_id, one in going.items():
        if one.late is None and one.started is not None and now - one.started > limit:
            one.late = now
            pool.answer(one.address, execution_id, 0, "timeout")
        elif one.late is not None and now - one.late > GRACE_SECONDS:
            one.late = now
            pool.quit(one.address)


def overtime(limit: float | None) -> str:
    """Return what is said of a trial that was stopped for its time."""
    return f"took longer than {limit:g} s (--trial-timeout)"
