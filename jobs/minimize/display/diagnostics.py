"""Diagnostics of a run: how its time was spent, with advice."""

from __future__ import annotations

from typing import Any

from jobs.minimize.display.monitor import Observer
from jobs.minimize.objective import Objective

OVERHEAD = 0.3
"""Fraction of communication in an evaluation above which a hint is given."""

LOADING = 0.5
"""Fraction of loading in an attempt above which a hint is given."""
HINT_SECONDS = 10.0
"""A shorter attempt gets no hint: nobody waits for it."""


def diagnose(objective: Objective, observer: Observer) -> dict[str, Any]:
    """Return the diagnostics of an attempt; seconds and bytes are of this attempt, not of those before it.

    Overhead is communication's fraction of the evaluations, without loading. Computation is that of the slowest worker.
    """
    timings = objective.sum.timings
    communication = max(timings.seconds - timings.compute - timings.load, 0.0)
    working = timings.compute + communication
    overhead = communication / working if working else 0.0
    diagnostics: dict[str, Any] = {
        "evaluations": timings.evaluations,
        "replayed": objective.journal.replayed if objective.journal else 0,
        "dropped": objective.journal.dropped if objective.journal else 0,
        "rows": objective.rows,
        "seconds": observer.attempt_seconds,
        "compute_seconds": timings.compute,
        "communication_seconds": communication,
        "load_seconds": timings.load,
        "optimizer_seconds": max(observer.attempt_seconds - timings.seconds, 0.0),
        "bytes_sent": timings.bytes_sent,
        "bytes_received": timings.bytes_received,
        "rows_per_second": objective.rows * timings.evaluations / working if working else 0.0,
        "workers": objective.sum.workers,
        "workers_lost": timings.lost_workers,
        "overhead": overhead,
    }
    if observer.attempt_seconds < HINT_SECONDS:
        return diagnostics
    if timings.load > LOADING * observer.attempt_seconds:
        diagnostics["hint"] = (
            f"{timings.load / observer.attempt_seconds:.0%} of the time is loading: load(start, stop) should read its "
            "own rows alone, without those before them, from a format with an index, such as npy or Parquet"
        )
    elif overhead > OVERHEAD and objective.sum.workers > 1:
        diagnostics["hint"] = (
            f"{overhead:.0%} of an evaluation is communication: use fewer workers, or more rows for each "
            f"({objective.rows // objective.sum.workers:,} now)"
        )
    return diagnostics
