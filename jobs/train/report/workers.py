"""The workers of a training: when each took part, and where its time went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import ColumnDataSource, Range1d, Span
from bokeh.plotting import figure

from jobs.formatting import plural
from jobs.report.lanes import lanes
from jobs.report.page import Plot, Section
from jobs.report.theme import BLUE, FRAME, GREEN, INK, ORANGE, RED, SKY, VIOLET, set_ticks
from jobs.train.loop.timeline import NOTABLE, Record, notable, slow_text, slowest

ACTIVITIES = (
    ("compute", "Compute", BLUE, "forward and backward of the parts, on one worker"),
    ("exchange", "Exchange", ORANGE, "sending and adding, and waiting for the slowest worker"),
    ("apply", "Optimizer", GREEN, "the optimizer's step on each replica"),
    ("data", "Data", VIOLET, "waiting for rows that were not read ahead"),
)
MAX_LANES = 64
"""Maximum workers drawn, the newest."""
LABELLED = 0.04
"""Share of the width from which on a bar has room for its number of parts."""


def workers(records: Sequence[Record]) -> list[Section]:
    """Return the sections of the timeline and of the shares of time; none without workers."""
    if not records:
        return []
    shown = records[-MAX_LANES:]
    busy = [record for record in shown if _total(record)]
    return [_timeline(records, shown), *([_shares(records, busy)] if busy else [])]


def _total(record: Record) -> float:
    return sum(record.spent.get(name, 0.0) for name, *_ in ACTIVITIES)


def _timeline(records: Sequence[Record], shown: Sequence[Record]) -> Section:
    joined, gone = sum(record.joined for record in records), sum(record.gone for record in records)
    attempts = len({record.attempt for record in records})
    text = f"{plural(len(records), 'worker')} in {plural(attempts, 'attempt')}: {joined} joined later, {gone} lost."
    if len(records) > len(shown):
        text += f" Shown are the last {len(shown)}."
    dots = [(SKY, "takes part, with its number of parts"), (FRAME, "spare"), (GREEN, "joined later"), (RED, "lost")]
    present = (True, any(not span[2] for one in shown for span in one.spans), bool(joined), bool(gone))
    key: dict[str, Any] = {"dots": [dot for dot, is_there in zip(dots, present, strict=True) if is_there]}
    if attempts > 1:
        key["line"] = (INK, "a later attempt begins")
    plot = Plot("When each worker took part", _spans_plot(shown), wide=True)
    return Section("Workers", "report/plots.html", {"notes": [text], "key": key}, [plot])


def _lanes(shown: Sequence[Record], **settings: Any) -> figure:
    plot = lanes([record.worker for record in shown], margin=80, **settings)
    set_ticks(plot)
    return plot


def _spans_plot(shown: Sequence[Record]) -> figure:
    end = max(span[1] for record in shown for span in record.spans)
    begin = min(record.spans[0][0] for record in shown)
    margin = max(0.01 * (end - begin), 1e-3)
    plot = _lanes(
        shown,
        x_range=Range1d(start=max(begin - margin, 0.0), end=end + margin),
        x_axis_label="seconds of training",
        tooltips=[("worker", "@worker"), ("parts", "@parts"), ("from", "@left{0.[0]} s"), ("to", "@right{0.[0]} s")],
    )
    rows = [(len(shown) - 1 - at, record, span) for at, record in enumerate(shown) for span in record.spans]
    source = ColumnDataSource(
        {
            "y": [lane for lane, _, _ in rows],
            "worker": [record.worker for _, record, _ in rows],
            "left": [left for _, _, (left, _, _) in rows],
            "right": [right for _, _, (_, right, _) in rows],
            "parts": [int(parts) for _, _, (_, _, parts) in rows],
            "colour": [SKY if parts else FRAME for _, _, (_, _, parts) in rows],
            "label": [
                str(int(parts)) if right - left > LABELLED * (end - begin) else "" for *_, (left, right, parts) in rows
            ],
            "middle": [(left + right) / 2 for *_, (left, right, _) in rows],
        }
    )
    bars = plot.hbar("y", left="left", right="right", height=0.72, source=source, color="colour", line_color="white")
    style = {"text_align": "center", "text_baseline": "middle", "text_font_size": "11px", "text_color": INK}
    plot.text("middle", "y", text="label", source=source, **style)
    plot.hover.renderers = [bars]
    _mark_ends(plot, shown)
    return plot


def _mark_ends(plot: figure, shown: Sequence[Record]) -> None:
    """Mark joins and losses, and by a dashed line where a later attempt begins."""
    lanes = list(enumerate(reversed(shown)))
    for is_marked, place, marker, colour in (
        ([record.joined for _, record in lanes], [record.spans[0][0] for _, record in lanes], "triangle", GREEN),
        ([record.gone for _, record in lanes], [record.spans[-1][1] for _, record in lanes], "x", RED),
    ):
        marked = [(at, lane) for (lane, _), at, yes in zip(lanes, place, is_marked, strict=True) if yes]
        x, y = [at for at, _ in marked], [lane for _, lane in marked]
        plot.scatter(x, y, marker=marker, size=11, color=colour, line_width=2.5 if marker == "x" else 1)
    begins = {record.attempt: record.spans[0][0] for record in reversed(shown)}
    for attempt in sorted(begins)[1:]:
        plot.add_layout(Span(location=begins[attempt], dimension="height", line_color=INK, line_dash="dashed"))


def _shares(records: Sequence[Record], busy: Sequence[Record]) -> Section:
    slow = slowest(records)
    notes = ["Each worker's time within steps; exchange is mostly waiting for the slowest one."]
    if slow:
        text = slow_text(slow)
        notes.append(f"{text[:1].upper()}{text[1:]}.")
        if not notable(slow):
            notes.append(f"That is no concern below {NOTABLE:g} times.")
    plot = _lanes(busy, x_range=Range1d(start=0, end=100), x_axis_label="percent of its time")
    plot.hover.tooltips = [("worker", "@worker"), *((name, f"@{key}{{0.0}} %") for key, name, *_ in ACTIVITIES)]
    shares = {key: [100 * record.spent.get(key, 0.0) / _total(record) for record in busy] for key, *_ in ACTIVITIES}
    lanes = list(range(len(busy) - 1, -1, -1))
    source = ColumnDataSource({"y": lanes, "worker": [record.worker for record in busy], **shares})
    keys, colours = [key for key, *_ in ACTIVITIES], [colour for _, _, colour, _ in ACTIVITIES]
    plot.hbar_stack(keys, y="y", height=0.72, color=colours, source=source, line_color="white")
    key = {"dots": [(colour, name.lower()) for _, name, colour, _ in ACTIVITIES]}
    return Section(
        "Where the time of each worker went",
        "report/plots.html",
        {"notes": notes, "key": key},
        [Plot("Shares of each worker's time", plot, wide=True)],
    )
