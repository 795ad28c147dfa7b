"""Plots of workers over time: a lane for each, the first on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import FixedTicker, Range1d
from bokeh.plotting import figure


def lanes(workers: Sequence[str], *, margin: int, **settings: Any) -> figure:
    """Return a figure whose y axis has the workers of lanes; the last lane is at y = 0.

    Args:
        workers: the lanes' workers by address, of the first lane first.
        margin: pixels of the height beside the lanes.
        settings: others of `figure`.
    """
    count = len(workers)
    plot = figure(
        width=1090,
        height=margin + 24 * count,
        y_range=Range1d(start=-0.7, end=count - 0.3),
        tools="xpan,xbox_zoom,reset,save,hover",
        **settings,
    )
    plot.yaxis.ticker = FixedTicker(ticks=list(range(count)))
    plot.yaxis.major_label_overrides = {
        count - 1 - lane: address.rpartition("//")[2] for lane, address in enumerate(workers)
    }
    plot.ygrid.visible = False
    return plot
