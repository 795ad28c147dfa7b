"""The content of a train run's report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.formatting import number, plural
from jobs.report.content import Content, Curve, Share
from jobs.report.html import duration
from jobs.report.page import Section
from jobs.report.theme import AMBER, FRAME, NAVY
from jobs.runs.folder import read_run
from jobs.train.event_files import LEARNING_RATE, rates_of
from jobs.train.loop.checkpoint import Checkpoints
from jobs.train.loop.timeline import Record
from jobs.train.outcome import model_numbers, weights_text
from jobs.train.report.curves import curves, label
from jobs.train.report.workers import ACTIVITIES, workers

if TYPE_CHECKING:
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

ALL = (
    *ACTIVITIES,
    ("validation", "Validation", NAVY, "loss and metrics of the validation data, at the end of each epoch"),
    ("files", "Files", AMBER, "waiting until checkpoints are copied and complete, and writing the model"),
    ("rest", "Rest", FRAME, "the first step, for which TensorFlow prepares much; callbacks; workers that came or went"),
)
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
        history, timeline, rates = (run.result[name] for name in ("history", "timeline", "rates"))
    else:
        progress = _progress(storage)
        history, timeline = dict(progress.get("history", {})), progress.get("workers", [])
        rates = rates_of(progress)
    sections = [*curves(history, rates), *([_time(run.result)] if run.result else [])]
    sections += workers([Record(**one) for one in timeline])
    if run.result:
        sections.append(_numbers(run.result))
    return Content(_title(run), _summary(run, history), sections)


def curve(storage: Storage) -> Curve | None:
    """Return the loss over the epochs, of validation if there is one; None before the first has ended.

    Raises:
        InputError: a file is damaged.
    """
    run = read_run(storage)
    history = dict((run.result or _progress(storage)).get("history", {}))
    name = "val_loss" if history.get("val_loss") else "loss"
    points = [(float(epoch), float(value)) for epoch, value in enumerate(history.get(name, ()), start=1)]
    return Curve("epochs", label(name), points) if points else None


def _progress(storage: Storage) -> dict[str, Any]:
    """Return what the last checkpoint says of a run that has not ended."""
    manifest = Checkpoints(storage).last()
    return dict(manifest.progress) if manifest else {}


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
    last = ", ".join(f"{label(name)} {number(float(numbers[name]), 4)}" for name in shown)
    where = f"on {plural(run.result['workers'], 'worker')}" if run.result and run.result["workers"] else ""
    took = f" in {duration(run.result['seconds'])} {where}".rstrip() if run.result else ""
    ended = f" Ended early: {run.result['ended']}." if run.result and run.result["ended"] else ""
    weights = f" These are the model's numbers, with the weights {weights_text(run.result)}." if run.result else ""
    return f"After {plural(epochs, 'epoch')}{took}: {last}.{ended}{weights}"


def _time(result: dict[str, Any]) -> Section:
    spent = {key: float(result["spent"].get(key, 0.0)) for key, *_ in ALL}
    total = sum(spent.values()) or 1.0
    parts = [
        Share(name, colour, duration(spent[key]), spent[key] / total, text)
        for key, name, colour, text in ALL
        if spent[key]
    ]
    of = "Of one worker" if result["workers"] else "Of this process"
    note = f"{of}, in the last attempt." if result["attempt"] > 1 else f"{of}."
    note += " The seconds before training began, in which workers and model were made ready, are not in it."
    head = ("Part", "Time", "Share", "What it is")
    return Section(
        "Where the time went",
        "report/shares.html",
        {"text": result.get("hint", ""), "note": note, "head": head, "parts": parts},
    )


def _numbers(result: dict[str, Any]) -> Section:
    rows = [(text, result[name]) for name, text in QUANTITIES.items() if result.get(name) is not None]
    if len(rates := set(result["rates"][LEARNING_RATE])) == 1:
        rows.append(("Learning rate", f"{rates.pop():.4g}"))
    rows += [(label(name).capitalize(), f"{value:.10g}") for name, value in model_numbers(result).items()]
    return Section("Result in numbers", "report/table.html", {"head": ("Quantity", "Value"), "rows": rows})
