"""The command line, `dask-jobs COMMAND [options]`: parsing, what is printed at the end, and the exit code."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

from jobs.errors import InputError, JobError, Stopped, nearest

USAGE = """usage: dask-jobs COMMAND [options]

Batch jobs for numerical work on Dask clusters.

commands:
  minimize   minimize a loss summed over much data, by any of SciPy's optimizers
  report     write a run's report: one HTML file with plots

examples:
  dask-jobs minimize --data digits --run runs/digits
  dask-jobs minimize --data idx:/data/mnist --workers 4 --method trust-ncg --l2 1e-4 --run runs/mnist
  dask-jobs minimize --problem my_model:problem --config job.yaml --run s3://bucket/runs/7
  dask-jobs report runs/digits

The same command on the same run folder goes on where it was, also after kill -9.
'dask-jobs COMMAND --help' lists a command's options.
'dask-jobs --version' names the version.
exit codes: 0 done, 1 the user's code failed, 2 bad options or data, 3 the cluster failed (try again), 4 stopped, all
saved
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors for people are one line on standard error."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments == ["--version"]:
        sys.stdout.write(f"dask-jobs {version('dask-jobs')}\n")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(USAGE)
        return 0 if arguments else 2
    try:
        return _command(arguments[0])(arguments[1:])
    except JobError as error:
        if error.details and error.exit_code == 1:
            sys.stderr.write(error.details.rstrip() + "\n")
        sys.stderr.write(f"dask-jobs: error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("dask-jobs: error: interrupted before work began; the same command starts it\n")
        return Stopped.exit_code


def _command(name: str) -> Callable[[Sequence[str]], int]:
    commands = {"minimize": _minimize, "report": _report}
    if name not in commands:
        raise InputError(f"{name!r} is no command{nearest(name, commands)} (commands: {', '.join(commands)})")
    return commands[name]


def _minimize(arguments: Sequence[str]) -> int:
    from jobs.minimize.job import run
    from jobs.minimize.options import Options
    from jobs.minimize.summary import show
    from jobs.options import parse

    sys.path.insert(0, os.getcwd())  # noqa: PTH109  where a user's module is, as with `python -m`
    options = parse(Options, "dask-jobs minimize", arguments)
    if options.run is None:
        options = options.model_copy(update={"run": f"runs/minimize-{time.strftime('%Y%m%d-%H%M%S')}"})
    show(run(options), str(options.run))
    return 0


def _report(arguments: Sequence[str]) -> int:
    from jobs.report import write_report
    from jobs.storage import open_storage

    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stdout.write(
            "usage: dask-jobs report RUN\n\nWrites RUN/report.html: loss, gradient, weights, time, options.\n"
        )
        return 0 if arguments and arguments[0] in ("-h", "--help") else 2
    sys.stdout.write(write_report(open_storage(arguments[0])) + "\n")
    return 0
