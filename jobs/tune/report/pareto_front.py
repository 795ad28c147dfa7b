"""Pareto front of a search of several objectives: each pair of them, and the non-dominated trials."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource

from jobs.formatting import number, plural, short
from jobs.report.page import Plot, Section
from jobs.tune.report.plots import BEST, TOOLS, bounds, colours, dots, key, new_figure

if TYPE_CHECKING:
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from jobs.tune.report.data import Search

MAX_PAIRS = 6
"""Maximum pairs of objectives drawn."""
MAX_ROWS = 50
"""Maximum rows of the table."""


def pareto_front(search: Search) -> Section:
    """Return the section of several objectives: each pair of them, and the non-dominated trials."""
    shown = np.flatnonzero(np.isfinite(search.values).all(axis=1))
    if not shown.size:
        return Section("Pareto front", "report/text.html", {"text": "No trial is complete."})
    pairs = list(itertools.combinations(range(len(search.metrics)), 2))[:MAX_PAIRS]
    plots = [Plot(f"{search.metrics[y]} against {search.metrics[x]}", _plot(search, shown, x, y)) for x, y in pairs]
    goals = ", ".join(
        f"{'more' if up else 'less'} {name}" for name, up in zip(search.metrics, search.maximize, strict=True)
    )
    count = len(search.pareto_front)
    data = {
        "text": f"{plural(count, 'trial')} {'is' if count == 1 else 'are'} on the front; better is: {goals}.",
        "key": key(["complete"], line="the front"),
        "head": ["Trial", *search.metrics, *search.space],
        "rows": _rows(search),
        "note": f"The first {MAX_ROWS} of them." if len(search.pareto_front) > MAX_ROWS else "",
    }
    return Section("Pareto front", "job/pareto_front.html", data, plots)


def _plot(search: Search, shown: NDArray[np.intp], x: int, y: int) -> figure:
    names = search.metrics
    values = search.values[shown]
    source = ColumnDataSource({"x": values[:, x], "y": values[:, y], "number": shown, **colours(search.states[shown])})
    source.data["alpha"] = np.where(search.feasible[shown], 0.6, 0.2)
    tips = [("trial", "@number"), (names[x], "@x{0.[000000]}"), (names[y], "@y{0.[000000]}")]
    best = search.best_scores[np.argsort(search.best_scores[:, x], kind="stable")]
    low, high, _ = bounds(values[:, y], maximize=search.maximize[y], keep=best[:, y])
    options: dict[str, Any] = {"tools": TOOLS, "tooltips": tips, "x_axis_label": names[x], "y_axis_label": names[y]}
    plot = new_figure(545, 380, (low, high), **options)
    dots(plot, source, "x", "y", search.states[shown])
    if len(names) == 2:
        # What is attained at some x is by a trial at least as good in x: to its right where x is minimized.
        plot.step(best[:, x], best[:, y], mode="before" if search.maximize[x] else "after", color=BEST)
    plot.scatter(best[:, x], best[:, y], size=9, fill_color=None, line_color=BEST, line_width=1.8)
    return plot


def _rows(search: Search) -> list[list[str]]:
    """Return the trials on the front as rows of a table, the best in the first objective first."""
    order = sorted(search.pareto_front, key=lambda trial: trial.values[0], reverse=search.maximize[0])
    return [
        [
            str(trial.number),
            *(number(value) for value in trial.values),
            *(short(trial.params[name], 5) if name in trial.params else "" for name in search.space),
        ]
        for trial in order[:MAX_ROWS]
    ]
