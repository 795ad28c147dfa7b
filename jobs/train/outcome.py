"""The outcome of a training: model, weights, history, and the numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from jobs.cluster.connect import versions
from jobs.runs.run import Run
from jobs.train.loop.fit import Fit
from jobs.train.loop.state import FitState
from jobs.train.loop.timeline import notable, slowest
from jobs.train.loop.trainer import Trainer
from jobs.train.process.messages import Facts

MIN_PARTS = 200
"""Parts that must have been computed for advice."""
SMALL_PART = 0.005
"""Seconds of computing below which a call's own cost, 0.7 ms, matters."""
HISTORY = "history.csv"


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
    exported = trainer.export(fit.result_checkpoint())
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
        "parameters": exported["parameters"],
        "weights": fit.weights,
        "history": state.history,
        "best": {"loss": state.best[0], "epoch": state.best[1] // facts["steps"]} if state.best else None,
        "spent": dict(fit.spent),
        "timeline": trainer.timeline.as_json(),
        "slowest": slow if notable(slow) else None,
        "hint": hint(fit.spent, facts),
        **origin,
    }
    return folder.finish(outcome)


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


def weights_text(result: Mapping[str, Any]) -> str:
    """Return of which epoch the weights in a result's files are: `of epoch 7, the best by val_loss`."""
    weights = result["weights"]
    which = f"the best by {weights['best_by']}" if weights["best_by"] else "the last"
    return f"of epoch {weights['epoch']}, {which}"


def history_csv(state: FitState) -> bytes:
    """Return the history as a table: a row per epoch."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["epoch", *state.history])
    table.writerows([epoch, *values] for epoch, values in enumerate(zip(*state.history.values(), strict=True), start=1))
    return text.getvalue().encode()
