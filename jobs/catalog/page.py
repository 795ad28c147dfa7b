"""A comparison of runs as one HTML file: their curves in one plot, and the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bokeh.models import ColumnDataSource

from jobs.catalog.compare import ComparedRun, Table, shown, tables
from jobs.formatting import plural
from jobs.report.page import Plot, Section, page
from jobs.report.plots import half_plot
from jobs.report.theme import AMBER, BLUE, GREEN, NAVY, ORANGE, PURPLE, RED, SKY
from jobs.runs.folder import readable

if TYPE_CHECKING:
    from bokeh.plotting import figure

    from jobs.report.content import Curve

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, AMBER, NAVY, SKY)
DASHES = ("solid", "dashed", "dotted")
DECADES = 20.0
"""Values that span more than so many times are drawn on a logarithmic axis."""
WIDTH, HEIGHT = 1090, 420


def comparison_page(runs: Sequence[ComparedRun]) -> str:
    """Return the page.

    Raises:
        InputError: a file of a folder is damaged.
        ClusterError: the storage failed.
    """
    found = tables(runs)
    sections = [*_curves(runs), *(_section(title, rows, runs) for title, rows in found.items() if rows)]
    title = f"{plural(len(runs), 'run')} compared"
    head = {"title": title, "url": ", ".join(one.url for one in runs), "updated": None, "css": "good",
            "label": ", ".join(sorted({one.job.name for one in runs})), "summary": _summary(runs), "error": None,
            "details": None, "progress": None}  # fmt: skip
    return page(title, head, sections, "jobs.report")


def _summary(runs: Sequence[ComparedRun]) -> str:
    """Return the first number of each run in a sentence."""
    firsts = [(one.url, next(iter(one.numbers.items()), None)) for one in runs]
    texts = [f"{url}: {first[0]} {shown(*first)}" for url, first in firsts if first]
    return f"{'; '.join(texts)}." if texts else "No run has a result yet."


def _section(title: str, rows: Table, runs: Sequence[ComparedRun]) -> Section:
    cells = [(name, *(shown(name, value) for value in values)) for name, values in rows.items()]
    head = ("", *(one.url for one in runs))
    return Section(title, "report/table.html", {"head": head, "rows": cells, "css": "compared"})


def _curves(runs: Sequence[ComparedRun]) -> list[Section]:
    """Return the section with a plot for each kind of curve; none where no run has one."""
    kinds: dict[tuple[str, str], list[tuple[int, Curve]]] = {}
    for at, one in enumerate(runs):
        with readable(one.url, "the history"):
            curve = one.job.load_curve()(one.storage)
        if curve is not None:
            kinds.setdefault((curve.x, curve.y), []).append((at, curve))
    plots = [Plot(f"{y[:1].upper()}{y[1:]} by {x}", _plot(runs, curves), wide=True) for (x, y), curves in kinds.items()]
    drawn = sorted(at for curves in kinds.values() for at, _ in curves)
    dots = [(COLOURS[at % len(COLOURS)], runs[at].url) for at in drawn]
    return [Section("Curves", "report/plots.html", {"notes": [], "key": {"dots": dots}}, plots)] if plots else []


def _plot(runs: Sequence[ComparedRun], curves: Sequence[tuple[int, Curve]]) -> figure:
    first = curves[0][1]
    values = [y for _, curve in curves for _, y in curve.points if math.isfinite(y)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    tips = [("run", "@run"), (first.x, "@x"), (first.y, "@y{0.[000000]}")]
    settings: dict[str, Any] = {"y_axis_type": "log"} if low > 0 and high / low > DECADES else {}
    plot = half_plot(first.x, tips, whole=True, y_axis_label=first.y, **settings)
    plot.width, plot.height = WIDTH, HEIGHT
    for at, curve in curves:
        x, y = zip(*curve.points, strict=True)
        source = ColumnDataSource({"x": x, "y": y, "run": [runs[at].url] * len(x)})
        style = {"color": COLOURS[at % len(COLOURS)], "line_width": 2, "line_dash": DASHES[at // len(COLOURS) % 3]}
        if curve.steps:
            plot.step("x", "y", source=source, mode="after", **style)
        else:
            plot.line("x", "y", source=source, **style)
        plot.scatter(x[-1:], y[-1:], size=7, color=style["color"])
    return plot
