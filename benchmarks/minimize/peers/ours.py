"""This project's objective on two worker processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks.minimize.peers.serving import Evaluate, serve
from benchmarks.workload.data import Generated
from jobs import connect
from jobs.minimize import Objective, softmax


@contextlib.contextmanager
def contender(data: Generated, dtype: softmax.DType) -> Iterator[Evaluate]:
    """Yield the objective."""
    with connect(workers=2) as client, Objective(client, softmax.problem(data, dtype=dtype)) as objective:
        yield objective


if __name__ == "__main__":
    serve(contender)
