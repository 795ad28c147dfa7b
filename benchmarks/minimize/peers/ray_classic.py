"""The classic structure on Ray, see `classic`; the batches lie in Ray's object store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import ray

from benchmarks.minimize.peers import classic
from benchmarks.minimize.peers.serving import Evaluate, serve
from benchmarks.peers.ray_session import session
from benchmarks.workload.data import Generated


@contextlib.contextmanager
def contender(data: Generated, dtype: str) -> Iterator[Evaluate]:
    """Yield the sum over the tasks."""
    with session():
        loss, grad = ray.remote(classic.loss), ray.remote(classic.grad)
        batches = [ray.put(classic.batch(start, data, dtype)) for start in classic.starts(data)]

        def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
            point = ray.put(theta)
            value = sum(ray.get([loss.remote(batch, point) for batch in batches]))
            return value, np.sum(ray.get([grad.remote(batch, point) for batch in batches]), axis=0)

        yield evaluate


if __name__ == "__main__":
    serve(contender, keep=False)
