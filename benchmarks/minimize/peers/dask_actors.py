"""Two plain Dask actors, each with half of the data; the driver adds their answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from benchmarks.minimize.peers.serving import Evaluate, serve
from benchmarks.workload import plain
from benchmarks.workload.data import Generated
from jobs import connect


@contextlib.contextmanager
def contender(data: Generated, dtype: str) -> Iterator[Evaluate]:
    """Yield the sum of the actors' answers."""
    with connect(workers=2) as client:
        workers = zip(client.scheduler_info()["workers"], plain.halves(data.rows), strict=True)
        futures = [
            client.submit(plain.Shard, data, *rows, dtype, actor=True, workers=[address]) for address, rows in workers
        ]
        actors = [future.result() for future in futures]

        def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
            calls = [actor.value_and_grad(theta) for actor in actors]
            return plain.add(call.result() for call in calls)

        yield evaluate


if __name__ == "__main__":
    serve(contender)
