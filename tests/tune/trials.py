"""Objectives for the tests of tune. What they leave behind lies in the folder that is their parameter `folder`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from jobs.errors import InputError
from jobs.tune import space
from jobs.tune.trials import trial as trial_module
from jobs.tune.trials.execution import trial_seed

QUADRATIC = {"x": space.uniform(-5, 5), "y": space.uniform(-3, 3)}
"""Of `quadratic`."""


def with_folder(folder: Path, low: float = 0):
    """Return the space of x in [low, 1], and the folder where trials leave traces."""
    return {"x": space.uniform(low, 1), "folder": space.choice([str(folder)])}


def trace(params, name: str) -> None:
    """Leave an empty file."""
    (Path(params["folder"]) / name).touch()


def traced(params, pattern: str) -> list[str]:
    """Return the names of the files that match."""
    return sorted(path.name for path in Path(params["folder"]).glob(pattern))


def wait_for(params, name: str, seconds: float = 240) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + seconds
    while not (Path(params["folder"]) / name).exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def quadratic(params):
    """A function of one argument; its best is x = 2, y = -1."""
    return -((params["x"] - 2) ** 2) - (params["y"] + 1) ** 2


def of_x(params):
    """Return the kind of thing that the choice `x` names."""
    kinds = {
        "nan": float("nan"),
        "inf": float("inf"),
        "none": None,
        "text": "0.5",
        "bool": True,
        "list": [1.0],
        "dict": {"a": 1.0},
        "numpy": np.float32(1.5),
        "array": np.array(2.5),
        "int": 1,
    }
    return kinds[params["x"]]


def fails(params):
    """Raise for half of the space."""
    if params["x"] < 0:
        raise ValueError("x is negative\nand this is the second line")
    return params["x"]


def of_layers(params):
    """Return the number of units in a list of layers."""
    return sum(params["layers"])


def speaks(params):
    """Raise with a text that is no Unicode, for half of the space."""
    if params["x"] < 0:
        raise FileNotFoundError("bad name \udcff")
    return params["x"]


class Mumbled(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError


def mumbles(params):
    """Raise what cannot be told."""
    raise Mumbled


def naps(params):
    """Take 0.8 s, without a report."""
    time.sleep(0.8)
    return 1.0


LEFT_BEHIND = []


def leaks(params):
    """Leave 60 MB behind."""
    LEFT_BEHIND.append(np.ones(60_000_000, np.uint8))
    time.sleep(0.4)
    return params["x"]


def refuses(params):
    """Say that what all trials get is wrong."""
    raise InputError("there are no such data")


def leaves(params):
    """End the interpreter, or try to."""
    sys.exit(3)


def nan_then_more(params, trial):
    """Diverge at step 2 where x < 0; leave a trace if the trial went on after it."""
    for step in (1, 2, 3):
        trial.report(float("nan") if params["x"] < 0 and step == 2 else params["x"], step)
        trace(params, f"step-{trial.number}-{step}")
    return params["x"]


def swallows(params, trial):
    """Catch everything, and return a good score for a diverged trial."""
    try:
        trial.report(float("inf"), 1)
    except Exception:  # noqa: BLE001
        return 1e9
    return 0.0


def steps(params, trial):
    """Report 9 steps of the same value, and leave a trace of each that was begun."""
    for step in range(1, 10):
        trace(params, f"step-{trial.number:02d}-{step}")
        time.sleep(0.03)
        trial.report(params["x"], step)
    return params["x"]


def patient(params, trial):
    """Report 4 steps as if each had taken hours, and wait for each answer as long as that takes."""
    trial_module.WAIT_SECONDS = 60.0
    try:
        for step in range(1, 5):
            trace(params, f"step-{trial.number:02d}-{step}")
            trial._reported -= 1e6
            trial.report(params["x"], step)
    finally:
        trial_module.WAIT_SECONDS = 1.0
    return params["x"]


def told(params, trial):
    """Return what the trial is told of itself."""
    about = {"number": trial.number, "seed": trial.seed, "workers": trial.workers, "threads": trial.threads}
    (Path(params["folder"]) / f"about-{trial.number}").write_text(json.dumps(about | {"params": trial.params}))
    return params["x"]


def told_and_where(params, trial):
    """Leave the process's number, and what the trial is told."""
    trace(params, f"process-{os.getpid()}")
    assert trial.params == params
    assert trial.seed == trial_seed(0, trial.number)
    return params["x"]


def metrics(params):
    """Return several metrics."""
    return {"accuracy": params["x"], "cost": params["x"] ** 2, "excess": params["x"] - 1}


def histories(params):
    """Return metrics, and what is none."""
    return {**metrics(params), "history": np.arange(3.0), "kind": "a"}


def sleeps(params):
    """Take 20 ms."""
    time.sleep(0.02)
    return params["x"]


def endless(params, trial):
    """Report for ever where x < 0, else end at once."""
    step = 0
    while params["x"] < 0:
        step += 1
        time.sleep(0.01)
        trial.report(1.0, step)
    return params["x"]


def deaf(params):
    """Hang for ever the first time where x < 0, without a report."""
    trace(params, f"try-{os.getpid()}")
    while params["x"] < 0:
        time.sleep(0.05)
    return params["x"]


def waits(params, trial):
    """Wait until the file `go` is there; leave a trace of each try."""
    trace(params, f"try-{trial.number:02d}-{os.getpid()}-{time.time_ns()}")
    wait_for(params, "go")
    return params["x"]


def suicide(params, trial):
    """Kill the worker process as the kernel's out-of-memory killer does, where x < 0; else take a while."""
    trace(params, f"try-{trial.number:02d}-{os.getpid()}")
    time.sleep(0.6)
    if params["x"] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return params["x"]


def becomes_another_program(params):
    """Go on as a program that has none of the worker's pipes, where x < 0."""
    if params["x"] < 0:
        trace(params, f"process-{os.getpid()}")
        os.closerange(3, 1024)
        os.execvp("sleep", ["sleep", "1000"])
    return params["x"]


def leaves_a_fork(params):
    """Die, and leave a process that holds all pipes, where x < 0."""
    if params["x"] < 0:
        if not os.fork():
            trace(params, f"fork-{os.getpid()}")
            time.sleep(1000)
        os.kill(os.getpid(), signal.SIGKILL)
    return params["x"]


def saves(params, trial):
    """Count to 6, saving each step, and die once after step 3; leave a trace of each step."""
    state = trial.checkpoint / "deep" / "state"
    done = int(state.read_text()) if state.exists() else 0
    for step in range(done + 1, 7):
        trace(params, f"step-{trial.number}-{step}-{os.getpid()}")
        state.parent.mkdir(exist_ok=True)
        state.write_text(str(step))
        trial.report(float(step), step)
        if step == 3 and not traced(params, f"died-{trial.number}"):
            trace(params, f"died-{trial.number}")
            os.kill(os.getpid(), signal.SIGKILL)
    return float(step)


def keeps(params, trial):
    """Leave the names of what is in its checkpoint, and wait until the file `go` is there."""
    names = [path.name for path in trial.checkpoint.rglob("*")]
    trace(params, f"kept-{'-'.join(names) or 'nothing'}")
    wait_for(params, "go")
    return params["x"]


def prints(params, trial):
    """Print from this process and from a child, on both outputs, and go back to the beginning of a line."""
    time.sleep(0.3)
    sys.stdout.write(f"out {trial.number}\n")
    sys.stderr.write(f"lost\rerr {trial.number}\n")
    subprocess.run(["echo", f"child {trial.number}"], check=True)
    return params["x"]


def paced(params, trial):
    """Three reported steps of 50 ms."""
    for step in (1, 2, 3):
        time.sleep(0.05)
        trial.report(params["x"] * step, step)
    return params["x"]


def quick(params, trial):
    """Report twice and return."""
    for step in (1, 2):
        trial.report(params["x"] * step, step)
    return params["x"]


def three(params, trial, data):
    """Is no objective: nobody gives the third argument."""
