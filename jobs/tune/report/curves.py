"""Learning curves: the reports of trials, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource

from jobs.report.page import Plot, Section
from jobs.tune.report.plots import BEST, COLOURS, TOOLS, bounds, key, new_figure

if TYPE_CHECKING:
    from bokeh.plotting import figure
    from numpy.typing import NDArray
    from optuna.trial import FrozenTrial

    from jobs.tune.report.data import Search

MAX_CURVES = 400
"""Maximum curves: the best, and some of the others, evenly spread over the search."""
MAX_POINTS = 80
"""Maximum points of a curve."""
ALPHA = {"complete": 0.75, "running": 0.75}


def curves(search: Search) -> Section | None:
    """Return the section with each trial's reports; None if there are none."""
    reported = np.array([bool(trial.intermediate_values) for trial in search.trials], dtype=bool)
    if not reported.any():
        return None
    order = search.order()
    shown = _spread(order[reported[order]])
    trials = [search.trials[at] for at in shown]
    states = [state for state in COLOURS if state in search.states[shown]]
    all_values = np.concatenate([list(trial.intermediate_values.values()) for trial in trials])
    best = search.best or search.best_reported
    own = np.array([] if best is None else list(best.intermediate_values.values()), dtype=np.float64)
    low, high, cut = bounds(all_values, maximize=search.maximize[0], keep=own)
    plot = _plot(search, trials, best, (low, high))
    notes = []
    if len(shown) < reported.sum():
        notes.append(f"Shown are {len(shown):,} of {int(reported.sum()):,} trials that reported, the best among them.")
    notes += ["The worst values lie outside of the plot."] if cut else []
    line = "the best trial" if search.best is not None else "the trial with the best last report" * (best is not None)
    data = {"notes": notes, "key": key(states, line=line)}
    return Section("Learning curves", "report/plots.html", data, [Plot("Reports by step", plot, wide=True)])


def _plot(search: Search, trials: list[FrozenTrial], best: FrozenTrial | None, limits: tuple[float, float]) -> figure:
    plot = new_figure(
        1090,
        380,
        limits,
        whole=True,
        tools=TOOLS,
        tooltips=[("trial", "@number"), ("state", "@state"), ("step, value", "$x{0}, $y{0.[0000]}")],
        x_axis_label="step",
        y_axis_label=f"{search.metrics[0]} ({search.extreme(0)} is best)",
    )
    source = ColumnDataSource(_lines(search, trials))
    plot.hover.renderers = [
        plot.multi_line("xs", "ys", source=source, color="colour", alpha="alpha", line_width=1.2),
        plot.scatter("x", "y", source=ColumnDataSource(_singles(search, trials)), color="colour", alpha=0.5, size=3),
    ]
    if best is not None and best.intermediate_values:
        plot.line(*_points(best), color=BEST, line_width=3)
    return plot


def _spread(order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return at most `MAX_CURVES` of the trials in `order`, best first: a quarter the best; the worst come first."""
    if order.size > MAX_CURVES:
        best, others = order[: MAX_CURVES // 4], np.sort(order[MAX_CURVES // 4 :])
        picked = np.linspace(0, others.size - 1, MAX_CURVES - MAX_CURVES // 4).round().astype(int)
        order = np.concatenate([best, others[picked]])
    return order[::-1]


def _points(trial: FrozenTrial) -> tuple[list[int], list[float]]:
    """Return a trial's finite reports: steps and values, both (m,), m <= `MAX_POINTS`, with the first and last."""
    pairs = [(step, value) for step, value in sorted(trial.intermediate_values.items()) if np.isfinite(value)]
    if len(pairs) > MAX_POINTS:
        pairs = [pairs[at] for at in np.linspace(0, len(pairs) - 1, MAX_POINTS).round().astype(int)]
    return [step for step, _ in pairs], [float(f"{value:.6g}") for _, value in pairs]


def _lines(search: Search, trials: list[FrozenTrial]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {name: [] for name in ("xs", "ys", "number", "state", "colour", "alpha")}
    for trial in trials:
        steps, values = _points(trial)
        if len(steps) > 1:
            state = str(search.states[trial.number])
            row = (steps, values, trial.number, state, COLOURS[state], ALPHA.get(state, 0.4))
            for column, cell in zip(columns.values(), row, strict=True):
                column.append(cell)
    return columns


def _singles(search: Search, trials: list[FrozenTrial]) -> dict[str, list[object]]:
    """Return the trials with a single finite report, which make no line."""
    columns: dict[str, list[object]] = {name: [] for name in ("x", "y", "number", "state", "colour")}
    for trial in trials:
        steps, values = _points(trial)
        if len(steps) == 1:
            state = str(search.states[trial.number])
            row = (steps[0], values[0], trial.number, state, COLOURS[state])
            for column, cell in zip(columns.values(), row, strict=True):
                column.append(cell)
    return columns
