"""What a minimization found: theta as a bar chart and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange
from bokeh.plotting import figure

from jobs.formatting import number
from jobs.report.page import Plot, Section
from jobs.report.theme import BLUE, set_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_PARAMETERS = 200
"""Parameters that are drawn and listed; more are in x.npy."""
MAX_ROWS = 24
"""A longer table is folded."""
BAR, EDGE = 18, 60
"""Pixels of a bar and of what is around all of them."""


def parameters(
    names: Sequence[str], theta: NDArray[np.float64], errors: Sequence[float] | None = None, note: str = ""
) -> Section:
    """Return the section for theta (n,), n <= `MAX_PARAMETERS`.

    Args:
        names: of its entries.
        theta: the parameters.
        errors: their standard errors, if they are known.
        note: why they are not.
    """
    rows: list[tuple[object, ...]] = [(name, float(value)) for name, value in zip(names, theta, strict=True)]
    head = ("Parameter", "Value")
    if errors:
        rows = [(*row, float(error)) for row, error in zip(rows, errors, strict=True)]
        head = (*head, "Standard error")  # type: ignore[assignment]  # one column more
    data = {"head": head, "rows": rows, "folded": len(rows) > MAX_ROWS, "note": note}
    return Section("Parameters found", "job/parameters.html", data, [Plot("Value by parameter", _bars(names, theta))])


def _bars(names: Sequence[str], theta: NDArray[np.float64]) -> figure:
    """Draw one horizontal bar per parameter, the first on top; equal names get a count."""
    labels = _distinct(names)
    source = ColumnDataSource({"name": labels, "value": theta, "shown": [number(value, 10) for value in theta]})
    plot = figure(
        y_range=FactorRange(*reversed(labels)),
        height=EDGE + BAR * len(labels),
        sizing_mode="stretch_width",
        tools="box_zoom,reset,save,hover",
        tooltips=[("parameter", "@name"), ("value", "@shown")],
        x_axis_label="value",
    )
    plot.hbar(y="name", right="value", left=0, height=0.7, color=BLUE, source=source)
    set_ticks(plot)
    plot.ygrid.visible = False
    return plot


def _distinct(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return labels
