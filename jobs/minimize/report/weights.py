"""What a linear classifier of images learned: the weights of each class as a picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, FixedTicker, Image, LinearColorMapper, Range1d
from bokeh.models.annotations import ColorBar
from bokeh.palettes import RdBu11, interp_palette
from bokeh.plotting import figure

from jobs.formatting import number
from jobs.report.page import Plot, Section
from jobs.report.theme import FONT, INK

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 250_000  # of all pictures together: 1.3 MB of the file
SPACE_X, SPACE_Y = 1.08, 1.24  # from one picture to the next, in pictures; above each there is its label


def weights(images: NDArray[np.float64]) -> Section:
    """Return the section for `images` (classes, height, width), in one colour scale symmetric about zero.

    The colours end at the 99.5th percentile of all magnitudes, since a few large weights would leave the rest white.
    """
    classes, height, width = images.shape
    largest = float(np.abs(images).max())
    limit = float(np.percentile(np.abs(images), 99.5)) or 1.0
    shown = images[: max(1, MAX_PIXELS // (height * width))]
    notes = []
    if limit < largest:
        notes.append(
            f"The colours end at ±{number(limit, 3)}; the largest 0.5 % of the weights reach {number(largest, 3)}."
        )
    if len(shown) < classes:
        notes.append(f"Shown are {len(shown):,} of {classes:,} classes.")
    plot = Plot(f"Weights by class, {height} by {width} pixels", _pictures(shown, limit), wide=True)
    measures = (np.min, np.max, np.linalg.norm)
    rows = [(label, *(float(f"{measure(image):.6g}") for measure in measures)) for label, image in enumerate(images)]
    return Section("Learned weights", "job/weights.html", {"notes": notes, "rows": rows}, [plot])


def _pictures(images: NDArray[np.float64], limit: float) -> figure:
    """Draw images (classes, height, width) on a grid, in units of one image."""
    classes, height, width = images.shape
    columns = min(classes, max(5, math.ceil(math.sqrt(2.2 * classes))))
    rows = math.ceil(classes / columns)
    x = [SPACE_X * (label % columns) for label in range(classes)]
    y = [SPACE_Y * (rows - 1 - label // columns) for label in range(classes)]
    plot = _canvas(rows, columns, height / width)
    mapper = LinearColorMapper(palette=interp_palette(RdBu11, 255), low=-limit, high=limit)
    # Bokeh draws the first row of an image at the bottom.
    pixels = [image[::-1].astype(np.float32) for image in images]
    source = ColumnDataSource({"image": pixels, "x": x, "y": y, "label": [str(label) for label in range(classes)]})
    glyph = Image(image="image", x="x", y="y", dw=1, dh=1, color_mapper=mapper)
    plot.hover.renderers = [plot.add_glyph(source, glyph)]
    plot.text(
        [left + 0.5 for left in x],
        [low + 1.03 for low in y],
        source.data["label"],
        text_align="center",
        text_color=INK,
        text_font=value(FONT),
        text_font_size="13px",
    )
    ticks = FixedTicker(ticks=[-limit, -limit / 2, 0, limit / 2, limit])
    plot.add_layout(ColorBar(color_mapper=mapper, ticker=ticks, width=12, padding=14), "right")
    return plot


def _canvas(rows: int, columns: int, aspect: float) -> figure:
    """Return an empty figure for a grid of images whose height is `aspect` times their width."""
    tile = min(170, 970 // columns)
    plot = figure(
        frame_width=tile * columns,
        frame_height=round(tile * rows * aspect * SPACE_Y / SPACE_X),
        x_range=Range1d(start=-0.04, end=SPACE_X * columns - 0.04),
        y_range=Range1d(start=-0.04, end=SPACE_Y * rows - 0.04),
        tools="box_zoom,reset,save,hover",
        tooltips=[("class", "@label"), ("weight", "@image")],
        outline_line_color=None,
    )
    plot.axis.visible = False
    plot.grid.visible = False
    return plot
