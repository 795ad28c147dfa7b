"""The hint of a summary: where the time of a long attempt went."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from jobs.minimize.display.diagnostics import diagnose


@pytest.mark.parametrize(
    ("seconds", "load", "compute", "hint"),
    [
        (9.0, 8.0, 0.5, None),
        (100.0, 60.0, 30.0, "60% of the time is loading"),
        (100.0, 10.0, 20.0, "78% of an evaluation is communication"),
        (100.0, 10.0, 80.0, None),
    ],
)
def test_a_long_attempt_that_waits_says_for_what(seconds: float, load: float, compute: float, hint: str | None) -> None:
    """Loading first, then communication; a short attempt, or one that computes, gets none."""
    numbers = {"evaluations": 7, "bytes_sent": 1, "bytes_received": 1, "lost_workers": 0}
    timings = SimpleNamespace(seconds=seconds, compute=compute, load=load, **numbers)
    evaluator = SimpleNamespace(timings=timings, workers=2)
    objective = SimpleNamespace(sum=evaluator, journal=None, rows=100)
    found = diagnose(objective, SimpleNamespace(attempt_seconds=seconds)).get("hint")  # type: ignore[arg-type]
    assert (found or "").startswith(hint or "")
    assert (found is None) == (hint is None)
