"""Measured processes: their environment, and a machine that rests before they are measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
QUIET_PERCENT = 10.0
"""The machine is quiet if its cores are less busy than this, over 0.2 s."""


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a measured process: one BLAS thread, and this project on the Python path."""
    return os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"} | variables


def wait_until_quiet(patience: float) -> bool:
    """Wait for at most `patience` seconds until other programs of the machine rest; return whether they did."""
    deadline = time.monotonic() + patience
    while psutil.cpu_percent(0.2) > QUIET_PERCENT:
        if time.monotonic() > deadline:
            return False
    return True
