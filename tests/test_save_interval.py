"""Files that grow with a run's steps and are written as a whole: every 30 s, in 1 % of the time at most."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest

from jobs.minimize.display.monitor import Observer, Optimizer
from jobs.runs import save_interval
from jobs.runs.display.console import Reporter
from jobs.runs.save_interval import SaveInterval


class Clock:
    """A clock that only what is done moves on."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(save_interval, "time", clock)
    return clock


def test_what_is_written_fast_is_written_every_30_s(clock: Clock) -> None:
    """That much of a file is lost with the process."""
    interval, moments = SaveInterval(), []
    for _ in range(200):
        clock.now += 1
        if interval.is_over:
            moments.append(clock.now - 1000)
            with interval.writing():
                clock.now += 0.001
    assert moments == pytest.approx([31, 62, 93, 124, 155, 186], abs=0.1)


class Store:
    """A run folder whose store takes a second per 100 kB; it counts them."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.storage, self.seconds, self.writes = clock, self, 0.0, 0

    def write(self, name: str, data: bytes) -> None:
        assert name == "history.csv"
        self.writes += 1
        self.seconds += len(data) / 1e5
        self.clock.now += len(data) / 1e5

    def status(self, *_: Any, **__: Any) -> None:
        """Take no time."""


def test_minimizes_history(clock: Clock) -> None:
    """10,000 evaluations of 10 s each: not written anew all the time, which would take the square of their number."""
    store: Any = Store(clock)
    journal: Any = types.SimpleNamespace(full=False, dropped=0)
    observer = Observer(store, Reporter("minimize", 10**6), journal, 0.0, Optimizer(10**6, True, 1e-5, lambda: 0))
    for number in range(10_000):
        clock.now += 10.0
        observer.on_evaluation(np.zeros(1), float(number), np.ones(1), clock.now)
    spent = clock.now - 1000
    assert store.seconds <= 0.011 * spent
    assert store.writes > 100
