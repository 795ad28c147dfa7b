"""The summary that an alexnet job prints at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.formatting import duration
from jobs.train import summary


def show(result: Mapping[str, Any], run: str) -> None:
    """Print a result: how it ended, the metrics, the images, where the time went, and the next command."""
    images = result["images"]
    text = f"{images['count']:,}, labelled 0 .. {images['classes'] - 1:,}"
    if bad := images["bad_count"]:
        address, why = images["bad"][0]
        text += f"; {bad:,} could not be read, the first {address}: {why}"
    took = f"{duration(images['load_seconds'])} loading, {duration(images['shuffle_seconds'])} shuffling"
    summary.show_with(result, run, [("images", text), ("before training", took)])
