"""Tables of trials, and all of them for download from the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jobs.formatting import number, short
from jobs.report.page import Section
from jobs.runs.tables import finite

if TYPE_CHECKING:
    from jobs.tune.report.data import Search

MAX_BEST = 20
MAX_FAILED = 50


def trials(search: Search) -> Section:
    """Return the section with the best trials, the failed ones, and buttons that download all of them."""
    order = search.order()
    useful = [int(at) for at in order[np.isin(search.states[order], ["complete", "pruned"])][:MAX_BEST]]
    failed = [int(at) for at in np.flatnonzero(search.states == "failed")]
    shown = failed[-MAX_FAILED:]
    data = {
        "all": {
            "columns": list(search.rows[0]),
            "rows": [[finite(cell) for cell in row.values()] for row in search.rows],
        },
        "order": _order(search, useful),
        "metrics": search.metrics,
        "head": _head(search),
        "best": _best(search, useful),
        "failed": [(str(at), search.rows[at]["error"] or "", _params(search, at)) for at in shown],
        "failures": len(failed),
    }
    return Section("Trials", "job/trials.html", data)


def _order(search: Search, shown: list[int]) -> str:
    """Return the order of the shown trials, in words."""
    first = f"{search.extreme(0)} {search.metrics[0]} first"
    pruned = search.states[shown] == "pruned"
    kinds = {
        "those that count": ~pruned & search.feasible[shown],
        "those that break a constraint": ~pruned & ~search.feasible[shown],
        "pruned ones, by their last report": pruned,
    }
    there = [name for name, which in kinds.items() if which.any()]
    return f"{', then '.join(there)}; of each the {first}" if there[1:] else first


def _params(search: Search, at: int) -> str:
    params = search.trials[at].params
    return ", ".join(f"{name} {short(params[name], 5)}" for name in search.space if name in params)


def _head(search: Search) -> list[str]:
    """Return the names of the columns of the best trials."""
    return ["Trial", *search.metrics, "State", *search.space, "Steps", "Seconds", "Worker", *_further(search)]


def _further(search: Search) -> list[str]:
    """Return the columns that there are where failed trials have run again, or trials have ended by several codes."""
    return [name.capitalize() for name in ("failures", "code") if name in search.rows[0]]


def _best(search: Search, shown: list[int]) -> list[list[str]]:
    """Return the shown trials as rows of a table."""
    single, further = len(search.metrics) == 1, _further(search)
    rows = []
    for at in shown:
        row, values = search.rows[at], search.scores[at] if single else search.values[at]
        texts = [number(float(value)) if np.isfinite(value) else "" for value in values]
        given = search.trials[at].params
        params = [short(given[name], 5) if name in given else "" for name in search.space]
        seconds = "" if row["seconds"] is None else number(row["seconds"], 3)
        worker = (row["worker"] or "").rpartition("//")[2]
        state = row["state"] if search.feasible[at] else "breaks a constraint"
        rows.append([str(at), *texts, state, *params, str(row["steps"] or ""), seconds, worker])
        rows[-1] += [str(row[name.lower()] or "") for name in further]
    return rows
