"""The commands of a release, `dask-jobs status|wait|logs|cancel|fetch|plan`: parsing, what is printed, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from jobs import registry
from jobs.command_line.command import Argument, completer
from jobs.errors import InputError, print_note
from jobs.release import arguments as given
from jobs.release.arguments import ROLES, ClusterOptions, command, release_argument

INTERRUPTED = 130
"""Exit code of Ctrl-C, as shells have it: 4 would mean that the job was stopped."""


@command(
    "Show a release's state: phase, progress, workers, and the cause and remedy if it is stuck. Without a name all "
    "releases of the namespace, a line each.",
    examples="""dask-jobs status fit
dask-jobs status -n team-a
dask-jobs status fit -n team-a --json | jq .phase""",
    exit_codes={
        "0": "while it is pending or runs, and when it is done; else the job's:",
        "1": "the user's code failed",
        "2": "bad options or data (or no such release)",
        "3": "the cluster failed",
        "4": "stopped",
    },
)
@release_argument(optional="all of the namespace")
@click.option("--json", "as_json", is_flag=True, help="for programs")
def status(release: str | None, cluster: ClusterOptions, *, as_json: bool) -> int:
    """Print a release's state; return 0, or the exit code of a job that has ended otherwise.

    Raises:
        JobError: no such release, or the cluster refused or did not answer.
    """
    from jobs.release.api.snapshot import read
    from jobs.release.status import releases, show
    from jobs.release.status.state import release_state

    if release is None:
        found = cluster.connect()
        sys.stdout.write(releases.text(found, releases.read_all(found), as_json=as_json))
        return 0
    try:
        objects, run = read(cluster.connect(), release)
    except InputError as error:
        if not (Path(release) / "options.yaml").exists():
            raise
        raise InputError(f"{error.text}; {release} is a run folder here: dask-jobs show {release}") from error
    state = release_state(objects, run)
    if as_json:
        sys.stdout.write(show.as_json(state) + "\n")
    else:
        show.show(state, objects.now)
    return state.exit_code or 0


@command(
    "Follow a release's log and progress to its end, with the cause if it is stuck; then bring the run folder to "
    "./RELEASE-result (from scratch space result.json, options.yaml and, of minimize, x.npy alone). A folder of "
    "another run is left as it is, and a number added. Ctrl-C leaves the job running.",
    examples="""helm install fit charts/minimize && dask-jobs wait fit
dask-jobs wait fit -n team-a --timeout 3600 > summary.txt
dask-jobs wait fit --no-fetch            only the summary and the exit code""",
    exit_codes={
        "0 to 4": "the job's (4: stopped by a signal, a deadline or dask-jobs cancel; 3 also when its driver could not "
        "start in deadlines.start, after which the release is stopped; 2 also when there is no such release)",
        "124": "--timeout is over: the job continues",
        "130": "Ctrl-C: the job continues",
    },
)
@release_argument()
@click.option(
    "--timeout",
    callback=given.seconds,
    metavar="SECONDS",
    help="maximum seconds to wait (default: no limit)",
)
@click.option("--no-fetch", is_flag=True, help="do not bring the result to this machine")
def wait(release: str, cluster: ClusterOptions, timeout: float | None, *, no_fetch: bool) -> int:
    """Follow a release to its end; return the job's exit code.

    Raises:
        JobError: no such release, its driver could not start in time, or the cluster does not answer any more.
    """
    from jobs.release.actions.wait import Wait
    from jobs.release.actions.wait_view import WaitView

    try:
        with WaitView(release) as view:
            return Wait(cluster.connect(), release, view, fetch=not no_fetch).run(timeout)
    except KeyboardInterrupt:
        target = f"{release} -n {cluster.namespace}" if cluster.namespace else release
        print_note(f"{release} goes on: dask-jobs wait {target} follows it, dask-jobs cancel {target} ends it")
        return INTERRUPTED


@command(
    "Show the logs of a release: its driver's, its scheduler's or its workers'.",
    examples="""dask-jobs logs fit
dask-jobs logs fit --follow
dask-jobs logs fit --previous            the driver's previous pod
dask-jobs logs fit --role workers --tail 20
dask-jobs logs fit --worker 3""",
    exit_codes={
        "0": "done",
        "2": "no such release, pod or log",
        "3": "the cluster does not answer",
        "130": "Ctrl-C",
    },
)
@release_argument()
@click.option(
    "--role",
    callback=given.role,
    shell_complete=completer(ROLES),
    metavar="ROLE",
    help="driver, scheduler or workers (default: driver)",
)
@click.option("--worker", callback=given.non_negative_int, metavar="N", help="only worker N, counted from 0")
@click.option("-f", "--follow", is_flag=True, help="print lines as they come, until the release has ended")
@click.option("-p", "--previous", is_flag=True, help="logs of the driver's previous pod")
@click.option("--tail", callback=given.non_negative_int, metavar="LINES", help="only the last lines (default: all)")
def logs(
    release: str,
    cluster: ClusterOptions,
    role: str | None,
    worker: int | None,
    tail: int | None,
    *,
    follow: bool,
    previous: bool,
) -> int:
    """Print logs of a release's pods.

    Raises:
        JobError: no such release, pod or log, or the cluster refused or did not answer.
    """
    from jobs.release.actions import logs as written
    from jobs.release.api.snapshot import read

    role = _role(role, worker)
    if previous and (follow or role == "workers"):
        raise InputError("--previous is for the log of an earlier driver or scheduler: without --follow and workers")
    found = cluster.connect()
    try:
        if follow:
            written.follow(found, release, role, worker, tail)
        else:
            _, run = read(found, release, follows=True)
            written.show(found, run, role, worker, tail, previous=previous)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _role(role: str | None, worker: int | None) -> str:
    role = role or ("driver" if worker is None else "workers")
    if worker is not None and role != "workers":
        raise InputError(f"--worker {worker} and --role {role} exclude each other")
    return role


@command(
    "Stop a release: its driver saves and ends, then its workers; nothing is deleted, and it can be resumed.",
    examples="""dask-jobs cancel fit
dask-jobs cancel fit -n team-a && helm uninstall fit -n team-a""",
    exit_codes={
        "0": "no pod is left (also when it had ended already)",
        "2": "no such release",
        "3": "its pods did not end in time",
        "130": "Ctrl-C: the requests sent so far take effect; the same command does the rest",
    },
)
@release_argument()
def cancel(release: str, cluster: ClusterOptions) -> int:
    """Stop a release with its state saved; return 0, also if it had ended already.

    Raises:
        JobError: no such release, its pods did not end in time, or the cluster refused or did not answer.
    """
    from jobs.release.actions.cancel import cancel as stop

    try:
        return stop(cluster.connect(), release)
    except KeyboardInterrupt:
        print_note(f"not all of {release} may have stopped: the same command does the rest")
        return INTERRUPTED


@command(
    "Bring a release's run folder (result.json, trials.csv, history.csv, ...) to this machine, while the job runs "
    "or after it. Needs a run folder that outlives the driver: run.claim or run.s3.",
    examples="""dask-jobs fetch fit                      to ./fit-3f2a91c0, the run folder's own name
dask-jobs fetch fit results/fit
dask-jobs fetch fit --journal && \\
  dask-jobs minimize --config fit-3f2a91c0/options.yaml --run fit-3f2a91c0 --workers 0     resumes here""",
    exit_codes={
        "0": "it is here",
        "2": "no such release or run folder, or the folder here cannot be replaced",
        "3": "the cluster does not answer",
        "130": "Ctrl-C: nothing was written",
    },
)
@release_argument()
@click.argument(
    "folder",
    cls=Argument,
    metavar="[FOLDER]",
    required=False,
    help="where to (default: the run folder's own name)",
)
@click.option("--journal", is_flag=True, help="minimize's journal too: with it the run can be resumed here")
@click.option("--force", is_flag=True, help="replace a run folder that is there, if all in it is a run's")
def fetch(release: str, folder: str | None, cluster: ClusterOptions, *, journal: bool, force: bool) -> int:
    """Copy a release's run folder to this machine.

    Raises:
        JobError: no such release or run folder, or it could not be read or written.
    """
    from jobs.release.actions.fetch import fetch as bring

    found = cluster.connect()
    try:
        path = bring(found, release, folder, journal=journal, force=force)
    except KeyboardInterrupt:
        print_note("interrupted; nothing was written")
        return INTERRUPTED
    sys.stdout.write(f"{path}\n")
    return 0


@command(
    "Show before installing what a release requests: pods, cores, memory, GPUs, the bytes of an evaluation or "
    "the trials at once, and whether the cluster has room for it. Takes the same files and values as helm install, "
    "and needs helm. The modules in `code` are imported on this machine: plan only what you would run.",
    examples="""dask-jobs plan -f values.yaml
dask-jobs plan minimize -f values.yaml --set workers.count=8,workers.memory=4Gi
dask-jobs plan tune --set workers.count=20,job.trials=200
dask-jobs plan -f values.yaml --set-file code.my_model\\\\.py=my_model.py""",
    exit_codes={"0": "also when it does not fit now", "2": "a value is wrong"},
)
@click.argument(
    "job",
    cls=Argument,
    metavar="[JOB]",
    required=False,
    default="minimize",
    help=f"{' or '.join(registry.names())}, by its chart in ./charts, or a chart's path; default: minimize",
)
@click.option("-f", "--values", multiple=True, metavar="FILE", help="as helm takes it")
@click.option("--set", "sets", multiple=True, metavar="A.B=C", help="as helm takes it")
@click.option("--set-string", "set_strings", multiple=True, metavar="A.B=C", help="as helm takes it")
@click.option("--set-file", "set_files", multiple=True, metavar="A.B=FILE", help="as helm takes it")
def plan(
    job: str,
    *,
    values: Sequence[str],
    sets: Sequence[str],
    set_strings: Sequence[str],
    set_files: Sequence[str],
    cluster: ClusterOptions,
) -> int:
    """Print what a release would request, and whether the cluster has room for it.

    Raises:
        JobError: a value is wrong, or a file cannot be read.
    """
    from jobs.release.plan.chart import helm_arguments
    from jobs.release.plan.plan import show_plan

    show_plan(job, helm_arguments(values, sets, set_strings, set_files), cluster.connect)
    return 0
