"""A scheduler and N workers in one process: `python -m benchmarks.minimize.thread_workers N` prints its address.

Where there are fewer cores than workers, processes would fight for cores; this shows what a driver in a process of its
own needs to talk to many workers, and what one process needs to be all of them.
"""

from __future__ import annotations

import logging
import sys

from distributed import LocalCluster


def main() -> None:
    """Serve until the input ends."""
    with LocalCluster(
        n_workers=int(sys.argv[1]),
        threads_per_worker=1,
        processes=False,
        memory_limit=0,
        silence_logs=logging.CRITICAL,
        protocol="tcp://",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        worker_dashboard_address=None,
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
