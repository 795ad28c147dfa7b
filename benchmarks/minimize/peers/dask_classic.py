"""The classic structure on Dask, see `classic`; the batches are made and held by two workers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from distributed import wait

from benchmarks.minimize.peers import classic
from benchmarks.minimize.peers.serving import Evaluate, serve
from benchmarks.workload.data import Generated
from jobs import connect


@contextlib.contextmanager
def contender(data: Generated, dtype: str) -> Iterator[Evaluate]:
    """Yield the sum over the tasks."""
    with connect(workers=2) as client:
        batches = client.map(classic.batch, classic.starts(data), data=data, dtype=dtype)
        wait(batches)

        def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
            point = client.scatter(theta, hash=False)
            loss = sum(client.gather(client.map(classic.loss, batches, theta=point, pure=False)))
            gradients = client.gather(client.map(classic.grad, batches, theta=point, pure=False))
            return loss, np.sum(gradients, axis=0)

        yield evaluate


if __name__ == "__main__":
    serve(contender)
