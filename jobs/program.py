"""The program `dask-jobs COMMAND [options]`: commands, overview, completion, exit code."""

from __future__ import annotations

import functools
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from jobs import commands, registry
from jobs.command_line.overview import overview
from jobs.errors import ClusterError, InputError, JobError, command_line, nearest, print_error

if TYPE_CHECKING:
    from jobs.command_line.command import Command

ABOUT = "Batch jobs for numerical work on Dask clusters."
JOBS = "jobs, on this machine, on a Dask scheduler, or on Kubernetes by their charts"
RELEASES = "a release on Kubernetes (helm install RELEASE charts/minimize)"
COMMANDS = {
    "before a run": {
        "check": "try a problem on its first rows: sums, equal bits, derivatives; what a block costs",
    },
    "a run's folder": {
        "list": "list the runs in a folder, one line each",
        "show": "print a run's state: its result, or its status",
        "compare": "compare runs: options, results, and what they were made of",
        "report": "write a run's report: one HTML file with plots",
        "predict": "predict the rows of a data set, or images, by a run's model",
        "rerun": "start a run's job again in a new folder, and compare the results' bits",
    },
    RELEASES: {
        "plan": "show before installing what a values file requests of a cluster",
        "status": "show a release's state, and the cause if it is stuck; without a name list all",
        "wait": "follow it to its end, bring its result here, and exit with its exit code",
        "logs": "print what its driver, scheduler or workers have written",
        "cancel": "stop it with its state saved",
        "fetch": "bring its run folder here",
    },
}
EXAMPLES = (
    "dask-jobs minimize --data digits --run runs/digits",
    "dask-jobs minimize --data idx:/data/mnist --workers 4 --method trust-ncg --l2 1e-4 --run runs/mnist",
    "dask-jobs minimize --problem my_model:problem --config job.yaml --run s3://bucket/runs/7",
    "dask-jobs tune --objective my_model:train --space space.yaml --trials 200 --run runs/search",
    "dask-jobs report runs/digits",
    "dask-jobs list runs",
    "dask-jobs compare runs/digits runs/mnist",
    "dask-jobs wait fit -n science",
)
NOTES = """The same command on the same run folder resumes the run, also after kill -9.
'dask-jobs COMMAND --help' lists a command's options.
'dask-jobs --version' names the version.
'_DASK_JOBS_COMPLETE=bash_source dask-jobs' prints what completes them in bash
(also zsh_source, fish_source)."""
RELEASE_COMMANDS = tuple(COMMANDS[RELEASES])


@command_line()
def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; a JobError is printed as one line on standard error."""
    if sys.stdout is None:  # closed by `>&-`
        # Writing there fails as to any closed file; and no other file gets its number, and what libraries write to it.
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may have bytes that are not characters
    code = 0
    try:
        code = _answer(arguments)
        sys.stdout.flush()
    except JobError as error:
        return print_error(error)
    except OSError as error:
        if (problem := _unwritable()) is None:
            raise
        if isinstance(error, BrokenPipeError):
            return code  # a reader that ends early, as `| head` does, is no error
        return print_error(ClusterError(f"standard output cannot be written: {problem}"))
    return code


def _answer(arguments: Sequence[str]) -> int:
    if instruction := os.environ.get("_DASK_JOBS_COMPLETE"):
        return _complete(instruction)
    if arguments == ["--version"]:
        sys.stdout.write(f"dask-jobs {version('dask-jobs')}\n")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(overview(ABOUT, {JOBS: registry.summaries(), **COMMANDS}, EXAMPLES, NOTES))
        return 0 if arguments else 2
    return _command(arguments[0])(arguments[1:])


def _unwritable() -> str | None:
    """Return why standard output cannot be written, None if it can; one that cannot is led nowhere.

    Python would try it once more at its end, and fail with a traceback.
    """
    try:
        sys.stdout.write("\n")  # what failed to be written is dropped, or still in a buffer
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return error.strerror or str(error)
    return None


def _command(name: str) -> Callable[[Sequence[str]], int]:
    if name in RELEASE_COMMANDS:
        return _release_command(name)
    found: dict[str, Callable[[Sequence[str]], int]] = {
        job: functools.partial(commands.run_job, job) for job in registry.names()
    }
    found |= {"check": _check, "show": _show, "report": _report, "predict": _predict}
    found |= {"list": _list, "compare": _compare, "rerun": _rerun}
    if name not in found:
        known = dict.fromkeys([*found, *RELEASE_COMMANDS])
        near = "" if name.startswith("-") else nearest(name, known)
        raise InputError(f"{name!r} is no command{near} (commands: {', '.join(known)})")
    return found[name]


def _release_command(name: str) -> Callable[[Sequence[str]], int]:
    from jobs.release import commands

    command: Callable[[Sequence[str]], int] = getattr(commands, name)
    return command


def _report(arguments: Sequence[str]) -> int:
    from jobs.storage import open_storage

    if not _is_run(arguments):
        text = "Writes RUN/report.html from what the run folder holds at this moment: what came out, and how."
        return _usage("report", text, arguments)
    sys.stdout.write(commands.write_report(open_storage(arguments[0])) + "\n")
    return 0


def _show(arguments: Sequence[str]) -> int:
    if not _is_run(arguments):
        text = "Prints a run's state. Exit code: 0 if it is done, else that of its last attempt; 4 while it runs."
        return _usage("show", text, arguments)
    return commands.show(arguments[0])


def _predict(arguments: Sequence[str]) -> int:
    from jobs.command_line.run_commands import predict_command

    command = predict_command()
    if not arguments:
        sys.stdout.write(command.help_page())
        return 2
    given = command.context(arguments).params
    commands.predict(given["run"], given["files"], data=given["data"], output=given["output"])
    return 0


def _list(arguments: Sequence[str]) -> int:
    from jobs.command_line.run_commands import list_command

    given = list_command().context(arguments).params
    commands.list_runs(given["folders"] or ("runs",), given["output"], state=given["state"], job=given["job"])
    return 0


def _compare(arguments: Sequence[str]) -> int:
    from jobs.command_line.run_commands import compare_command

    command = compare_command()
    if not arguments:
        sys.stdout.write(command.help_page())
        return 2
    given = command.context(arguments).params
    commands.compare(given["runs"], given["output"])
    return 0


def _rerun(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        from jobs.command_line.run_commands import rerun_command

        sys.stdout.write(rerun_command().help_page())
        return 0 if arguments and arguments[0] in ("-h", "--help") else 2
    return commands.rerun(arguments[0], arguments[1:])


def _check(arguments: Sequence[str]) -> int:
    commands.check(list(arguments))
    return 0


def _is_run(arguments: Sequence[str]) -> bool:
    return len(arguments) == 1 and not arguments[0].startswith("-")


def _usage(name: str, text: str, arguments: Sequence[str]) -> int:
    from jobs.command_line.run_commands import run_command

    sys.stdout.write(run_command(name, text).help_page())
    return 0 if arguments and arguments[0] in ("-h", "--help") else 2


def _complete(instruction: str) -> int:
    """Print the completion that a shell requests."""
    from jobs.command_line.completion import complete

    summaries = registry.summaries()
    for group in COMMANDS.values():
        summaries |= group
    return complete(instruction, summaries, _to_complete)


def _to_complete(name: str) -> Command:
    """Return a command with its options, for completion."""
    from jobs.command_line import run_commands
    from jobs.command_line.command import Command
    from jobs.command_line.fields import OptionsCommand

    if any(name in group for group in COMMANDS.values()):
        if name in RELEASE_COMMANDS:
            command: object = _release_command(name)
        else:
            made = getattr(run_commands, f"{name}_command", None)
            command = made() if made else run_commands.run_command(name, "")
        assert isinstance(command, Command)
        return command
    return OptionsCommand(registry.find(name).load_options(), f"dask-jobs {name}")
