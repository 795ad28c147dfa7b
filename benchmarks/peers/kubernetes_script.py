"""What a person writes without dask-jobs: wait for two workers, sum once on each, end the cluster."""

import json
import sys
import time

import numpy as np
from distributed import Client


def part(seed: int) -> float:
    """Return a sum over this worker's rows."""
    return float(np.random.default_rng(seed).normal(size=(1_000, 64)).sum())


def main() -> None:
    """Run."""
    client = Client(sys.argv[1], timeout=120)
    client.wait_for_workers(2, timeout=120)
    total = sum(client.gather(client.map(part, range(2))))
    print(json.dumps({"event": "sum", "time": time.time(), "total": total}), flush=True)
    client.shutdown()


if __name__ == "__main__":
    main()
