"""History of a search of one objective: its values by trial and over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource

from jobs.report.content import Curve
from jobs.report.page import Plot, Section
from jobs.tune.report.data import read_search
from jobs.tune.report.plots import BEST, TOOLS, bounds, colours, dots, key, new_figure

if TYPE_CHECKING:
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from jobs.storage import Storage
    from jobs.tune.report.data import Search

AXES = {"number": "trial", "at": "seconds of the study"}


def curve(storage: Storage) -> Curve | None:
    """Return the best value so far over the trials; None of a search of several objectives, or without a value.

    Raises:
        InputError: the journal is damaged.
    """
    search = read_search(storage)
    if search is None or len(search.metrics) > 1:
        return None
    counts = np.flatnonzero((search.states == "complete") & search.feasible)
    pick = np.maximum if search.maximize[0] else np.minimum
    best = pick.accumulate(search.scores[counts, 0])
    points = list(zip((counts + 1).astype(float).tolist(), best.tolist(), strict=True))
    name = f"best {search.metrics[0]} so far"
    return Curve("trials", name, points, falls=not search.maximize[0], steps=True) if points else None


def history(search: Search) -> Section:
    """Return the section with values over trials and over time, and the best so far."""
    shown = np.flatnonzero(np.isin(search.states, ["complete", "pruned"]) & np.isfinite(search.scores[:, 0]))
    if not shown.size:
        text = "No trial is complete, and none was pruned after a report."
        return Section("History", "report/text.html", {"text": text})
    low, high, cut = bounds(search.scores[shown, 0], maximize=search.maximize[0], keep=search.best_scores[:, 0])
    plots = [
        Plot(
            f"{search.metrics[0]} ({search.extreme(0)} is best) against {what}",
            _history(search, shown, axis, (low, high)),
        )
        for axis, what in AXES.items()
    ]
    notes = ["A pruned trial is shown with what it reported last."] if "pruned" in search.states[shown] else []
    notes += ["The worst values lie outside of the plots."] if cut else []
    states = [state for state in ("complete", "pruned") if state in search.states[shown]]
    data = {"notes": notes, "key": key(states, line=f"best ({search.extreme(0)}) complete trial so far")}
    return Section("History", "report/plots.html", data, plots)


def _history(search: Search, shown: NDArray[np.intp], axis: str, y_range: tuple[float, float]) -> figure:
    numbers = np.arange(len(search.trials))
    x = (numbers if axis == "number" else search.run("at"))[shown].astype(np.float64)
    order = np.argsort(x, kind="stable")
    shown, x = shown[order], x[order]
    states, scores = search.states[shown], search.scores[shown, 0]
    source = ColumnDataSource({"x": x, "y": scores, "number": shown, **colours(states)})
    tips = [("trial", "@number"), (search.metrics[0], "@y{0.[000000]}"), ("state", "@state")]
    options = {"tools": TOOLS, "tooltips": tips, "x_axis_label": AXES[axis]}
    plot = new_figure(545, 280, y_range, whole=axis == "number", **options)
    dots(plot, source, "x", "y", states)
    counts = (states == "complete") & search.feasible[shown]
    if counts.any():
        pick = np.maximum if search.maximize[0] else np.minimum
        best = pick.accumulate(scores[counts])
        steps = {"x": np.append(x[counts], x[-1]), "y": np.append(best, best[-1])}
        plot.step("x", "y", source=ColumnDataSource(steps), mode="after", color=BEST, line_width=1.6)
    return plot
