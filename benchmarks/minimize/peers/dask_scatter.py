"""What the project does not do: the driver holds the rows and scatters half of them to each of two workers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from benchmarks.minimize.peers import classic
from benchmarks.minimize.peers.serving import Evaluate
from benchmarks.workload import plain
from benchmarks.workload.data import Generated
from jobs import connect


@contextlib.contextmanager
def contender(data: Generated, dtype: str) -> Iterator[Evaluate]:
    """Yield the sum over two tasks."""
    with connect(workers=2) as client:
        x, y = plain.read(data, 0, data.rows, dtype)
        addresses = client.scheduler_info()["workers"]
        halves = [
            client.scatter((x[slice(*rows)], y[slice(*rows)]), workers=[address], hash=False)
            for address, rows in zip(addresses, plain.halves(data.rows), strict=True)
        ]

        def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray]:
            point = client.scatter(theta, hash=False)
            return plain.add(client.gather(client.map(classic.both, halves, theta=point, pure=False)))

        yield evaluate
