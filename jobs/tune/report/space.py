"""Importances of hyperparameters, and slices: where in their ranges the good trials are."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import optuna
from bokeh.models import ColumnDataSource
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState, create_trial

from jobs.report.page import Plot, Section
from jobs.tune.report.plots import TOOLS, bounds, colours, coordinates, dots, jitter, key, new_figure, tick_choice
from jobs.tune.space.dimensions import Choice, Integer

if TYPE_CHECKING:
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from jobs.tune.report.data import Search

MIN_TRIALS = 20
"""Minimum trials for importances: of fewer, the best tenth is a single trial or two."""
MAX_SLICES = 12
"""Maximum plots of single hyperparameters."""


def _scored(search: Search) -> NDArray[np.intp]:
    """Return the trials (m,) with a value, or a last report if they were pruned."""
    usual = np.isin(search.states, ["complete", "pruned"]) & np.isfinite(search.scores).all(axis=1)
    return np.flatnonzero(usual & np.array([search.space.keys() <= trial.params.keys() for trial in search.trials]))


def importances(search: Search) -> dict[str, float]:
    """Return each hyperparameter's share in what sets the best tenth of trials apart, largest first; sums to 1.

    Optuna's PED-ANOVA (arXiv 2304.10255). Pruned trials count with their last report: for it only the best tenth needs
    exact values, and a pruned trial is not among them. Empty if there are fewer than `MIN_TRIALS` trials with a value.
    """
    shown = _scored(search)
    if shown.size < MIN_TRIALS:
        return {}
    copy = optuna.create_study(directions=search.study.directions)
    copy.add_trials(
        create_trial(
            state=TrialState.COMPLETE,
            values=search.scores[at].tolist(),
            params=search.trials[at].params,
            distributions=search.trials[at].distributions,
        )
        for at in shown
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental, and its warnings on odd studies
        return optuna.importance.get_param_importances(copy, evaluator=PedAnovaImportanceEvaluator())


def importance(search: Search, shares: dict[str, float]) -> Section:
    """Return the section with each hyperparameter's importance."""
    title = "Importance of hyperparameters"
    if not shares:
        text = f"Not computed: it needs {MIN_TRIALS} trials that are complete, or pruned after a report."
        return Section(title, "report/text.html", {"text": text})
    pruned = int((search.states[_scored(search)] == "pruned").sum())
    return Section(title, "job/importance.html", {"shares": shares, "pruned": pruned})


def slices(search: Search, shares: dict[str, float]) -> Section | None:
    """Return the section with the values over each hyperparameter; None if there is no value."""
    shown = _scored(search)
    if not shown.size:
        return None
    shown = shown[np.argsort(search.states[shown] == "complete", kind="stable")]  # complete ones on top
    names = list(shares) or list(search.space)
    pairs = [(metric, name) for metric in range(len(search.metrics)) for name in names]
    source = ColumnDataSource({"number": shown, **colours(search.states[shown])})
    for metric in range(len(search.metrics)):
        source.data[f"y{metric}"] = search.scores[shown, metric]
    cut = False
    plots = []
    for metric, name in pairs[:MAX_SLICES]:
        best = search.best_scores[:, metric]
        low, high, cuts = bounds(search.scores[shown, metric], maximize=search.maximize[metric], keep=best)
        cut |= cuts
        drawn = _slice(search, shown, source, (metric, name), (low, high))
        plots.append(Plot(f"{search.metrics[metric]} against {name}", drawn))
    notes = ["The worst values lie outside of the plots."] if cut else []
    if len(pairs) > MAX_SLICES:
        notes.append(f"Shown are the first {MAX_SLICES} of {len(pairs)} plots.")
    states = [state for state in ("complete", "pruned") if state in search.states[shown]]
    return Section("Values by hyperparameter", "report/plots.html", {"notes": notes, "key": key(states)}, plots)


def _slice(
    search: Search,
    shown: NDArray[np.intp],
    source: ColumnDataSource,
    pair: tuple[int, str],
    y_range: tuple[float, float],
) -> figure:
    metric, name = pair
    dimension = search.space[name]
    place = coordinates(dimension, [search.trials[at].params[name] for at in shown])
    # Columns by number: Bokeh makes HTML of a tooltip's template, and a name may hold anything.
    number = list(search.space).index(name)
    column, text = f"x{number}", f"p{number}"
    source.data[column] = place + jitter(shown.size) if isinstance(dimension, Choice) else place
    source.data[text] = [str(search.trials[at].params[name]) for at in shown]
    tips = [("trial", "@number"), (name, f"@{text}"), (search.metrics[metric], f"@y{metric}{{0.[0000]}}")]
    log = not isinstance(dimension, Choice) and dimension.log
    options = {"tools": TOOLS, "tooltips": tips, "x_axis_label": name, "x_axis_type": "log" if log else "linear"}
    plot = new_figure(357, 250, y_range, whole=isinstance(dimension, Integer), **options)
    dots(plot, source, column, f"y{metric}", search.states[shown])
    if isinstance(dimension, Choice):
        tick_choice(plot.xaxis[0], dimension)
    return plot
