"""Log lines for programs: one JSON object a line on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

import psutil


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
    log(job, "started", import_seconds=round(time.time() - psutil.Process().create_time(), 3))
