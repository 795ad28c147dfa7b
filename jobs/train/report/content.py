"""The content of a train run's report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bokeh.plotting import figure

from jobs.formatting import number, plural
from jobs.report.content import Content, Share
from jobs.report.html import duration
from jobs.report.page import Plot, Section
from jobs.report.theme import BLUE, ORANGE, set_ticks
from jobs.train.loop.checkpoint import Checkpoints
from jobs.train.loop.timeline import Record
from jobs.train.outcome import model_numbers, weights_text
from jobs.train.report.workers import ACTIVITIES, workers

if TYPE_CHECKING:
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

TRAINED, HELD_OUT = BLUE, ORANGE
SUMMED_UP = 2
"""Metrics that the first sentence names, the loss among them."""


QUANTITIES = {
    "epochs": "Epochs",
    "steps": "Steps",
    "samples": "Samples",
    "held_out": "Validation rows",
    "skipped": "Steps skipped, as their loss was not finite",
    "parameters": "Parameters",
    "workers": "Workers",
    "lost_workers": "Workers lost",
    "attempt": "Attempts",
}


def content(run: RunFolder, storage: Storage) -> Content:
    """Return the content of a train run's report.

    Raises:
        InputError: a checkpoint is damaged.
    """
    if run.result:
        history, timeline = run.result["history"], run.result["timeline"]
    else:
        manifest = Checkpoints(storage).last()
        progress = manifest.progress if manifest else {}
        history, timeline = dict(progress.get("history", {})), progress.get("workers", [])
    sections = [*_curves(history), *([_time(run.result)] if run.result else [])]
    sections += workers([Record(**one) for one in timeline])
    if run.result:
        sections.append(_numbers(run.result))
    return Content(_title(run), _summary(run, history), sections)


def _title(run: RunFolder) -> str:
    model = run.options.get("model") or run.options.get("example") or "digits"
    return f"{run.job} · {model}"


def _summary(run: RunFolder, history: dict[str, list[float]]) -> str:
    epochs = len(history.get("loss", ()))
    if not epochs:
        return "No epoch has ended yet."
    numbers = model_numbers(run.result) if run.result else {name: values[-1] for name, values in history.items()}
    named = [name for name in history if not name.startswith("val_")][:SUMMED_UP]
    shown = [key for name in named for key in (name, f"val_{name}") if key in history]
    last = ", ".join(f"{_label(name)} {number(float(numbers[name]), 4)}" for name in shown)
    where = f"on {plural(run.result['workers'], 'worker')}" if run.result and run.result["workers"] else ""
    took = f" in {duration(run.result['seconds'])} {where}".rstrip() if run.result else ""
    ended = f" Ended early: {run.result['ended']}." if run.result and run.result["ended"] else ""
    weights = f" These are the model's numbers, with the weights {weights_text(run.result)}." if run.result else ""
    return f"After {plural(epochs, 'epoch')}{took}: {last}.{ended}{weights}"


def _label(name: str) -> str:
    return f"{name.removeprefix('val_')} of the validation data" if name.startswith("val_") else name


def _curves(history: dict[str, list[float]]) -> list[Section]:
    names = [name for name in history if not name.startswith("val_")]
    if not names or not history[names[0]]:
        return []
    plots = [Plot(name, _plot(history, name)) for name in names]
    dots = [(TRAINED, "training"), (HELD_OUT, "validation")]
    validated = any(name.startswith("val_") for name in history)
    data = {"notes": [], "key": {"dots": dots if validated else dots[:1]}}
    return [Section("Curves", "report/plots.html", data, plots)]


def _plot(history: dict[str, list[float]], name: str) -> figure:
    plot = figure(
        width=545,
        height=280,
        min_border_left=60,
        x_axis_label="epoch",
        tools="pan,box_zoom,reset,save,hover",
        tooltips=[("epoch", "@x"), (name, "@y{0.00000}")],
    )
    set_ticks(plot, whole=True)
    for key, colour in ((name, TRAINED), (f"val_{name}", HELD_OUT)):
        if values := [float(value) for value in history.get(key, ())]:
            epochs = list(range(1, len(values) + 1))
            plot.line(epochs, values, color=colour, line_width=1.5)
            plot.scatter(epochs, values, color=colour, size=5)
    return plot


def _time(result: dict[str, Any]) -> Section:
    spent = {key: float(result["spent"].get(key, 0.0)) for key, *_ in ACTIVITIES}
    total = sum(spent.values()) or 1.0
    parts = [
        Share(name, colour, duration(spent[key]), spent[key] / total, text) for key, name, colour, text in ACTIVITIES
    ]
    of = "Of one worker" if result["workers"] else "Of this process"
    note = f"{of}, in the last attempt." if result["attempt"] > 1 else f"{of}."
    head = ("Part", "Time", "Share", "What it is")
    return Section(
        "Where the time went",
        "report/shares.html",
        {"text": result.get("hint", ""), "note": note, "head": head, "parts": parts},
    )


def _numbers(result: dict[str, Any]) -> Section:
    rows = [(text, result[name]) for name, text in QUANTITIES.items() if result.get(name) is not None]
    rows += [(_label(name).capitalize(), f"{value:.10g}") for name, value in model_numbers(result).items()]
    return Section("Result in numbers", "report/table.html", {"head": ("Quantity", "Value"), "rows": rows})
