"""Shared parts of a search's plots: colours, columns of trials, ranges that one bad trial does not flatten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker
from bokeh.plotting import figure

from jobs.report.plots import LEFT
from jobs.report.theme import AMBER, BLUE, GREEN, NAVY, RED, VIOLET, set_ticks
from jobs.tune.space.dimensions import Choice, Dimension

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bokeh.models import Axis
    from numpy.typing import NDArray

COLOURS = {
    "complete": BLUE,
    "pruned": AMBER,
    "failed": RED,
    "diverged": VIOLET,
    "running": GREEN,
}
BEST = NAVY
TOOLS = "pan,box_zoom,reset,save,hover"
SPREAD = 5.0
"""Maximum width of a range, as a multiple of that of the better values; a wider one is cut."""
NOTHING = np.empty(0)
_GOLDEN = 0.6180339887498949


def key(states: Iterable[str], *, line: str = "") -> dict[str, Any]:
    """Return the entries of the macro `legend`: the colours of states, and a line through the best."""
    return {"dots": [(COLOURS[state], state) for state in states], "line": (BEST, line) if line else None}


def coordinates(dimension: Dimension, values: Sequence[Any]) -> NDArray[np.float64]:
    """Return the coordinates of values on a dimension's axis (n,): numbers, or indices of choices; nan for others."""
    if isinstance(dimension, Choice):
        # By their texts: 1 and True are equal, and a list has no hash.
        index = {repr(value): at for at, value in enumerate(dimension.values)}
        return np.array([index.get(repr(value), np.nan) for value in values], dtype=np.float64)
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)


def labels(dimension: Choice) -> list[str]:
    """Return a choice's values as labels; texts in quotes where they look like another value."""
    plain = [str(value) for value in dimension.values]
    return [repr(value) if plain.count(text) > 1 else text for value, text in zip(dimension.values, plain, strict=True)]


def jitter(count: int) -> NDArray[np.float64]:
    """Return numbers (count,) in -0.3 .. 0.3, evenly spread, so that dots of one choice do not hide each other."""
    return np.asarray(0.6 * (np.arange(count) * _GOLDEN % 1) - 0.3, dtype=np.float64)


def tick_choice(axis: Axis, dimension: Choice) -> None:
    """Write a choice's values along an axis."""
    names = labels(dimension)
    axis.ticker = FixedTicker(ticks=list(range(len(names))))
    axis.major_label_overrides = {at: name if len(name) <= 18 else name[:17] + "…" for at, name in enumerate(names)}


def bounds(
    values: NDArray[np.float64], *, maximize: bool, keep: NDArray[np.float64] = NOTHING
) -> tuple[float, float, bool]:
    """Return a range (low, high) for an axis of values (n,), some of which may be nan, and whether it cuts any off.

    It reaches from the best to the worst, or where that is `SPREAD` times as far as the three better quarters reach, to
    the end of those, or to the worst of `keep`, values (m,) that are never cut off.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0, False
    best, worst = (finite.max(), finite.min()) if maximize else (finite.min(), finite.max())
    usual = float(np.quantile(finite, 0.25 if maximize else 0.75))
    cut = abs(worst - best) > SPREAD * abs(usual - best) > 0
    kept = [usual, *keep[np.isfinite(keep)]]
    end = (min(kept) if maximize else max(kept)) if cut else worst
    cut &= end != worst
    low, high = min(best, end), max(best, end)
    margin = 0.06 * (high - low) or 0.01 * max(abs(high), 1e-9)
    return float(low - margin), float(high + margin), bool(cut)


def new_figure(width: int, height: int, values: tuple[float, float], *, whole: bool = False, **options: Any) -> figure:
    """Return a figure whose y axis has the range `values`, and whose x axis has whole numbers if `whole`."""
    plot = figure(width=width, height=height, min_border_left=LEFT, y_range=values, **options)
    plot.y_range.reset_start, plot.y_range.reset_end = values
    set_ticks(plot, whole=whole)
    return plot


def dots(plot: figure, source: ColumnDataSource, x: str, y: str, states: NDArray[np.str_]) -> None:
    """Draw trials as dots in the colours of their states; `source` has a column `colour`; complete ones are on top."""
    size = 7 if states.size < 300 else 4
    plot.hover.renderers = [
        plot.scatter(x, y, source=source, color="colour", alpha="alpha", size=size, line_color=None)
    ]


def colours(states: NDArray[np.str_]) -> dict[str, Any]:
    """Return the columns `state`, `colour` and `alpha` of trials (n,)."""
    alphas = np.where(states == "complete", 0.9, 0.45)
    return {"state": states.tolist(), "colour": [COLOURS[state] for state in states.tolist()], "alpha": alphas}
