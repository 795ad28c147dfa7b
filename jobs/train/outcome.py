"""The outcome of a training: model, weights, history, and the numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.cluster.arrival import versions
from jobs.formatting import plural
from jobs.runs.run import Run
from jobs.train.loop.fit import Fit
from jobs.train.loop.state import FitState
from jobs.train.loop.timeline import latest, notable, slowest
from jobs.train.loop.trainer import Trainer
from jobs.train.monitor import SHARES
from jobs.train.process.messages import Facts

MIN_PARTS = 200
"""Parts that must have been computed for advice."""
SMALL_PART = 0.005
"""Seconds of computing below which a call's own cost, 0.7 ms, matters."""
MUCH_WAITING = 0.1
"""Share of the time from which on waiting for data is worth a hint."""
HISTORY = "history.csv"


@dataclass(frozen=True)
class Advice:
    """What a hint says that is not the same for all trainings.

    Attributes:
        batch: the option that is the size of a batch.
        data: what makes its data faster.
    """

    batch: str = "--batch-size"
    data: str = "data in memory, or on a disk of each worker's own, are faster"


def finish(
    folder: Run, trainer: Trainer, fit: Fit, facts: Facts, origin: Mapping[str, Any], *, advice: Advice
) -> dict[str, Any]:
    """Write model.keras, weights.npz, history.csv and, last, result.json; return what that holds.

    Args:
        folder: the run folder.
        trainer: what trained.
        fit: its loop over epochs, which has ended.
        facts: of the data.
        origin: the run's identity, and notes of its data.
        advice: what a hint says.
    """
    state, slow = fit.state, slowest(trainer.timeline.records)
    waiting = data_share([fit.spent, *(one.spent for one in latest(trainer.timeline.records))])
    with fit.beside.on("files"):
        exported = trainer.export(fit.result_checkpoint())
    folder.storage.write(HISTORY, history_csv(state))
    outcome = {
        "success": not 0 < fit.skipped == fit.step,
        "message": state.ended or plural(fit.step // facts["steps"], "epoch"),
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
        "spent": spent_by(fit),
        "data_share": waiting,
        "timeline": trainer.timeline.as_json(),
        "slowest": slow if notable(slow) else None,
        "hint": hint(fit.spent, facts, waiting, advice),
        **origin,
    }
    return folder.finish(outcome)


def spent_by(fit: Fit) -> dict[str, float]:
    """Return the seconds of a fit's last attempt by activity, and the `parts` that one worker has computed.

    They are that worker's in its steps, the driver's beside them, and `rest`: together all.
    """
    found = {**fit.spent, **fit.beside.seconds}
    known = sum(seconds for name, seconds in found.items() if name != "parts")
    return {**found, "rest": max(fit.seconds - fit.state.seconds - known, 0.0)}


def data_share(spent: Iterable[Mapping[str, float]]) -> float:
    """Return the largest share of the time, 0 .. 1, for which a process has waited for data; all others wait for it."""
    totals = [(one.get("data", 0.0), sum(one.get(name, 0.0) for name in SHARES)) for one in spent]
    return max((data / total for data, total in totals if total), default=0.0)


def hint(spent: Mapping[str, float], facts: Facts, waiting: float, advice: Advice) -> str:
    """Return advice: if much time went into waiting for data, or into calling TensorFlow, as parts are so small.

    Args:
        spent: of one worker.
        facts: of the data; an epoch of few steps says nothing, as the first step is slow.
        waiting: as of `data_share`.
        advice: what the training's own options are.
    """
    parts, seconds = spent.get("parts", 0), spent.get("compute", 0.0)
    if parts < MIN_PARTS or not facts["steps"]:
        return ""
    if waiting > MUCH_WAITING:
        return f"{waiting:.0%} of the time went into waiting for data: {advice.data}"
    if seconds / parts >= SMALL_PART:
        return ""
    return (
        f"a part computes for {1000 * seconds / parts:.1f} ms: fewer parts (--parts) or a larger batch "
        f"({advice.batch}) are faster"
    )


def model_numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """Return name -> value of loss and metrics of the model in a result's files, which may be of an earlier epoch."""
    epoch, history = int(result["weights"]["epoch"]), result["history"]
    last = epoch if 0 < epoch <= len(history.get("loss", ())) else 0
    return {name: float(values[last - 1]) for name, values in history.items() if values}


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
