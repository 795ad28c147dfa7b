"""Importances of hyperparameters, and slices: where in their ranges the good trials are."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from bokeh.models import ColumnDataSource
from optuna.distributions import BaseDistribution, CategoricalDistribution
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
    return np.flatnonzero(search.usual)


def importances(search: Search) -> dict[str, float]:
    """Return each hyperparameter's share in what sets the best tenth of trials apart, largest first; sums to 1.

    Optuna's PED-ANOVA (arXiv 2304.10255). Pruned trials count with their last report: for it only the best tenth needs
    exact values, and a pruned trial is not among them. Empty if there are fewer than `MIN_TRIALS` trials with a value.
    A hyperparameter that some of them lack has none.
    """
    shown = _scored(search)
    common = [name for name in search.space if all(name in search.trials[at].params for at in shown)]
    if shown.size < MIN_TRIALS or not common:
        return {}
    copy = optuna.create_study(directions=search.study.directions)
    copy.add_trials(
        create_trial(
            state=TrialState.COMPLETE,
            values=search.scores[at].tolist(),
            params={name: _hashable(value) for name, value in search.trials[at].params.items()},
            distributions={name: _of_hashable(kind) for name, kind in search.trials[at].distributions.items()},
        )
        for at in shown
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental, and its warnings on odd studies
        return optuna.importance.get_param_importances(copy, evaluator=PedAnovaImportanceEvaluator(), params=common)


def _hashable(value: Any) -> Any:
    """Return a value, and the text of a list: Optuna's evaluator looks choices up."""
    return repr(value) if isinstance(value, list) else value


def _of_hashable(kind: BaseDistribution) -> BaseDistribution:
    if not isinstance(kind, CategoricalDistribution):
        return kind
    return CategoricalDistribution([_hashable(value) for value in kind.choices])


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
    names = [*shares, *(name for name in search.space if name not in shares)]
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
    given = [search.trials[at].params for at in shown]
    # Without a number for a trial that lacks the hyperparameter: no dot is drawn for it.
    place = np.where([name in one for one in given], coordinates(dimension, [one.get(name) for one in given]), np.nan)
    # Columns by number: Bokeh makes HTML of a tooltip's template, and a name may hold anything.
    number = list(search.space).index(name)
    column, text = f"x{number}", f"p{number}"
    source.data[column] = place + jitter(shown.size) if isinstance(dimension, Choice) else place
    source.data[text] = [str(one.get(name, "")) for one in given]
    tips = [("trial", "@number"), (name, f"@{text}"), (search.metrics[metric], f"@y{metric}{{0.[0000]}}")]
    log = not isinstance(dimension, Choice) and dimension.log
    options = {"tools": TOOLS, "tooltips": tips, "x_axis_label": name, "x_axis_type": "log" if log else "linear"}
    plot = new_figure(357, 250, y_range, whole=isinstance(dimension, Integer), **options)
    dots(plot, source, column, f"y{metric}", search.states[shown])
    if isinstance(dimension, Choice):
        tick_choice(plot.xaxis[0], dimension)
    return plot
