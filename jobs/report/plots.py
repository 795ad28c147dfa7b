"""The plots that stand two in a row on a report's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.plotting import figure

from jobs.report.theme import set_ticks

WIDTH, HEIGHT = 545, 280
LEFT = 60
"""Pixels left of the frame, at least: frames above each other begin at one place whatever their labels."""


def half_plot(x: str, tooltips: Sequence[tuple[str, str]], *, whole: bool = False, **settings: Any) -> figure:
    """Return an empty plot of half the page's width.

    Args:
        x: the label of its x axis.
        tooltips: what is shown where the pointer is, name and Bokeh's field.
        whole: the x axis has whole numbers, such as steps.
        settings: more of `bokeh.plotting.figure`'s, such as y_axis_label, y_axis_type, x_range.
    """
    plot = figure(
        width=WIDTH,
        height=HEIGHT,
        min_border_left=LEFT,
        x_axis_label=x,
        tools="pan,box_zoom,reset,save,hover",
        tooltips=list(tooltips),
        **settings,
    )
    set_ticks(plot, whole=whole)
    return plot
