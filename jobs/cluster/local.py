"""A cluster of worker processes on this machine."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker
from typing import Any

import dask
import distributed.utils
from distributed import LocalCluster

from jobs.cluster.processes import without_main
from jobs.cluster.resources import GpuCluster, visible
from jobs.code_files import check_own_package
from jobs.errors import ClusterError

RESTART_TIMEOUT = "1h"
"""How long a worker process on this machine may take to be started again; 15 s, Dask's own, are short on a busy one."""
METHOD = "distributed.worker.multiprocessing-method"
_lock = threading.Lock()
_settings = contextlib.ExitStack()
_open: list[object] = []
"""The clusters that are open; they may end in any order."""


@contextlib.contextmanager
def local_cluster(
    workers: int, threads: int, shares: list[list[str]] | None = None, preload: Sequence[str] = ()
) -> Iterator[LocalCluster]:
    """Yield a cluster of processes on this machine; no dashboard, since evaluations are not tasks.

    Args:
        workers: how many processes.
        threads: of each.
        shares: the GPUs of each, instead of `workers`.
        preload: modules that the fork server imports.

    Raises:
        InputError: they would import another package in this one's place.
        ClusterError: a worker does not start.
    """
    check_own_package()  # their Python path is this process's
    with _while_open(), contextlib.ExitStack() as stack:
        # Not `fork`: a copy of this process would hang by locks of its threads; the fork server has only imported.
        if preload and sys.platform == "linux" and not visible():
            stack.enter_context(dask.config.set({METHOD: without_main("forkserver")}))
            multiprocessing.set_forkserver_preload(["distributed", *preload])
            distributed.utils._forkserver_preload_set = True  # noqa: SLF001  else Dask replaces the list by its own
        yield stack.enter_context(_start(workers, threads, shares))


@contextlib.contextmanager
def _while_open() -> Iterator[None]:
    """Have Dask's settings as workers of this machine need them, until the last cluster has ended."""
    one = object()
    with _lock:
        _open.append(one)
        distributed.utils.get_mp_context()  # a fork server that the user's settings ask for gets Dask's modules
        settings = {
            # Read whenever a worker is lost: later than that, Dask ends the nanny that starts it again.
            "distributed.deploy.lost-worker-timeout": RESTART_TIMEOUT,
            # For a dashboard, which there is none of: half of what an idle worker computes, 3 % of a core.
            "distributed.worker.profile.enabled": False,
            # How often each process looks whether its event loop is late by 3 s: 50 times a second is half of the rest.
            "distributed.admin.tick.interval": "200ms",
            METHOD: without_main(dask.config.get(METHOD)),
        }
        _settings.enter_context(_silenced())
        _settings.enter_context(dask.config.set(settings))
    try:
        yield
    finally:
        with _lock:
            _open.remove(one)
            if not _open:
                _settings.close()


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Leave information out of Dask's records, as LocalCluster does, though by its handlers: others may be there."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _start(workers: int, threads: int, shares: list[list[str]] | None) -> LocalCluster:
    """Start the cluster, out of Ctrl-C's reach.

    Dask's threads, and the worker processes that they start, inherit a mask that blocks SIGINT: Ctrl-C on a terminal
    goes to all processes, but only the driver is to act on it. Starting Python's resource tracker would lift the mask
    (it unblocks SIGINT in the thread that first needs it), so that comes first.

    Raises:
        ClusterError: a worker does not start.
    """
    # Python starts it once per process, so that no later call lifts the mask.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        options: dict[str, Any] = {
            "threads_per_worker": threads,
            "processes": True,
            # The scheduler's HTTP server starts without a dashboard too, by default on port 8787 of all interfaces.
            "dashboard_address": "127.0.0.1:0",
            "scheduler_kwargs": {"dashboard": False},
        }
        return GpuCluster(shares, **options) if shares else LocalCluster(n_workers=workers, **options)
    except RuntimeError as error:
        raise ClusterError(f"workers did not start on this machine ({error})") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
