"""Clusters of real worker processes, by their number."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator

import dask
import distributed.utils
from distributed import Client

from jobs import connect

PRELOADED = ("distributed", "jobs.minimize", "jobs.tune")


def fork_workers(*, tensorflow: bool) -> None:
    """Fork the workers of this process's clusters from one that has imported what they need, which saves a second each.

    Programs that tests start have workers as users have them, which are spawned.

    Args:
        tensorflow: whether that has imported TensorFlow too, which saves four more.
    """
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    modules = [*PRELOADED, *(("tensorflow", "keras", "jobs.train") if tensorflow else ())]
    multiprocessing.get_context("forkserver").set_forkserver_preload(modules)
    distributed.utils._forkserver_preload_set = True  # Dask's own list has all that it can use, also what we do not


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
