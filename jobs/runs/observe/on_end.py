"""What the user wants to happen when an attempt ends: a command, or a request to a URL."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request

from jobs.formatting import error_line
from jobs.runs.encoding import as_json
from jobs.runs.observe.events import Event

SCHEMES = ("http://", "https://")


def run_on_end(what: str, event: Event, seconds: float) -> str:
    """Do it; return what is wrong, or nothing: the job has ended as it has.

    Args:
        what: a command of the shell, which gets the event as JSON on standard input, and DASK_JOBS_JOB, _RUN, _STATE
            and _EXIT_CODE; or http(s)://..., to which the event is posted as JSON.
        event: the event `end`.
        seconds: for the command, or the answer.
    """
    try:
        return _post(what, event, seconds) if what.startswith(SCHEMES) else _command(what, event, seconds)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        return error_line(error)


def _post(url: str, event: Event, seconds: float) -> str:
    headers = {"Content-Type": "application/json", "User-Agent": "dask-jobs"}
    request = urllib.request.Request(url, as_json(event), headers, method="POST")  # noqa: S310  http or https, see SCHEMES
    with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310  an HTTP error is an OSError
        return ""


def _command(command: str, event: Event, seconds: float) -> str:
    names = {"JOB": event["job"], "RUN": event["run"], "STATE": event["state"], "EXIT_CODE": str(event["exit_code"])}
    environment = os.environ | {f"DASK_JOBS_{name}": value for name, value in names.items()}
    done = subprocess.run(  # noqa: S602  the user's own command
        command,
        shell=True,
        input=as_json(event),
        env=environment,
        timeout=seconds,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    # Its output is no result: standard output may be a pipe that expects the summary alone.
    sys.stderr.write(done.stdout.decode(errors="replace"))
    return f"exit code {done.returncode}" if done.returncode else ""
