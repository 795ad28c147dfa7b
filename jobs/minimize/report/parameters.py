"""What a minimization found: theta as a bar chart and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange
from bokeh.plotting import figure

from jobs.formatting import number
from jobs.report.html import details, paragraph, table
from jobs.report.page import Section, draw, framed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST = 200
"""Parameters that are drawn and listed; more are in x.npy."""
COLOUR = "#2f6db3"
OPEN = 24
"""A longer table is folded."""
BAR, EDGE = 18, 60
"""Pixels of a bar and of what is around all of them."""


def parameters(names: Sequence[str], theta: NDArray[np.float64]) -> Section:
    """Return the section for theta (n,), n <= `MOST`, with the names of its entries."""
    script, (element,) = draw([_bars(names, theta)])
    listed = table(("Parameter", "Value"), [(name, float(value)) for name, value in zip(names, theta, strict=True)])
    if len(names) > OPEN:
        listed = details(f"All {len(names)} parameters in numbers", listed)
    text = "The parameters at the end, in the order of x.npy."
    return Section("Parameters found", paragraph(text) + framed("Value by parameter", element) + listed, script)


def _bars(names: Sequence[str], theta: NDArray[np.float64]) -> figure:
    """Draw one horizontal bar for each parameter, the first on top; equal names are told apart by a count."""
    labels = _unlike(names)
    source = ColumnDataSource({"name": labels, "value": theta, "shown": [number(value, 10) for value in theta]})
    plot = figure(
        y_range=FactorRange(*reversed(labels)),
        height=EDGE + BAR * len(labels),
        sizing_mode="stretch_width",
        tools="box_zoom,reset,save,hover",
        tooltips=[("parameter", "@name"), ("value", "@shown")],
        x_axis_label="value",
    )
    plot.hbar(y="name", right="value", left=0, height=0.7, color=COLOUR, source=source)
    plot.ygrid.visible = False
    return plot


def _unlike(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return labels
