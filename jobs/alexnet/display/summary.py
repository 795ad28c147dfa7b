"""The summary that an alexnet job prints at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.formatting import duration, printable, short
from jobs.train import summary

SHOWN = 5
"""Classes that are named."""


def show(result: Mapping[str, Any], run: str) -> None:
    """Print a result: how it ended, the metrics, the images, where the time went, and the next command."""
    images, batch = result["images"], result["identity"]["batch_size"]
    text = f"{images['count']:,} ({result['held_out']:,} held out)"
    if bad := images["bad_count"]:
        address, why = images["bad"][0]
        text += f"; {bad:,} could not be read, the first {address}: {why}"
    took = f"{duration(images['load_seconds'], 2)} loading, {duration(images['shuffle_seconds'], 2)} shuffling"
    steps = f"of {batch} images; learning rate {short(result['learning_rate'], 3)} at the start"
    classes = classes_text(images["class_names"])
    rows = [("images", text), ("classes", classes), ("steps", steps), ("before training", took)]
    summary.show_with(result, run, rows, predicts="IMAGE...")


def classes_text(names: Sequence[str]) -> str:
    """Return the number of classes, and the names of the first."""
    return f"{len(names):,}: {printable(', '.join(names[:SHOWN]))}" + (", ..." if len(names) > SHOWN else "")
