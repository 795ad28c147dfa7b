"""One of Dask's preload modules: each worker on this machine loads it where the driver's records are JSON lines."""

from __future__ import annotations

import logging

from distributed import Worker

from jobs.runs.display.log import collect_logs


def dask_setup(_: Worker) -> None:
    """Called by Dask in a new worker process."""
    collect_logs("worker")
    logging.getLogger("distributed").setLevel(logging.WARNING)
