"""A release whose driver computes long enough for a fault in mid-run, and what it must find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pods import Pods

from jobs.minimize.job import run
from jobs.minimize.options import Options

SLOW = {"problem": "slow:problem"}
PROBLEM = """
import os, time
import numpy as np

class Slow:
    rows, block_rows = 400, 100

    def x0(self):
        return np.zeros(6)

    def load(self, start, stop):
        return np.random.default_rng(start).normal(size=(stop - start, 6))

    def value_and_grad(self, theta, data):
        time.sleep(0.03)
        residual = np.tanh(data @ theta) - data[:, 0]
        return float(residual @ residual), 2 * data.T @ (residual * (1 - np.tanh(data @ theta) ** 2))

problem = Slow
"""


def optimum(folder: Path) -> np.ndarray:
    return np.load(folder / "x.npy")


def expected(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Return what one process finds without a cluster and without a fault."""
    monkeypatch.syspath_prepend(str(pods.folder))
    run(Options(**SLOW, run=str(pods.folder / "local"), workers=0))
    return optimum(pods.folder / "local")
