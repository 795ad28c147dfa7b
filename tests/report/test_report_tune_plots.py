"""The plots of a search: which range an axis has, on which side of a Pareto front its stairs are, ticks."""

from __future__ import annotations

import numpy as np
import pytest
from bokeh.models import NoOverlap, Step
from test_report_tune import complete, recorded

from jobs.tune import space
from jobs.tune.records.outcome import Outcome
from jobs.tune.report.curves import curves
from jobs.tune.report.data import read_search
from jobs.tune.report.history import history
from jobs.tune.report.pareto_front import pareto_front
from jobs.tune.report.plots import bounds, coordinates, labels
from jobs.tune.report.space import slices


def test_choices_of_any_type_have_places():
    """3, "3", True and None are different values of a choice, and are written differently where they would not be."""
    choice = space.choice([0, True, "3", 3, None])
    assert coordinates(choice, [None, "3", 3, True, 0]).tolist() == [4, 2, 3, 1, 0]
    assert labels(choice) == ["0", "True", "'3'", "3", "None"]


def test_a_few_bad_values_do_not_flatten_a_plot():
    """The range ends at the better three quarters where the worst are far off, and at the worst where they are not."""
    low, high, cut = bounds(np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1e9]), maximize=False)
    assert (low < 1, 1.35 < high < 2, cut) == (True, True, True)
    low, high, cut = bounds(np.array([0.0, 1.0, 2.0, np.nan]), maximize=True)
    assert (low < 0, high > 2, cut) == (True, True, False)
    assert bounds(np.array([np.nan]), maximize=True) == (0.0, 1.0, False)
    low, high, cut = bounds(np.array([1.0, 1.1, 1.2, 1.3, 1.4, 20.0, 1e9]), maximize=False, keep=np.array([20.0]))
    assert (high > 20, high < 30, cut) == (True, True, True)


def test_ticks_are_at_whole_numbers_and_do_not_overlap(tmp_path):
    """Trials, steps and integers have no ticks between them; labels that would overlap are left out on every axis."""
    search = read_search(recorded(tmp_path / "run", 4, complete))
    trial, seconds = (plot.figure for plot in history(search).plots)
    step = curves(search).plots[0].figure
    assert (trial.xaxis.ticker.min_interval, step.xaxis.ticker.min_interval) == (1, 1)
    assert seconds.xaxis.ticker.min_interval == 0
    for plot in (trial, seconds, step, *(plot.figure for plot in slices(search, {}).plots)):
        assert all(isinstance(axis.major_label_policy, NoOverlap) for axis in plot.axis)


def _last_is_best(recorder, ticket):
    """Break the constraint in all trials but the last, which is by far the worst and starts at 1e6."""
    last = ticket.number == 19
    for step, value in enumerate((1e6, 500.0) if last else (1.0, 1.0)):
        recorder.report(ticket.number, step, value)
    value = 500.0 if last else 1.0 + ticket.number / 100
    return Outcome("complete", (value,), {"score": value, "excess": -1.0 if last else 1.0}, seconds=0.5, worker="w")


def test_the_best_trial_is_never_cut_off(tmp_path):
    """History, slices and learning curves reach to the best trial, though others that do not count are better."""
    options = {"metric": ["score"], "constraints": ["excess"], "direction": ["minimize"], "pruner": "none"}
    search = read_search(recorded(tmp_path / "run", 20, _last_is_best, **options))
    assert search.best.number == 19
    for section in (history(search), slices(search, {})):
        assert all(plot.figure.y_range.end > 500 for plot in section.plots)
    assert curves(search).plots[0].figure.y_range.end > 1e6


def _curve(directions):
    """Return what makes trials on a curve, and one that is dominated by them; the front's end is far off."""
    signs = [-1.0 if direction == "maximize" else 1.0 for direction in directions]

    def made(_, ticket):
        x = 1.0 + ticket.number % 7
        worse = 0.5 * (ticket.number >= 7)
        pair = (x + worse, (50.0 if x == 1.0 else 3.0 / x) + worse)
        return Outcome("complete", tuple(s * v for s, v in zip(signs, pair, strict=True)), seconds=0.5, worker="w")

    return made


@pytest.mark.parametrize("x", ["maximize", "minimize"])
@pytest.mark.parametrize("y", ["maximize", "minimize"])
def test_the_stairs_of_a_front_are_attained(x, y, tmp_path):
    """No corner of the stairs is better than all of the front, which is all in range."""
    search = read_search(recorded(tmp_path / "run", 14, _curve([x, y]), metric=["a", "b"], direction=[x, y]))
    figure = pareto_front(search).plots[0].figure
    stairs = next(renderer for renderer in figure.renderers if isinstance(renderer.glyph, Step))
    xs, ys = (np.asarray(stairs.data_source.data[name]) for name in ("x", "y"))
    assert len(xs) == 7
    corners = {"after": (xs[1:], ys[:-1]), "before": (xs[:-1], ys[1:])}[stairs.glyph.mode]
    signs = np.array([-1.0 if direction == "maximize" else 1.0 for direction in (x, y)])
    front = np.column_stack([xs, ys]) * signs
    for corner in np.column_stack(corners) * signs:
        assert (front <= corner).all(axis=1).any(), corner
    assert figure.y_range.start < ys.min()
    assert ys.max() < figure.y_range.end
