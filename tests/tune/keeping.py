"""Objectives that leave a network in their checkpoint, or none."""

from __future__ import annotations

from pathlib import Path

import trials

VALUES = (0.5, 0.9, 0.1, 0.2, 0.3, 0.95)
"""Of each trial, by number."""


def keeps(params, trial):
    """Each trial's network is a text that has its number."""
    (trial.checkpoint / "model.keras").write_text(f"network {trial.number}")
    return VALUES[trial.number]


def keeps_at_first(params, trial):
    """The last trials keep none."""
    return keeps(params, trial) if trial.number < 3 else VALUES[trial.number]


def waits(params, trial):
    """The fourth trial, and all after it, wait for the file `go`."""
    if trial.number == 3:
        trials.trace(params, "fourth")
        trials.wait_for(params, "go")
    return keeps(params, trial)


def keeps_none(params):
    return params["x"]


def two_metrics(params, trial):
    return {"a": keeps(params, trial), "b": 1 - VALUES[trial.number]}


def learns(params, trial):
    """A small network of the user's own."""
    import keras

    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, activation="softmax")])
    model.save(Path(trial.checkpoint) / "model.keras")
    return params["x"]
