"""`dask-jobs ...` in this process; then one line of JSON: the driver's largest memory in MB."""

from __future__ import annotations

import json
import sys

from benchmarks.peers.footprint import peak
from jobs.cli import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    print(json.dumps({"code": code, "megabytes": peak()}), flush=True)
