"""Goes on with a study in FOLDER/run until it has TRIALS; prints seconds and the most memory that it took."""

from __future__ import annotations

import json
import resource
import sys
import time

from benchmarks.tune.peers.arguments import WORKERS
from benchmarks.tune.peers.writes import options
from jobs import connect
from jobs.tune.job import run


def trial(parameters: dict[str, float]) -> float:
    """Do nothing."""
    return parameters["x"]


def main() -> None:
    """Measure."""
    folder, trials = sys.argv[1:]
    with connect(workers=WORKERS) as client:
        began = time.perf_counter()
        result = run(options(folder, int(trials)), client)
        seconds = time.perf_counter() - began
    assert sum(result["trials"].values()) == int(trials)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps({"seconds": seconds, "megabytes": megabytes}))


if __name__ == "__main__":
    main()
