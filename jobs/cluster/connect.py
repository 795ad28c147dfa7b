"""`connect`: a Dask client for a cluster on this machine, or for a scheduler's address, checked before work begins."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
from distributed import Client, LocalCluster
from distributed.core import rpc
from distributed.security import Security

from jobs.cluster.alive import cancel
from jobs.cluster.arrival import Arrival
from jobs.cluster.local import local_cluster
from jobs.cluster.polling import POLL_SECONDS
from jobs.cluster.resources import share, visible
from jobs.cpu import Cpu, use
from jobs.errors import ClusterError, InputError, argument
from jobs.formatting import plural


class ConnectedClient(Client):  # type: ignore[misc]  # distributed is untyped here
    """A `distributed.Client` that ends, when it is closed, the workers that were started for it on this machine.

    It is closed by `close`, at the end of a `with` block, or at the end of the program.

    Args:
        address: a scheduler's, or a cluster.
        timeout: seconds that the scheduler has to answer.
    """

    def __init__(self, address: str | LocalCluster, timeout: float) -> None:
        self._to_close = contextlib.ExitStack()
        self._local = not isinstance(address, str)
        super().__init__(address, timeout=timeout)
        atexit.register(self.close)  # before Dask's own, which would end the workers first

    def own(self, started: contextlib.ExitStack) -> None:
        """Take over what is to be closed after the client."""
        self._to_close = started

    def close(self, *arguments: Any, **options: Any) -> None:
        """Close the client, and then the workers that were started for it."""
        atexit.unregister(self.close)
        try:
            super().close(*arguments, **options)
        finally:
            self._to_close.close()

    def __repr__(self) -> str:
        """Return what it is a client of, and what closing it ends."""
        if self.status != "running":
            return f"<Client: {self.status}>"
        address, workers = self.scheduler.address, plural(self._scheduler_identity.get("n_workers", 0), "worker")
        if self._local:
            return f"<Client of {workers} on this machine: {address}; close() ends them>"
        return f"<Client of the scheduler {address}, {workers}>"


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
) -> ConnectedClient:
    """Return a client whose workers are there and have the driver's software versions; its `close` ends those started.

    In a `with` block it is closed at its end, without one by `close()`, or at the end of the program. Each call without
    an address starts workers of its own.

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
            address = stack.enter_context(local_cluster(count, threads, shares, preload))
        else:
            count = workers or 1
        with contextlib.ExitStack() as unless_ready:
            client = unless_ready.enter_context(contextlib.closing(_client(address, connect_timeout, poll)))
            Arrival(client, workers_timeout, poll).wait(count, degraded_start_after)
            unless_ready.pop_all()
        client.own(stack.pop_all())
        return client


def named_scheduler(given: str | None) -> str | None:
    """Return the address that is given, or that `$DASK_SCHEDULER_ADDRESS` or Dask's setting has; None without any."""
    named: str | None = given or dask.config.get("scheduler-address", None)
    return named


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


def _wait_for_answer(address: str, seconds: float, poll: Callable[[], None]) -> None:
    """Do as `answers`, on an event loop of its own; in another thread where this one's runs, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(_answers_polling(address, seconds, poll))
        return
    interrupted = threading.Event()

    def poll_too() -> None:
        if interrupted.is_set():
            raise asyncio.CancelledError
        poll()

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(asyncio.run, _answers_polling(address, seconds, poll_too))
        try:
            waiting.result()
        finally:
            interrupted.set()


def _client(address: str | LocalCluster, timeout: float, poll: Callable[[], None]) -> ConnectedClient:
    try:
        if isinstance(address, str):
            _wait_for_answer(address, timeout, poll)  # there is no client yet, nor its event loop
        return ConnectedClient(address, timeout)
    except ValueError as error:
        raise InputError(
            f"{argument('scheduler')} is {address!r}, but must be an address like tcp://host:8786 ({error})"
        ) from error
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"{argument('scheduler')} {address}: no answer in {timeout:g} s ({argument('connect_timeout')}); "
            "is it running, and reachable from here?"
        ) from error
