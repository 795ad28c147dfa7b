"""Clusters of real worker processes, by their number."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from distributed import Client

from jobs import connect


@contextlib.contextmanager
def clients() -> Iterator[Callable[[int], Client]]:
    """Yield a function: number of worker processes -> client of a cluster with as many, kept until the end."""
    with contextlib.ExitStack() as stack:
        made: dict[int, Client] = {}

        def client(workers: int) -> Client:
            if workers not in made:
                made[workers] = stack.enter_context(connect(workers=workers))
            return made[workers]

        yield client
