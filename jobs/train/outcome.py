"""The outcome of a training: model, weights, history, and the numbers."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jobs.cluster.connect import versions
from jobs.runs.run import Run
from jobs.train.loop.fit import Fit, FitState
from jobs.train.loop.timeline import notable, slowest
from jobs.train.loop.trainer import Trainer
from jobs.train.process.messages import Facts

MIN_PARTS = 200
"""Parts that must have been computed for advice."""
SMALL_PART = 0.005
"""Seconds of computing below which a call's own cost, 0.7 ms, matters."""
HISTORY, MODEL, WEIGHTS = "history.csv", "model.keras", "weights.npz"


def finish(folder: Run, trainer: Trainer, fit: Fit, facts: Facts, origin: Mapping[str, Any]) -> dict[str, Any]:
    """Write model.keras, weights.npz, history.csv and, last, result.json; return what that holds.

    Args:
        folder: the run folder.
        trainer: what trained.
        fit: its loop over epochs, which has ended.
        facts: of the data.
        origin: the run's identity, and notes of its data.
    """
    state, slow = fit.state, slowest(trainer.timeline.records)
    folder.storage.write(HISTORY, history_csv(state))
    outcome = {
        "success": not 0 < fit.skipped == fit.step,
        "message": state.ended or f"{fit.step // facts['steps']} epochs",
        "ended": state.ended,
        "seconds": fit.seconds,
        "attempt": folder.attempt,
        "workers": trainer.workers,
        "lost_workers": trainer.lost_workers,
        "versions": versions(),
        "epochs": state.epochs,
        "steps": fit.step,
        "samples": facts["samples"] * state.epochs,
        "held_out": facts["held_out"],
        "skipped": fit.skipped,
        "parameters": _write_model(folder, trainer),
        "history": state.history,
        "best": {"loss": state.best[0], "epoch": state.best[1] // facts["steps"]} if state.best else None,
        "spent": dict(fit.spent),
        "timeline": trainer.timeline.as_json(),
        "slowest": slow if notable(slow) else None,
        "hint": hint(fit.spent, facts),
        **origin,
    }
    return folder.finish(outcome)


def _write_model(folder: Run, trainer: Trainer) -> int:
    """Write model.keras and weights.npz, and return the number of weights."""
    weights: dict[str, Any] = {**trainer.weights()}
    buffer = io.BytesIO()
    np.savez(buffer, **weights)
    folder.storage.write(WEIGHTS, buffer.getvalue())
    folder.storage.write(MODEL, trainer.on_one(as_keras_file))
    return sum(int(array.size) for array in weights.values())


def hint(spent: Mapping[str, float], facts: Facts) -> str:
    """Return advice, if parts are so small that calling TensorFlow costs more than it computes.

    Args:
        spent: of one worker.
        facts: of the data; an epoch of few steps says nothing, as the first step is slow.
    """
    parts, seconds = spent.get("parts", 0), spent.get("compute", 0.0)
    if parts < MIN_PARTS or seconds / parts >= SMALL_PART or not facts["steps"]:
        return ""
    return (
        f"a part computes for {1000 * seconds / parts:.1f} ms: fewer parts (--parts) or a larger batch (--batch-size) "
        "are faster"
    )


def as_keras_file(model: Any) -> bytes:
    """Return a model as the bytes of a .keras file; called where the replica is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        model.save(path)
        return path.read_bytes()


def history_csv(state: FitState) -> bytes:
    """Return the history as a table: a row per epoch."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["epoch", *state.history])
    table.writerows([epoch, *values] for epoch, values in enumerate(zip(*state.history.values(), strict=True), start=1))
    return text.getvalue().encode()
