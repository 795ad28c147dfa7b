"""The largest memory of driver and workers while they evaluate; its arguments: a MODULE of this folder, and sizes."""

from __future__ import annotations

import argparse
import importlib
import json

from distributed import default_client

from benchmarks.peers.command import peak
from benchmarks.workload.data import Generated, theta

EVALUATIONS = 3


def main() -> None:
    """Evaluate, then print the peaks in MB: {"driver": ..., "workers": [...]}."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module", choices=["ours", "dask_actors", "dask_scatter"])
    parser.add_argument("rows", type=int)
    parser.add_argument("features", type=int)
    parser.add_argument("dtype")
    arguments = parser.parse_args()
    data = Generated(arguments.rows, arguments.features)
    contender = importlib.import_module(f"benchmarks.minimize.peers.{arguments.module}").contender
    with contender(data, arguments.dtype) as evaluate:
        for number in range(EVALUATIONS):
            evaluate(theta(number, data.size))
        print(json.dumps({"driver": peak(), "workers": list(default_client().run(peak).values())}))


if __name__ == "__main__":
    main()
