"""The picture of a network's first filters in its report: what the network looks for first."""

from __future__ import annotations

import io
import math
import zipfile
from typing import TYPE_CHECKING

import numpy as np
from bokeh.plotting import figure
from numpy.typing import NDArray

from jobs.datasets.ranged_file import SeekableFile, open_file
from jobs.errors import JobError
from jobs.npy import read_array
from jobs.report.page import Plot, Section
from jobs.train.process.export import WEIGHTS

if TYPE_CHECKING:
    from jobs.storage import Storage

KERNEL = "conv2d/kernel.npy"
COLUMNS, TILE, GAP = 16, 50, 1.15
"""Filters of a row, pixels of one on the page, and the distance of two in units of one."""
NOTE = (
    "The weights of each filter of the first convolution for red, green and blue, from its lowest (0) to its highest "
    "(255). Edges, stripes and blobs of colour are what a network learns from enough images; filters that still look "
    "like noise are those that it did not need, or had too little time for."
)


def filters(storage: Storage) -> list[Section]:
    """Return the section of the first filters; none where the weights are missing, or have no such array."""
    try:
        with zipfile.ZipFile(io.BufferedReader(SeekableFile(open_file(storage, WEIGHTS)))) as archive:
            kernel = read_array(archive.read(KERNEL))
    except JobError:
        raise
    except Exception:  # noqa: BLE001  zipfile and zlib raise many for what is damaged
        return []
    if kernel.ndim != 4 or kernel.shape[2] != 3 or 0 in kernel.shape or kernel.dtype.kind != "f":
        return []
    side, _, _, count = kernel.shape
    plot = Plot(f"{count} filters of {side} by {side} pixels", _grid(_pixels(kernel)), wide=True)
    return [Section("First filters", "report/plots.html", {"notes": [NOTE], "key": {"dots": []}}, [plot])]


def _pixels(kernel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (filters, height, width, 4) RGBA of (height, width, 3, filters), each filter from 0 to 255."""
    filters = np.moveaxis(np.nan_to_num(kernel), -1, 0)
    low, high = (edge(filters, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
    shown = np.round(255 * (filters - low) / np.maximum(high - low, np.finfo(np.float32).tiny)).astype(np.uint8)
    return np.concatenate([shown, np.full_like(shown[..., :1], 255)], axis=-1)


def _grid(pixels: NDArray[np.uint8]) -> figure:
    count = len(pixels)
    columns = min(count, COLUMNS)
    rows = math.ceil(count / columns)
    plot = figure(
        frame_width=round(TILE * GAP * columns),
        frame_height=round(TILE * GAP * rows),
        x_range=(0, GAP * columns),
        y_range=(0, GAP * rows),
        tools="box_zoom,reset,save,hover",
        tooltips=[("filter", "@number")],
        outline_line_color=None,
    )
    plot.axis.visible = False
    plot.grid.visible = False
    # Bokeh draws the first row of an image at the bottom.
    images = [np.ascontiguousarray(one[::-1]).view(np.uint32)[..., 0] for one in pixels]
    x = [GAP * (number % columns) for number in range(count)]
    y = [GAP * (rows - 1 - number // columns) for number in range(count)]
    source = {"image": images, "x": x, "y": y, "number": list(range(count))}
    plot.image_rgba("image", "x", "y", dw=1, dh=1, source=source)
    return plot
