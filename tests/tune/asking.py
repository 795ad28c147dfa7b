"""Objectives of one argument, the trial, as of Optuna; what they leave behind lies in the folder of `--fixed`."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import optuna
from trials import wait_for


def conditional(trial):
    """Ask for what depends on what it got."""
    x = trial.suggest_float("x", -5, 5)
    if trial.suggest_categorical("deep", [True, False]):
        units = trial.suggest_int("units", 16, 128, step=16)
        trial.set_user_attr("sizes", [units, 1])
    layers = trial.suggest_categorical("layers", [(64,), (64, 32)])
    assert isinstance(layers, tuple)
    rate = trial.suggest_float("rate", 1e-4, 1, log=True)
    assert trial.suggest_float("x", -5, 5) == x
    assert trial.params["rate"] == rate
    return (x - 2) ** 2 + rate + len(layers)


def old(trial):
    """Ask by the names that Optuna has deprecated."""
    x = trial.suggest_uniform("x", 0, 1)
    y = trial.suggest_loguniform("y", 1e-3, 1)
    z = trial.suggest_discrete_uniform("z", 0, 1, 0.25)
    assert z in (0, 0.25, 0.5, 0.75, 1)
    return x + y + z


def pruned(trial):
    """Report three steps, and leave if the trial is to be pruned."""
    x = trial.suggest_float("x", 0, 1)
    for step in range(3):
        trial.report(x, step)
        trial.report(99.0, step)  # of a step that was reported: changes nothing
        if trial.should_prune():
            raise optuna.TrialPruned
    return x


def ignores_the_pruner(trial):
    """Report what is hopeless, and go on."""
    x = trial.suggest_float("x", 0, 1)
    trial.report(x, 1)
    return x


def ends(trial):
    """End as the number of the trial says."""
    trial.suggest_float("x", 0, 1)
    if trial.number == 0:
        raise optuna.TrialPruned
    if trial.number == 1:
        trial.report(float("nan"), 1)
        if trial.should_prune():
            raise optuna.TrialPruned
    if trial.number == 2:
        return float("nan")
    if trial.number == 3:
        trial.suggest_float("x", 2, 1)
        trial.suggest_float("y", 2, 1)
    if trial.number == 4:
        trial.suggest_categorical("c", [object()])
    if trial.number == 5:
        return trial.study.best_value
    return 1.0


def several(trial):
    """Return two objectives as a tuple."""
    x = trial.suggest_float("x", 0, 1)
    return x, 1 - x


def survives(trial):
    """Ask for x, and leave its value; end the first process that has it; then ask for more."""
    folder = Path(trial.fixed["folder"])
    x = trial.suggest_float("x", 0, 1)
    (folder / f"x-{trial.number}-{os.getpid()}").write_text(repr(x))
    if "kill" in trial.fixed and trial.number == 0 and len(list(folder.glob("x-0-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if trial.number == 1:
        wait_for(trial.fixed, "go")
    y = trial.suggest_float("y", 0, 1)
    (folder / f"y-{trial.number}-{os.getpid()}").write_text(repr(y))
    return x + y
