"""The worker process on Kubernetes: joins its run's scheduler, and ends only when it should.

    python -m jobs.pods.worker --scheduler tcp://fit-driver:8786 --threads 2 --memory-limit 4294967296

A scheduler lasts as long as one attempt of the driver. When it is lost the process replaces itself by a fresh one,
which resolves the address anew and joins the next attempt's scheduler, without any state of the old attempt.

exit codes: 0 completion was announced by the driver, 2 bad options, 5 no scheduler for --lost-timeout, 143 left after
SIGTERM
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import dask
from dask.utils import parse_timedelta
from distributed import Worker
from distributed.core import Status, rpc
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.security import Security
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

from jobs import cpu
from jobs.command_line.option_help import OptionHelp
from jobs.errors import JobError, command_line, print_error
from jobs.options import parse
from jobs.runs.display.log import collect_logs, log, log_start, restart

GAVE_UP = 5  # a code of its own: the worker Job's podFailurePolicy fails the Job for it, and retries pods for others
RETIRED = 128 + signal.SIGTERM  # as if the signal had ended the process, which the Job ignores too
OVER = "dask-jobs-over"
"""Name of the plugin that announces completion to workers, and of the topic of their answers."""
LOST_SINCE = "DASK_JOBS_LOST_SINCE"
"""Environment variable that carries the time of the scheduler's loss over restarts, in monotonic seconds."""
ASK_SECONDS = 2.0
RETRY_SECONDS = 0.3
WAITING_LOG_SECONDS = 10.0
CLOSE_SECONDS = 3.0


class Options(BaseModel):
    """Run one Dask worker for a job's scheduler until the driver announces that the work is over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheduler: Annotated[str, OptionHelp(metavar="ADDRESS")] = Field(
        description="address of the scheduler, such as tcp://fit-driver:8786; resolved at each connection"
    )
    id: Annotated[str | None, OptionHelp(metavar="ID")] = Field(
        default=None, description="join only the scheduler with this identity (default: any)"
    )
    name: Annotated[str | None, OptionHelp(metavar="NAME")] = Field(
        default=None, description="the worker's name (default: its address)"
    )
    threads: PositiveInt = Field(default=1, description="compute threads")
    gpus: NonNegativeInt = Field(default=0, description="GPUs for tasks, declared as Dask's resource GPU")
    memory_limit: Annotated[NonNegativeInt, OptionHelp(metavar="BYTES")] = Field(
        default=0, description="maximum bytes of memory (default 0: no limit)"
    )
    port: Annotated[NonNegativeInt, OptionHelp(metavar="PORT")] = Field(
        default=8788, description="port to listen on; 0: any"
    )
    lost_timeout: Annotated[PositiveFloat, OptionHelp(metavar="SECONDS")] = Field(
        default=600.0, description="seconds without a scheduler after which it ends"
    )
    grace: Annotated[PositiveFloat, OptionHelp(metavar="SECONDS")] = Field(
        default=25.0, description="seconds after SIGTERM to hand tasks and data over"
    )


class ShutdownPlugin(WorkerPlugin):  # type: ignore[misc]  # distributed is untyped here
    """Announces completion to all workers, present and future: their processes end with code 0."""

    name = OVER

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop; workers that this module did not start ignore it."""
        if isinstance(event := getattr(worker, "over", None), asyncio.Event):
            # The answer first: once `over` is set the worker closes its connection to the scheduler.
            worker.log_event(OVER, worker.address)
            event.set()


@command_line()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run until completion, SIGTERM, or --lost-timeout; returns only for bad options, with their exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = parse(Options, "python -m jobs.pods.worker", arguments)
        if cpu.is_set():
            cpu.check_machine()
    except JobError as error:
        return print_error(error)
    collect_logs("worker")
    logging.getLogger("distributed").setLevel(logging.WARNING)
    log_start("worker")
    return asyncio.run(_live(options, arguments))


async def _live(options: Options, arguments: Sequence[str]) -> int:
    """Run the worker and end the process with its exit code, or restart it when the scheduler is lost."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    code = await _work(options, stop, arguments)
    if code is None:
        # setdefault: a loss lasts over all restarts until a scheduler is joined. Monotonic time is the machine's, so
        # that it holds in the fresh process too.
        os.environ.setdefault(LOST_SINCE, str(time.monotonic()))
        restart("jobs.pods.worker", arguments)
    sys.stdout.flush()
    os._exit(code)  # not a return: `asyncio.run` would first join computing threads, which may take minutes


async def _work(options: Options, stop: asyncio.Event, arguments: Sequence[str]) -> int | None:
    """Work for one scheduler; return the process's exit code, or None if the scheduler was lost."""
    found = await _find(options, stop)
    if isinstance(found, int):
        return found
    worker = Worker(
        found,
        nthreads=options.threads,
        name=options.name,
        memory_limit=options.memory_limit,
        resources={"GPU": options.gpus} if options.gpus else None,
        port=options.port,
        dashboard=False,
    )
    # Attributes of the Worker, where plugins find them; before it registers, which sets up the plugin of an earlier
    # announcement at once.
    worker.over = asyncio.Event()
    worker.replace = functools.partial(restart, "jobs.pods.worker", arguments)  # for jobs whose code does not end
    started, stopped = asyncio.ensure_future(_start(worker)), asyncio.ensure_future(stop.wait())
    await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
    # Both may be done: a worker that has joined closes gracefully, by _serve.
    if not started.done():
        return RETIRED
    if problem := started.result():
        _log("not accepted", message=problem)
        # A scheduler that refuses at once would else have this process start over without a pause.
        await asyncio.sleep(RETRY_SECONDS)
        return GAVE_UP if _gave_up(options, problem) else None
    os.environ.pop(LOST_SINCE, None)  # a later loss is another one, with all of --lost-timeout
    _log("joined", scheduler=options.scheduler, address=worker.address, threads=options.threads)
    return await _serve(worker, options, stop)


async def _start(worker: Worker) -> str | None:
    """Register the worker with the scheduler; return what is in the way, or None once it has joined."""
    # Dask retries this one address, and waits for its answer, without end; but the successor of a driver's pod that was
    # killed meanwhile has another address. So registration has as long as Dask allows for a connection.
    seconds = parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
    started = asyncio.ensure_future(worker.start())
    # Not `wait_for`, which would also cancel a registration that has been answered by then.
    await asyncio.wait({started}, timeout=seconds)
    # No longer init: the scheduler has answered, and plugins are set up, which may import for minutes.
    if not started.done() and worker.status is Status.init:
        # Else it might still register before the process is replaced, and count as announced to (see ShutdownPlugin).
        started.cancel()
        return f"TimeoutError: {worker.scheduler.address} did not answer the registration within {seconds:g} s"
    try:
        await started
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _gave_up(options: Options, problem: str) -> bool:
    """Return whether there was no scheduler for --lost-timeout, after logging that."""
    if time.monotonic() - float(os.environ[LOST_SINCE]) <= options.lost_timeout:
        return False
    _log("gave up", message=f"no scheduler for {options.lost_timeout:g} s (--lost-timeout): {problem}")
    return True


async def _find(options: Options, stop: asyncio.Event) -> str | int:
    """Wait for the scheduler; return the address at which it answers, or the exit code."""
    os.environ.setdefault(LOST_SINCE, str(time.monotonic()))
    logged = -WAITING_LOG_SECONDS
    while not stop.is_set():
        found, problem = await _resolve(options)
        if found:
            return found
        if _gave_up(options, problem):
            return GAVE_UP
        if time.monotonic() - logged > WAITING_LOG_SECONDS:
            _log("waiting", message=f"for the scheduler: {problem}")
            logged = time.monotonic()
        # A sleep that SIGTERM ends.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), RETRY_SECONDS)
    return RETIRED


async def _resolve(options: Options) -> tuple[str | None, str]:
    """Return the address at which the scheduler answers, if any, and else the problem.

    For a while after a driver's end its name has two addresses, and the dead one may come first: all are tried.
    """
    scheme, _, place = options.scheduler.rpartition("://")
    host, _, port = place.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return None, f"{options.scheduler}: {error.strerror or error}"
    hosts = sorted({f"[{where[0]}]" if ":" in str(where[0]) else str(where[0]) for *_, where in found})
    # All addresses of the headless Service, concurrently: after a driver's replacement the old pod's address stays in
    # the DNS until its TTL has passed, and connecting to it takes as long as its timeout.
    addresses = [f"{scheme or 'tcp'}://{host}:{port}" for host in hosts]
    problems = await asyncio.gather(*(_ask(address, options.id) for address in addresses))
    right = [address for address, problem in zip(addresses, problems, strict=True) if problem is None]
    return (right[0], "") if right else (None, "; ".join(problem for problem in problems if problem))


async def _ask(address: str, identity: str | None) -> str | None:
    """Return why the scheduler at an address cannot be joined now, or None if it can.

    A pod's address may belong to another release a moment later, so the scheduler's identity is compared.
    """
    scheduler: Any = rpc(address, connection_args=Security().get_connection_args("worker"))
    try:
        async with asyncio.timeout(ASK_SECONDS):
            answer = (await scheduler.identity(n_workers=0))["id"]  # no list of workers
    except TimeoutError:
        return f"{address} does not answer"
    except OSError as error:
        return f"{address} does not answer ({error})"
    finally:
        await scheduler.close_rpc()
    if identity not in (None, answer):
        return f"{address} is the scheduler of {answer!r}, not of {identity!r}"
    return None


async def _serve(worker: Worker, options: Options, stop: asyncio.Event) -> int | None:
    """Wait for completion (0), SIGTERM (RETIRED), or the loss of the scheduler (None)."""
    ends = {asyncio.ensure_future(wait()) for wait in (worker.over.wait, stop.wait, worker.finished)}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if worker.over.is_set():
        _log("over", message="the driver said that the work is over")
        # executor_wait=False: a task that still computes is not needed, and may not end for minutes.
        await _within(CLOSE_SECONDS, worker.close(executor_wait=False))
        return 0
    if stop.is_set():
        _log("leaving", message="SIGTERM: tasks and data go to other workers")
        await _within(options.grace, worker.close_gracefully(reason="SIGTERM"))
        return RETIRED
    # worker.finished without completion or SIGTERM: Dask closes a worker that has lost its scheduler.
    _log("lost", message="the scheduler is gone; waiting for the next attempt's")
    return None


async def _within(seconds: float, closing: Any) -> None:
    """Close within `seconds` or not at all: the process ends either way."""
    with contextlib.suppress(OSError, TimeoutError, RuntimeError):
        await asyncio.wait_for(closing, seconds)


def _log(event: str, **fields: Any) -> None:
    log("worker", event, **fields)


if __name__ == "__main__":
    sys.exit(main())
