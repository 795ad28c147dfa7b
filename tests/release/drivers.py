"""Real drivers on this machine: their logs and run folders are what a release's would be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MODEL = """
import numpy as np

class Problem:
    rows, block_rows = 8, 4
    def x0(self):
        return np.zeros(3)
    def load(self, start, stop):
        return np.arange(start, stop)[:, None] * [1.0, 0.5, 0.25]
    def value_and_grad(self, theta, data):
        rest = data @ theta - 1.0
        return float(rest @ rest) / 2, data.T @ rest

class Wide(Problem):
    def x0(self):
        return np.zeros(1001)
    def load(self, start, stop):
        return np.eye(8, 1001)[start:stop]

def train(parameters):
    return (parameters["x"] - 0.3) ** 2
"""
MINIMIZE = {"problem": "model:Problem", "workers": 0, "l2": 0.1}
TUNE = {"objective": "model:train", "space": {"x": {"uniform": [0, 1]}}, "trials": 3, "workers": 1}


@dataclass(frozen=True)
class Driver:
    """A driver that has ended: its log, and the run folder that it had."""

    log: str
    folder: Path


def driver_of(folder: Path, job: str, **options: object) -> Driver:
    """Run a driver in `folder` until it ends well, on the run folder `folder/runs/fit-1`."""
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(MODEL)
    (folder / "job.yaml").write_text(json.dumps(options | {"run": str(folder / "runs/fit-1")}))
    line = [sys.executable, "-m", "jobs.pods.driver", job, "--config", "job.yaml"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout.decode()
    return Driver(done.stdout.decode(), folder / "runs/fit-1")
