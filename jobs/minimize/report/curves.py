"""How a minimization went: its loss and largest gradient entry over evaluations and over time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, DataRange1d, NumeralTickFormatter
from bokeh.plotting import figure

from jobs.formatting import plural
from jobs.minimize.report.history import History, downsample, lowest_so_far
from jobs.report.page import Plot, Section
from jobs.report.plots import half_plot
from jobs.report.theme import NAVY, SKY

if TYPE_CHECKING:
    from numpy.typing import NDArray

EACH, LOWEST = SKY, NAVY
NOT_HERE = "The history of evaluations (history.csv) is not in this folder."
AXES = {"evaluation": "evaluations", "seconds": "seconds"}
TABLE_ROWS = 24
KEY = {"dots": [(EACH, "each evaluation")], "line": (LOWEST, "lowest so far")}


@dataclass(frozen=True)
class Curve:
    """One quantity over a run's evaluations: `values` and their running minimum `lowest`, both (n,) float64.

    `lowest` is nan where there is none, or none that a logarithmic scale (`log`) can show.
    """

    name: str
    values: NDArray[np.float64]
    lowest: NDArray[np.float64]
    log: bool

    @cached_property
    def drawable(self) -> NDArray[np.intp]:
        """Which evaluations have a place on the scale: indices (m,), rising."""
        return np.flatnonzero(np.isfinite(self.values) & ((self.values > 0) | (not self.log)))

    @cached_property
    def drawn(self) -> NDArray[np.intp]:
        """Which of them a plot needs: indices (k,), rising."""
        return self.drawable[downsample(self.values[self.drawable])]


def curves(history: History) -> list[Curve]:
    """Return the quantities of which there is something to draw.

    The loss above its lowest value shows the rate of convergence where the loss itself looks flat; its scale is
    logarithmic, as that of the gradient. That of the loss is so if no loss is zero or less.
    """
    at = history.lowest
    floor = np.nan if at is None else history.loss[at]
    found = (
        _curve("Loss", history.loss, log=bool(floor > 0)),
        _curve("Loss above its lowest value", history.loss - floor, log=True),
        _curve("Largest gradient entry", history.gradient_norm, log=True),
    )
    return [curve for curve in found if curve.drawable.size]


def _curve(name: str, values: NDArray[np.float64], *, log: bool) -> Curve:
    lowest = lowest_so_far(values)
    return Curve(name, values, np.where(lowest > 0, lowest, np.nan) if log else lowest, log)


def progress(history: History, *, finished: bool = False) -> Section:
    """Return the section with the plots, what they leave out, and their numbers as a table.

    Args:
        history: the evaluations.
        finished: the run has ended well, so that there were some, wherever their table is.
    """
    shown = curves(history)
    if not shown:
        recorded = "No evaluation with a finite loss has been recorded."
        return Section(
            "Progress", "report/text.html", {"text": NOT_HERE if finished and not len(history) else recorded}
        )
    ranges = {axis: DataRange1d(range_padding=0.03) for axis in AXES}  # plots of one axis zoom together
    plots = [
        Plot(f"{curve.name} against {AXES[axis]}", _plot(history, curve, axis, ranges[axis]))
        for curve in shown
        for axis in AXES
    ]
    rows = _evaluations(history)
    data = {"notes": _omissions(history, shown), "key": KEY, "rows": rows, "count": len(history)}
    return Section("Progress", "job/progress.html", data, plots)


def _plot(history: History, curve: Curve, axis: str, x_range: DataRange1d) -> figure:
    columns = {"value": curve.values, "lowest": curve.lowest, axis: getattr(history, axis)}
    source = ColumnDataSource({name: column[curve.drawn] for name, column in columns.items()})
    plot = half_plot(
        AXES[axis],
        [(axis, f"@{axis}{{0.[00]}}"), (curve.name.lower(), "@value{%.8g}")],
        whole=axis == "evaluation",
        x_range=x_range,
        y_axis_type="log" if curve.log else "linear",
    )
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0.[0000]")
    plot.hover.formatters = {"@value": "printf"}
    size = 6 if curve.drawn.size < 200 else 3
    plot.hover.renderers = [plot.scatter(axis, "value", source=source, size=size, color=EACH, line_color=None)]
    plot.step(axis, "lowest", source=source, mode="after", color=LOWEST, line_width=1.3)
    if not curve.log:
        # One spike of a line search would flatten all else on a linear scale.
        low, high = curve.lowest[curve.drawn].min(), curve.lowest[curve.drawn].max()
        margin = 0.06 * (high - low) or 0.01 * max(abs(high), 1.0)
        plot.y_range.update(start=low - margin, end=high + margin)
    return plot


def _omissions(history: History, shown: list[Curve]) -> list[str]:
    """Return sentences on what the plots omit."""
    notes = []
    if hidden := int(np.count_nonzero(~np.isfinite(history.loss))):
        notes.append(f"Not drawn: {plural(hidden, 'evaluation')} with a loss of inf or nan.")
    if (drawn := shown[0].drawn.size) < shown[0].drawable.size:
        notes.append(
            f"Each plot draws about {drawn:,} of {len(history):,} evaluations: lows and highs of each stretch."
        )
    if not shown[0].log:
        notes.append("The plots of the loss show the range of its lowest value so far; higher losses lie outside.")
    return notes


def _evaluations(history: History) -> list[tuple[float, ...]]:
    """Return the first, the last and the lowest evaluation and some between as rows of a table."""
    spread = np.linspace(0, len(history) - 1, TABLE_ROWS).round().astype(int)
    chosen = np.unique(np.append(spread, history.lowest or 0))
    columns = (history.seconds, history.loss, history.gradient_norm)
    return [(int(history.evaluation[at]), *(float(f"{column[at]:.8g}") for column in columns)) for at in chosen]
