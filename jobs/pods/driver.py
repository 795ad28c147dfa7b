"""The driver process on Kubernetes: a job's command, retried after a cluster failure; announces completion to workers.

    python -m jobs.pods.driver minimize --config /etc/dask-jobs/job.yaml

exit codes: the job's. Code 3 means that retries are used up: the caller need not retry. After code 4 (SIGTERM, all
saved) the same command resumes the run, so completion is not announced to the workers; after all others it is.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence

import yaml
from distributed import Client

from jobs.cluster.connect import answers
from jobs.commands import run_job
from jobs.errors import ClusterError, JobError, Stopped, TooFewWorkers, command_line, print_error
from jobs.pods.worker import OVER, ShutdownPlugin
from jobs.runs.display.log import collect_logs, log, log_start, restart

RETRIES = "DASK_JOBS_RETRIES"
"""Environment variable: maximum retries after a cluster failure (code 3)."""
RETRIED = "DASK_JOBS_RETRIED"
"""Environment variable that carries the number of retries so far over a restart of the process."""
MAX_BACKOFF_SECONDS = 60.0
ANNOUNCE_CONNECT_SECONDS = 10.0
ANNOUNCE_SECONDS = 60.0
"""Timeout of an announcement's first answer: one worker that ends with 0 completes the workers' Job."""
ANNOUNCE_SECONDS_WITHOUT_WORKERS = 5.0
"""The same after a timeout of waiting for workers."""


@command_line()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job's command and return its exit code; does not return where the process restarts to retry."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    collect_logs("driver")
    log_start("driver")
    patience = ANNOUNCE_SECONDS
    try:
        code = run_job(arguments[0], arguments[1:], log_result=True)
    except TooFewWorkers as error:
        print_error(TooFewWorkers(f"{error}; in a chart's values: deadlines.start, workers.min"))
        code, patience = error.exit_code, ANNOUNCE_SECONDS_WITHOUT_WORKERS
    except (ClusterError, OSError) as error:
        code = print_error(error if isinstance(error, ClusterError) else ClusterError(f"connection lost: {error}"))
        _retry(arguments)  # returns only where retries are used up; workers stay connected to the scheduler meanwhile
    except JobError as error:
        code = print_error(error)
    except BaseException as error:  # a bug of ours must not leave workers waiting, nor must sys.exit in user code
        if isinstance(error, SystemExit) and not error.code and "--help" in arguments:  # click's own, of no work
            raise
        traceback.print_exc()
        code = 1
    if code != Stopped.exit_code:
        announce_completion(_scheduler(arguments), patience)
    return code


def _retry(arguments: Sequence[str]) -> None:
    """Restart this process, in the same pod, unless all retries are used up."""
    retried, retries = int(os.environ.get(RETRIED, "0")), int(os.environ.get(RETRIES, "0"))
    if retried >= retries:
        return
    seconds = min(MAX_BACKOFF_SECONDS, 2.0**retried)
    log("driver", "retry", message=f"trying again in {seconds:g} s: retry {retried + 1} of {retries}")
    # No run is open that would have to be saved: SIGTERM ends the sleep at once, with code 4, which the Job ignores.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Stopped.exit_code))
    time.sleep(seconds)
    os.environ[RETRIED] = str(retried + 1)
    # A fresh process: Dask's client, its threads and the user's modules keep state of the attempt that has failed.
    restart("jobs.pods.driver", arguments)


def _scheduler(arguments: Sequence[str]) -> str | None:
    """Return the scheduler's address in the command's --config file; None if it cannot be read."""
    path = dict(itertools.pairwise(arguments)).get("--config")  # as the chart writes it: never --config=FILE
    try:
        with open(str(path), encoding="utf-8") as file:  # noqa: PTH123
            address = yaml.safe_load(file)["scheduler"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None
    return str(address)


def announce_completion(address: str | None, patience: float) -> None:
    """Announce completion to all workers, and to those that join meanwhile; best effort, in bounded time.

    Args:
        address: the scheduler's; None if it is not known.
        patience: seconds to wait for the first worker's answer.
    """
    if address is None:
        return
    try:
        count = asyncio.run(_announce(address, patience))
        log("driver", "over", message=f"{count} workers were told that the work is over")
    except Exception as error:  # noqa: BLE001  the job's own exit code is what counts
        reason = str(error) or type(error).__name__
        log("driver", "over", message=f"the workers could not be told that the work is over ({reason})")


async def _announce(address: str, patience: float) -> int:
    """Register the plugin that ends the workers; return how many of them have answered in `patience` seconds."""
    await answers(address, ANNOUNCE_CONNECT_SECONDS)
    end = time.monotonic() + patience
    # Around all: Dask waits without end for a scheduler, or for a worker, that is frozen.
    async with (
        asyncio.timeout(ANNOUNCE_CONNECT_SECONDS + patience),
        Client(address, timeout=ANNOUNCE_CONNECT_SECONDS, asynchronous=True) as client,
    ):
        await client.register_plugin(ShutdownPlugin())  # for those that join later, too
        # Workers answer by an event, not by the plugin's result: their processes may end before the call returns.
        while not (events := await client.get_events(OVER)) and time.monotonic() < end:  # noqa: ASYNC110  the scheduler's
            await asyncio.sleep(0.2)
        return len(events)


if __name__ == "__main__":
    sys.exit(main())
