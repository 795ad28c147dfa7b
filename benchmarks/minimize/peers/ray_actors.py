"""Two Ray actors, one a core, each with half of the data; the driver adds their answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import ray

from benchmarks.minimize.peers.serving import Evaluate, serve
from benchmarks.peers.ray_session import session
from benchmarks.workload import plain
from benchmarks.workload.data import Generated


@contextlib.contextmanager
def contender(data: Generated, dtype: str) -> Iterator[Evaluate]:
    """Yield the sum of the actors' answers."""
    with session():
        actor = ray.remote(num_cpus=1)(plain.Shard)
        actors = [actor.remote(data, *rows, dtype) for rows in plain.halves(data.rows)]

        def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
            point = ray.put(theta)
            return plain.add(ray.get([actor.value_and_grad.remote(point) for actor in actors]))

        yield evaluate


if __name__ == "__main__":
    serve(contender, keep=False)
