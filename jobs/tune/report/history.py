"""How a search went: its values trial by trial and over time; with several objectives, the front."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource
from markupsafe import Markup

from jobs.formatting import number, plural, short
from jobs.report.html import paragraph, table
from jobs.report.page import Section, draw, framed
from jobs.tune.report.plots import BEST, TOOLS, bounds, colours, dots, legend, new_figure

if TYPE_CHECKING:
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from jobs.tune.report.data import Search

AXES = {"number": "trial", "at": "seconds of the study"}
PLOTS = Markup('<div class="plots">\n{}</div>\n')
TITLE = Markup("<h3>{}</h3>\n")
PAIRS = 6
"""Pairs of objectives drawn at most."""
FRONT_ROWS = 50


def history(search: Search) -> Section:
    """Return the section with values over trials and over time, and the best so far."""
    shown = np.flatnonzero(np.isin(search.states, ["complete", "pruned"]) & np.isfinite(search.scores[:, 0]))
    if not shown.size:
        return Section("History", paragraph("No trial is complete, and none was pruned after a report."))
    low, high, cut = bounds(search.scores[shown, 0], maximize=search.maximize[0])
    plots = [_history(search, shown, axis, (low, high)) for axis in AXES]
    script, elements = draw(plots)
    captions = [f"{search.metrics[0]} ({search.extreme(0)} is best) against {what}" for what in AXES.values()]
    body = PLOTS.format(Markup("").join(framed(*pair) for pair in zip(captions, elements, strict=True)))
    notes = ["A pruned trial is shown with what it reported last."] if "pruned" in search.states[shown] else []
    notes += ["The worst values lie outside of the plots."] if cut else []
    states = [state for state in ("complete", "pruned") if state in search.states[shown]]
    text = paragraph(" ".join(notes), "note")
    return Section(
        "History", text + legend(states, line=f"best ({search.extreme(0)}) complete trial so far") + body, script
    )


def _history(search: Search, shown: NDArray[np.intp], axis: str, y_range: tuple[float, float]) -> figure:
    numbers = np.arange(len(search.trials))
    x = (numbers if axis == "number" else search.run("at"))[shown].astype(np.float64)
    order = np.argsort(x, kind="stable")
    shown, x = shown[order], x[order]
    states, scores = search.states[shown], search.scores[shown, 0]
    source = ColumnDataSource({"x": x, "y": scores, "number": shown, **colours(states)})
    tips = [("trial", "@number"), (search.metrics[0], "@y{0.[000000]}"), ("state", "@state")]
    plot = new_figure(545, 280, y_range, tools=TOOLS, tooltips=tips, x_axis_label=AXES[axis])
    dots(plot, source, "x", "y", states)
    counts = (states == "complete") & search.feasible[shown]
    if counts.any():
        pick = np.maximum if search.maximize[0] else np.minimum
        best = pick.accumulate(scores[counts])
        steps = {"x": np.append(x[counts], x[-1]), "y": np.append(best, best[-1])}
        plot.step("x", "y", source=ColumnDataSource(steps), mode="after", color=BEST, line_width=1.6)
    return plot


def front(search: Search) -> Section:
    """Return the section of several objectives: each pair of them, and the trials that no other beats in all."""
    shown = np.flatnonzero(np.isfinite(search.values).all(axis=1))
    if not shown.size:
        return Section("Pareto front", paragraph("No trial is complete."))
    pairs = list(itertools.combinations(range(len(search.metrics)), 2))[:PAIRS]
    script, elements = draw([_front(search, shown, x, y) for x, y in pairs])
    captions = [f"{search.metrics[y]} against {search.metrics[x]}" for x, y in pairs]
    body = PLOTS.format(Markup("").join(framed(*pair) for pair in zip(captions, elements, strict=True)))
    goals = ", ".join(
        f"{'more' if up else 'less'} {name}" for name, up in zip(search.metrics, search.maximize, strict=True)
    )
    text = f"{plural(len(search.front), 'trial')} that no other beats in all objectives ({goals} is better)."
    return Section(
        "Pareto front", paragraph(text) + legend(["complete"], line="the front") + body + _rows(search), script
    )


def _front(search: Search, shown: NDArray[np.intp], x: int, y: int) -> figure:
    names = search.metrics
    values = search.values[shown]
    source = ColumnDataSource({"x": values[:, x], "y": values[:, y], "number": shown, **colours(search.states[shown])})
    source.data["alpha"] = np.where(search.feasible[shown], 0.6, 0.2)
    tips = [("trial", "@number"), (names[x], "@x{0.[000000]}"), (names[y], "@y{0.[000000]}")]
    low, high, _ = bounds(values[:, y], maximize=search.maximize[y])
    options = {"tools": TOOLS, "tooltips": tips, "x_axis_label": names[x], "y_axis_label": names[y]}
    plot = new_figure(545, 380, (low, high), **options)
    dots(plot, source, "x", "y", search.states[shown])
    numbers = [trial.number for trial in search.front]
    best = search.values[numbers]
    best = best[np.argsort(best[:, x], kind="stable")]
    if len(names) == 2:
        plot.step(
            best[:, x], best[:, y], mode="after" if search.maximize[0] != search.maximize[1] else "before", color=BEST
        )
    plot.scatter(best[:, x], best[:, y], size=9, fill_color=None, line_color=BEST, line_width=1.8)
    return plot


def _rows(search: Search) -> Markup:
    head = ["Trial", *search.metrics, *search.space]
    rows = [
        [
            str(trial.number),
            *(number(value) for value in trial.values),
            *(short(trial.params[name], 5) for name in search.space),
        ]
        for trial in sorted(search.front, key=lambda trial: trial.values[0], reverse=search.maximize[0])[:FRONT_ROWS]
    ]
    note = f"The first {FRONT_ROWS} of them." if len(search.front) > FRONT_ROWS else ""
    return (
        TITLE.format("On the front")
        + paragraph(note, "note")
        + Markup('<div class="wide">{}</div>').format(table(head, rows, "numbers"))
    )
