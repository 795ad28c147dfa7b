"""The theme of a report: fonts, the palette, Bokeh's settings; the page's style sheet is templates/style.css."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bokeh.models import AdaptiveTicker, NoOverlap
from bokeh.themes import Theme

if TYPE_CHECKING:
    from bokeh.plotting import figure

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
INK, FRAME, GRID = "#33404d", "#c4ccd4", "#e9edf1"
BLUE, NAVY, SKY = "#2f6db3", "#12355b", "#7fa6cf"
GREEN, AMBER, ORANGE, RED = "#4f9d6b", "#e0b06a", "#e08a2b", "#c23b3b"
VIOLET, PURPLE = "#8a5aa8", "#7d5ba6"
SHADES = ("#e3e8ee", "#c5d3e3", "#9dbbdb", "#6f9fcf", "#4580bd", "#245f9f", "#0f3f78")
"""From the least to the most."""
FEW_DECADES = 3
"""Decades of a logarithmic axis up to which 2 and 5 have labels too."""

_AXIS = {
    "axis_line_color": None,
    "major_tick_line_color": FRAME,
    "minor_tick_line_color": None,
    "major_label_text_color": INK,
    "major_label_text_font": FONT,
    "major_label_text_font_size": "12px",
    "axis_label_text_color": INK,
    "axis_label_text_font": FONT,
    "axis_label_text_font_size": "12px",
    "axis_label_text_font_style": "normal",
    "axis_label_standoff": 4,
}
THEME = Theme(
    json={
        "attrs": {
            "Plot": {"background_fill_color": None, "border_fill_color": None, "outline_line_color": FRAME},
            "Axis": _AXIS,
            "Grid": {"grid_line_color": GRID},
            "ColorBar": {"major_label_text_font": FONT, "major_label_text_color": INK, "background_fill_color": None},
            "Toolbar": {"logo": None, "autohide": True},
        },
    },
)


def log_ticks(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: 1, 2, 5 of each decade, of more than three decades 1 alone.

    Args:
        low: the smallest value drawn, positive.
        high: the largest.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    heads = (1, 2, 5) if last - first <= FEW_DECADES else (1,)
    return [float(f"{head}e{decade}") for decade in range(first, last + 1) for head in heads]


def set_ticks(plot: figure, *, whole: bool = False) -> None:
    """Leave labels out that would overlap, as on logarithmic axes of many decades.

    Args:
        plot: a figure; its axes are changed.
        whole: the x axis has whole numbers, such as steps, and so it has ticks at no others.
    """
    plot.axis.major_label_policy = NoOverlap()
    for axis in plot.xaxis:
        if whole and isinstance(axis.ticker, AdaptiveTicker):
            axis.ticker.min_interval = 1
