"""`connect`: a Dask client for a cluster on this machine, or for a scheduler's address, checked before work begins."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from typing import Any

import dask
import distributed.utils
from distributed import Client, LocalCluster
from distributed.core import rpc
from distributed.security import Security

from jobs.cluster.alive import cancel
from jobs.cluster.arrival import Arrival
from jobs.cluster.polling import POLL_SECONDS
from jobs.cluster.resources import GpuCluster, share, visible
from jobs.cpu import Cpu, use
from jobs.errors import ClusterError, InputError, argument

RESTART_TIMEOUT = "1h"
"""How long a worker process on this machine may take to be started again; 15 s, Dask's own, are short on a busy one."""


@contextlib.contextmanager
def connect(
    scheduler: str | None = None,
    *,
    workers: int | None = None,
    most: int | None = None,
    threads: int = 1,
    gpus: int = 0,
    preload: Sequence[str] = (),
    connect_timeout: float = 60.0,
    workers_timeout: float = 300.0,
    degraded_start_after: float | None = None,
    cpu: Cpu = "native",
    poll: Callable[[], None] = lambda: None,
) -> Iterator[Client]:
    """Yield a client whose workers are there and have the driver's software versions; close all that was started.

    Args:
        scheduler: an address; `$DASK_SCHEDULER_ADDRESS` or Dask's setting `scheduler-address` if None; without either,
            a `LocalCluster` on this machine.
        workers: on this machine, how many processes to start (one per core, or one per `gpus` GPUs, if None); else,
            how many to wait for (1 if None).
        most: on this machine, how many processes to start at most where `workers` is None, however many cores it has.
        threads: compute threads of each worker on this machine.
        gpus: GPUs of each worker on this machine, which it alone sees, and declares as Dask's resource `GPU`.
        preload: modules that are imported once for all workers on this machine, which are then forked. Without any,
            and on a machine with GPUs, each process starts anew: only that has environment variables set meanwhile.
        connect_timeout: seconds to wait for the scheduler.
        workers_timeout: seconds to wait for the workers.
        degraded_start_after: seconds after which one worker is enough, for a run that is resumed: its cluster may be
            smaller now.
        cpu: vector instructions of this process and of the workers on this machine, see `jobs.cpu`; others must have
            been started with its environment variables.
        poll: called at least twice per second while the scheduler and the workers are waited for; what it raises ends
            the wait.

    Raises:
        InputError: `cpu` cannot be had any more, or not here.
        InputError: the address is not one, this machine has fewer GPUs, or a worker has other software versions.
        ClusterError: the scheduler does not answer.
        TooFewWorkers: too few workers came in time; one that is there but does not answer for 30 seconds, or
            `workers_timeout` if that is less, is removed from the scheduler, and not counted.
    """
    use(cpu)
    address = named_scheduler(scheduler)
    with contextlib.ExitStack() as stack:
        if address is None:
            shares = share(visible(), gpus, workers) if gpus else None
            # Dask's count minds CPU affinity and cgroup, where os.cpu_count() is the machine's.
            count = len(shares) if shares else workers or min(dask.system.CPU_COUNT, most or dask.system.CPU_COUNT)
            address = stack.enter_context(_local(count, threads, shares, preload))
        else:
            count = workers or 1
        client = stack.enter_context(_client(address, connect_timeout, poll))
        Arrival(client, workers_timeout, poll).wait(count, degraded_start_after)
        yield client


def named_scheduler(given: str | None) -> str | None:
    """Return the address that is given, or that `$DASK_SCHEDULER_ADDRESS` or Dask's setting has; None without any."""
    named: str | None = given or dask.config.get("scheduler-address", None)
    return named


@contextlib.contextmanager
def _local(
    workers: int, threads: int, shares: list[list[str]] | None = None, preload: Sequence[str] = ()
) -> Iterator[LocalCluster]:
    """Yield a cluster of processes on this machine; no dashboard, since evaluations are not tasks."""
    settings = {
        # Read whenever a worker is lost: later than that, Dask ends the nanny that starts it again.
        "distributed.deploy.lost-worker-timeout": RESTART_TIMEOUT,
        # For a dashboard, which there is none of: half of what an idle worker computes, 3 % of a core.
        "distributed.worker.profile.enabled": False,
        # How often each process looks whether its event loop is late by 3 s: 50 times a second is half of the rest.
        "distributed.admin.tick.interval": "200ms",
    }
    # Not `fork`: a copy of this process would hang by locks of its threads; the fork server has only imported.
    if preload and sys.platform == "linux" and not visible():
        settings["distributed.worker.multiprocessing-method"] = "forkserver"
        multiprocessing.set_forkserver_preload(["distributed", *preload])
        distributed.utils._forkserver_preload_set = True  # noqa: SLF001  else Dask replaces the list by its own
    with _silenced(), dask.config.set(settings), _start(workers, threads, shares) as cluster:
        yield cluster


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
        raise ClusterError(
            f"workers did not start on this machine ({error}); a script that calls connect() needs "
            "`if __name__ == '__main__':` before it, since each worker imports the script"
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


async def answers(address: str, seconds: float) -> None:
    """Request a scheduler's identity; `Client` alone would wait for ever on a port that accepts and never answers.

    Args:
        address: the scheduler's.
        seconds: for its answer.

    Raises:
        OSError: it cannot be connected to, or (TimeoutError) does not answer.
    """
    async with asyncio.timeout(seconds):
        scheduler = rpc(address, connection_args=Security().get_connection_args("client"))
        try:
            await scheduler.identity(n_workers=0)  # no workers: only that it answers matters, and a list may be long
        finally:
            await scheduler.close_rpc()


async def _answers_polling(address: str, seconds: float, poll: Callable[[], None]) -> None:
    """Do as `answers`, calling `poll` meanwhile."""
    asking = asyncio.ensure_future(answers(address, seconds))
    try:
        while not asking.done():
            poll()
            await asyncio.wait([asking], timeout=POLL_SECONDS)
        await asking
    finally:
        cancel(asking)


def _client(address: str | LocalCluster, timeout: float, poll: Callable[[], None]) -> Client:
    try:
        if isinstance(address, str):
            asyncio.run(_answers_polling(address, timeout, poll))  # a loop of its own: there is no client yet
        return Client(address, timeout=timeout)
    except ValueError as error:
        raise InputError(
            f"{argument('scheduler')} is {address!r}, but must be an address like tcp://host:8786 ({error})"
        ) from error
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"{argument('scheduler')} {address}: no answer in {timeout:g} s ({argument('connect_timeout')}); "
            "is it running, and reachable from here?"
        ) from error
