"""The estimate of a train job for `dask-jobs plan`."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.train.options import Options


def rows(options: Options, workers: int, threads: int, gpus: float) -> Iterator[tuple[str, str]]:  # noqa: ARG001
    """Yield (name, text), for so many workers."""
    parts = workers if options.parts == "workers" else options.parts
    yield "step", f"{options.batch_size:,} rows in {parts} parts, on {workers} workers"
    if workers > parts:
        yield "", f"fewer parts than workers: the job will not start; give --parts {workers} or more"
    elif parts % workers:
        busy = parts / workers / -(-parts // workers)
        yield "", f"{parts} parts on {workers} workers keep them busy {busy:.0%} of the time"
