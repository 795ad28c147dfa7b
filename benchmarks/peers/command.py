"""`dask-jobs ...` in this process; then one line of JSON: the driver's largest memory in MB."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from jobs.cli import main


def peak() -> float:
    """Return the largest resident memory of this process so far, MB (10^6 bytes)."""
    status = Path("/proc/self/status").read_text()
    return 1.024e-3 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    code = main(sys.argv[1:])
    print(json.dumps({"code": code, "megabytes": peak()}), flush=True)
