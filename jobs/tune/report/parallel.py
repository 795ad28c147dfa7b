"""Parallel coordinates: trials as lines through all their hyperparameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, FixedTicker, LinearColorMapper, Range1d
from bokeh.plotting import figure

from jobs.formatting import number
from jobs.report.page import Plot, Section
from jobs.report.theme import FONT, FRAME, INK, SHADES
from jobs.tune.report.plots import bounds, coordinates, jitter, labels
from jobs.tune.space.dimensions import Choice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jobs.tune.report.data import Search
    from jobs.tune.space.dimensions import Dimension

MAX_LINES = 400
"""Maximum lines: the best trials."""


def parallel(search: Search) -> Section | None:
    """Return the section with one line per trial; None if none has a value, or there is only one axis."""
    order = search.order()
    known = search.usual[order]
    shown = order[known][:MAX_LINES]
    if not shown.size:
        return None
    axes = [_dimension(search, shown, name, dimension) for name, dimension in search.space.items()]
    axes += [_objective(search, shown, metric) for metric in range(len(search.metrics))]
    names = [*search.space, *search.metrics]
    plot = Plot("Trials", _plot(search, shown[::-1], names, axes), wide=True)
    total = int(known.sum())
    what = f"the {shown.size:,} best of {total:,} trials" if shown.size < total else f"{shown.size:,} trials"
    text = f"Each line is one of {what}, complete or pruned; the darker, the better."
    return Section("Parallel coordinates", "job/parallel.html", {"text": text, "shades": SHADES}, [plot])


class Axis:
    """One vertical axis.

    Args:
        heights: positions of the drawn trials on it, (m,) 0 .. 1.
        ticks: (height, text) beside it.
    """

    def __init__(self, heights: NDArray[np.float64], ticks: list[tuple[float, str]]) -> None:
        self.heights, self.ticks = heights, ticks


def _dimension(search: Search, shown: NDArray[np.intp], name: str, dimension: Dimension) -> Axis:
    given = [search.trials[at].params for at in shown[::-1]]
    # A line has a gap where its trial lacks the hyperparameter.
    place = np.where([name in one for one in given], coordinates(dimension, [one.get(name) for one in given]), np.nan)
    if isinstance(dimension, Choice):
        most = max(1, len(dimension.values) - 1)
        ticks = list(enumerate(labels(dimension)))
        ticks = ticks[:: max(1, len(ticks) // 12)]
        spread = place + 0.3 * jitter(place.size)
        return Axis(np.clip(spread / most, 0, 1), [(at / most, text) for at, text in ticks])
    scale = np.log if dimension.log else np.asarray
    low, high = scale(float(dimension.low)), scale(float(dimension.high))
    middle = np.exp((low + high) / 2) if dimension.log else (low + high) / 2
    texts = [number(float(dimension.low), 3), number(float(middle), 2), number(float(dimension.high), 3)]
    return Axis((scale(place) - low) / (high - low), list(zip((0.0, 0.5, 1.0), texts, strict=True)))


def _objective(search: Search, shown: NDArray[np.intp], metric: int) -> Axis:
    """Return an objective's axis, its better end on top; values outside of the usual range are at its end."""
    values = search.scores[shown[::-1], metric]
    low, high, _ = bounds(values, maximize=search.maximize[metric])
    low, high = max(low, float(values.min())), min(high, float(values.max()))
    heights = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    ends = [number(low, 4), number(high, 4)]
    if not search.maximize[metric]:
        heights, ends = 1 - heights, ends[::-1]
    return Axis(heights, [(0.0, ends[0]), (1.0, ends[1])] if low < high else [(0.0, ends[0])])


def _plot(search: Search, shown: NDArray[np.intp], names: list[str], axes: list[Axis]) -> figure:
    step = 1.0
    plot = figure(
        width=max(1090, 110 * len(names)),
        height=380,
        x_range=Range1d(start=-0.35 * step, end=len(names) - 1 + 0.75),
        y_range=Range1d(start=-0.06, end=1.06),
        tools="box_zoom,reset,save,hover",
        tooltips=[("trial", "@number"), *((name, f"@v{at}") for at, name in enumerate(names))],
        outline_line_color=None,
        x_axis_location="above",
    )
    plot.xgrid.visible = plot.ygrid.visible = plot.yaxis.visible = False
    plot.xaxis.ticker = FixedTicker(ticks=list(range(len(names))))
    plot.xaxis.major_label_overrides = dict(enumerate(names))
    plot.xaxis.major_tick_line_color = None
    columns = _columns(search, shown, [axis.heights for axis in axes], len(names))
    colour = {"field": "rank", "transform": LinearColorMapper(palette=SHADES, low=0, high=1)}
    lines = plot.multi_line("xs", "ys", source=ColumnDataSource(columns), color=colour, line_width=1.4, alpha=0.85)
    plot.hover.renderers, plot.hover.line_policy = [lines], "interp"
    _axes(plot, axes)
    return plot


def _columns(
    search: Search, shown: NDArray[np.intp], heights: list[NDArray[np.float64]], width: int
) -> dict[str, object]:
    """Return the columns of the lines: where each goes, its rank among those shown from 0 to 1, and its tooltip."""
    parameters = [[str(search.trials[at].params.get(name, "")) for at in shown] for name in search.space]
    return {
        "xs": [list(range(width))] * shown.size,
        "ys": np.round(np.array(heights).T, 4).tolist(),
        "rank": np.linspace(0, 1, shown.size) ** 2 if shown.size > 1 else np.ones(1),
        "number": shown,
        # By number: Bokeh makes HTML of a tooltip's template, and a name may hold anything.
        **{f"v{axis}": values for axis, values in enumerate([*parameters, *search.scores[shown].T])},
    }


def _axes(plot: figure, axes: list[Axis]) -> None:
    for at, axis in enumerate(axes):
        plot.segment(at, 0, at, 1, color=FRAME, line_width=1.5)
        plot.text(
            [at] * len(axis.ticks),
            [height for height, _ in axis.ticks],
            [text if len(text) < 16 else text[:15] + "…" for _, text in axis.ticks],
            x_offset=6,
            text_baseline="middle",
            text_color=INK,
            text_font=value(FONT),
            text_font_size="12px",
            background_fill_color="white",
            background_fill_alpha=0.85,
        )
