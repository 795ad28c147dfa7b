"""All rows that it is given in one process by our kernel, in blocks, without a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks.minimize.peers.serving import Evaluate, serve
from benchmarks.workload.data import Generated
from jobs.minimize import Objective, softmax


@contextlib.contextmanager
def contender(data: Generated, dtype: softmax.DType) -> Iterator[Evaluate]:
    """Yield the objective without a client."""
    with Objective(None, softmax.problem(data, dtype=dtype)) as objective:
        yield objective


if __name__ == "__main__":
    serve(contender)
