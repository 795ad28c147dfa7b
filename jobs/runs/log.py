"""Log lines for programs, one JSON object per line on standard error; and how a process replaces itself."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

import psutil

RESTARTED = "DASK_JOBS_RESTARTED"
"""Environment variable: when a process replaced itself by this one, in seconds since 1970."""


def log(job: str, event: str, **fields: Any) -> None:
    """Write `{"time": seconds since 1970, "job": ..., "event": ..., **fields}`; NaN and infinity become text."""
    line = {"time": round(time.time(), 3), "job": job, "event": event, **fields}
    finite = {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in line.items()
    }
    sys.stderr.write(json.dumps(finite) + "\n")
    sys.stderr.flush()


def log_start(job: str) -> None:
    """Write the event `started` with how many seconds this process has spent until now, mostly on imports."""
    began = float(os.environ.pop(RESTARTED, "0")) or psutil.Process().create_time()
    log(job, "started", import_seconds=round(time.time() - began, 3))


def restart(module: str, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by a fresh `python -m MODULE ARGUMENTS`, with the same environment and process id."""
    os.environ[RESTARTED] = str(time.time())
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606  no shell is wanted
