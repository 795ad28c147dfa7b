"""All rows that it is given in one plain NumPy process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks.minimize.peers.serving import Evaluate, serve
from benchmarks.workload import plain
from benchmarks.workload.data import Generated


@contextlib.contextmanager
def contender(data: Generated, dtype: str) -> Iterator[Evaluate]:
    """Yield the plain kernel on all rows."""
    yield plain.Shard(data, 0, data.rows, dtype).value_and_grad


if __name__ == "__main__":
    serve(contender)
