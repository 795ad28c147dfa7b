"""Timeline of the workers: which worker ran which trial when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from jobs.formatting import plural
from jobs.report.html import duration
from jobs.report.lanes import lanes as lanes_of
from jobs.report.page import Plot, Section
from jobs.tune.report.plots import COLOURS, key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jobs.tune.report.data import Search

MAX_LANES = 64
"""Maximum lanes drawn."""
SLACK = 0.05
"""Seconds by which trials of one lane may overlap: a pruned trial ends at its next report only."""


@dataclass(frozen=True)
class Lanes:
    """Trials that ended on a worker, in the order of their ends: columns (m,); a lane is one slot of a worker.

    Attributes:
        number: the trials' numbers.
        begin: the start of each, in seconds of the study.
        end: its end.
        lane: its lane, 0, 1, ...
        names: the lanes' workers; a worker that ran several trials at once has several lanes.
    """

    number: NDArray[np.intp]
    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    lane: NDArray[np.intp]
    names: list[str]

    def busy(self) -> float:
        """Return the used share of the lanes' time, each from its first trial's start to its last one's end."""
        used, there = 0.0, 0.0
        for lane in range(len(self.names)):
            mine = self.lane == lane
            used += float((self.end[mine] - self.begin[mine]).sum())
            there += float(self.end[mine].max() - self.begin[mine].min())
        return min(1.0, used / there) if there else 1.0


def lanes(search: Search) -> Lanes:
    """Return the lanes; each trial is placed in the first lane of its worker that is free by then."""
    ended = [at for at, row in enumerate(search.rows) if row["worker"] and row["at"] is not None]
    number = np.array(ended, dtype=np.intp)
    end = search.run("at")[number]
    begin = np.maximum(0.0, end - search.run("seconds")[number])
    order = np.argsort(begin, kind="stable")
    number, begin, end = number[order], begin[order], end[order]
    free: dict[str, list[tuple[int, float]]] = {}
    names: list[str] = []
    lane = np.zeros(number.size, dtype=np.intp)
    for at, trial in enumerate(number):
        worker = search.rows[trial]["worker"]
        mine = free.setdefault(worker, [])
        place = next((i for i, (_, until) in enumerate(mine) if until <= begin[at] + SLACK), None)
        if place is None:
            place = len(mine)
            mine.append((len(names), 0.0))
            names.append(worker)
        lane[at] = mine[place][0]
        mine[place] = (mine[place][0], end[at])
    return Lanes(number, begin, end, lane, names)


def workers(search: Search) -> Section | None:
    """Return the section with the timeline; None if no trial has ended on a worker."""
    found = lanes(search)
    if not found.number.size:
        return None
    count = len(set(found.names))
    seconds = duration(float(found.end.max() - found.begin.min()))
    text = (
        f"{plural(found.number.size, 'trial')} on {plural(count, 'worker')} in {seconds}. A worker was busy "
        f"{found.busy():.1%} of the time from its first trial to the end of its last one."
    )
    if len(found.names) > MAX_LANES:
        text += f" Shown are the first {MAX_LANES} of {len(found.names):,} lanes."
    states = [state for state in COLOURS if state in search.states[found.number]]
    data = {"notes": [text], "key": key(states)}
    return Section("Workers", "report/plots.html", data, [Plot("Timeline", _plot(search, found), wide=True)])


def _bars(search: Search, found: Lanes, count: int) -> ColumnDataSource:
    shown = found.lane < MAX_LANES
    states = search.states[found.number[shown]]
    return ColumnDataSource(
        {
            "y": count - 1 - found.lane[shown],
            "left": found.begin[shown],
            "right": found.end[shown],
            "number": found.number[shown],
            "seconds": (found.end - found.begin)[shown],
            "state": states.tolist(),
            "colour": [COLOURS[state] for state in states.tolist()],
        }
    )


def _plot(search: Search, found: Lanes) -> figure:
    count = min(len(found.names), MAX_LANES)
    source = _bars(search, found, count)
    plot = lanes_of(
        found.names[:count],
        margin=90,
        tooltips=[("trial", "@number"), ("state", "@state"), ("seconds", "@seconds{0.[000]}")],
        x_axis_label="seconds of the study",
    )
    bars = plot.hbar("y", left="left", right="right", height=0.72, source=source, color="colour", line_color="white")
    bars.glyph.line_width = 0.5 if found.number.size < 1000 else 0
    plot.hover.renderers = [bars]
    return plot
