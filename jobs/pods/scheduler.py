"""The scheduler process on Kubernetes, a sidecar of the driver: starts and ends with one attempt of it.

python -m jobs.pods.scheduler --id namespace/fit/3f2a91c0
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import dask
from distributed import Scheduler
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from jobs.command_line.option_help import OptionHelp
from jobs.errors import JobError, command_line, print_error
from jobs.options import parse
from jobs.runs.display.log import collect_logs, log, log_start

DASHBOARD_AFTER = 10.0
"""Delay of the dashboard: importing Bokeh at start would delay the first evaluation by as much."""


class Options(BaseModel):
    """Run the Dask scheduler of one job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str | None, OptionHelp(metavar="ID")] = Field(
        default=None, description="its identity, which workers compare (default: a random one)"
    )
    port: Annotated[NonNegativeInt, OptionHelp(metavar="PORT")] = Field(
        default=8786, description="port to listen on; 0: any"
    )
    dashboard_port: Annotated[NonNegativeInt, OptionHelp(metavar="PORT")] = Field(
        default=8787, description="port of the dashboard and of /metrics; 0: any"
    )


@command_line()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM (0), or until a client shuts the scheduler down (1: Kubernetes restarts the container)."""
    try:
        options = parse(Options, "python -m jobs.pods.scheduler", sys.argv[1:] if arguments is None else arguments)
    except JobError as error:
        return print_error(error)
    collect_logs("scheduler")
    logging.getLogger("distributed").setLevel(logging.WARNING)
    log_start("scheduler")
    return asyncio.run(_serve(options))


async def _serve(options: Options) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not signal.signal, whose handler would set the event without waking the event loop.
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    secure = dask.config.get("distributed.comm.require-encryption", None)
    scheduler = Scheduler(
        port=options.port,
        protocol="tls" if secure else "tcp",
        dashboard=False,  # added later; the HTTP server with /metrics and /health starts now all the same
        dashboard_address=f":{options.dashboard_port}",
    )
    # Before it listens: workers join only a scheduler whose identity is that of their own run.
    scheduler.id = options.id or scheduler.id
    async with scheduler:
        log("scheduler", "listening", address=scheduler.address, dashboard=scheduler.http_server.port, id=scheduler.id)
        pages = asyncio.ensure_future(_dashboard(scheduler))
        ends = {asyncio.ensure_future(stop.wait()), asyncio.ensure_future(scheduler.finished())}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        pages.cancel()  # the import in its thread cannot be cancelled, but nothing waits for it
        why = "SIGTERM: this attempt's driver has ended" if stop.is_set() else "a client has shut it down"
        log("scheduler", "closing", message=why)
    # A sidecar (restartPolicy: Always) is restarted after either code; 1 shows in its status that this was a failure.
    return 0 if stop.is_set() else 1


async def _dashboard(scheduler: Scheduler) -> None:
    """Add Dask's dashboard to the scheduler's HTTP server."""
    await asyncio.sleep(DASHBOARD_AFTER)
    # In a thread: importing Bokeh takes seconds, in which the scheduler would not answer.
    await asyncio.to_thread(__import__, "distributed.dashboard.scheduler")
    from distributed.dashboard.scheduler import connect

    connect(scheduler.http_application, scheduler.http_server, scheduler, prefix="/")


if __name__ == "__main__":
    sys.exit(main())
