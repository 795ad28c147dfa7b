"""A random search of trials that only sleep, by this project's tune, on a LocalCluster."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.tune.peers.arguments import HIGH, LOW, WORKERS, serve
from jobs import connect
from jobs.tune import Study, space


def trial(parameters: dict[str, Any]) -> float:
    """Sleep, and return one of the hyperparameters."""
    time.sleep(parameters["sleep"])
    return parameters["x"]


def search(trials: int, sleep: float) -> float:
    """Return the seconds of a search; the cluster is there before."""
    dimensions = {"x": space.uniform(0, 1), "y": space.log(LOW, HIGH), "z": space.integer(30, 100)}
    with tempfile.TemporaryDirectory() as folder, connect(workers=WORKERS) as client:
        for number, count in enumerate((2 * WORKERS, trials)):  # the first search warms up
            study = Study(client, trial, dimensions, run=f"{folder}/{number}", fixed={"sleep": sleep if number else 0})
            began = time.perf_counter()
            study.run(trials=count)
            seconds = time.perf_counter() - began
    return seconds


if __name__ == "__main__":
    with Path(os.devnull).open("w") as nothing, contextlib.redirect_stderr(nothing):
        serve(search)
