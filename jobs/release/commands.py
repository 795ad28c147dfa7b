"""The commands of a release, `dask-jobs status|wait|logs|cancel|fetch|plan`: parsing, what is printed, exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jobs.errors import InputError
from jobs.release.arguments import Parser, add_cluster, cluster_of, parsed, release_parser, seconds, whole

LOGS_EXAMPLES = """examples:
  dask-jobs logs fit
  dask-jobs logs fit --follow
  dask-jobs logs fit --previous            the driver before this one
  dask-jobs logs fit --role workers --tail 20
  dask-jobs logs fit --worker 3"""
INTERRUPTED = 130
"""Exit code of Ctrl-C, as shells have it: 4 would say that the job was stopped."""


def status(arguments: Sequence[str]) -> int:
    """Print a release's state; return 0, or the exit code of a job that has ended otherwise.

    Raises:
        JobError: no such release, or the cluster refused or did not answer.
    """
    parser = release_parser(
        "status",
        "Say what a release does: phase, progress, workers, and why it is stuck and what to do.",
        """examples:
  dask-jobs status fit
  dask-jobs status fit -n team-a --json | jq .phase

exit codes: 0 while it is pending or runs, and when it is done; else the job's: 1 the user's code failed, 2 bad options
or data (or no such release), 3 the cluster failed, 4 stopped""",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parsed(parser, arguments)
    from jobs.release.api.snapshot import read
    from jobs.release.status.show import as_json, show
    from jobs.release.status.state import release_state

    objects, run = read(cluster_of(options), options.release)
    release = release_state(objects, run)
    if options.json:
        sys.stdout.write(as_json(release) + "\n")
    else:
        show(release, objects.now)
    return release.exit_code or 0


def wait(arguments: Sequence[str]) -> int:
    """Follow a release to its end; return the job's exit code.

    Raises:
        JobError: no such release, its driver could not start in time, or the cluster does not answer any more.
    """
    parser = release_parser(
        "wait",
        "Follow a release's log and progress to its end, and say why it is stuck; then bring the run folder to "
        "./RELEASE-result (from scratch space result.json, options.yaml and, of minimize, x.npy alone). A folder of "
        "another run is left as it is, and a number added. Ctrl-C leaves the job running.",
        """examples:
  helm install fit charts/minimize && dask-jobs wait fit
  dask-jobs wait fit -n team-a --timeout 3600 > summary.txt
  dask-jobs wait fit --no-fetch            only the summary and the exit code

exit codes: the job's, 0 to 4 (4: stopped by a signal, a deadline or dask-jobs cancel; 3 also when its driver could not
start in deadlines.start, after which the release is stopped; 2 also when there is no such release);
124 --timeout is over, 130 Ctrl-C: the job goes on""",
    )
    parser.add_argument("--timeout", type=seconds, help="seconds to wait at most (default: as long as it takes)")
    parser.add_argument("--no-fetch", action="store_true", help="do not bring the result to this machine")
    options = parsed(parser, arguments)
    from jobs.release.actions.wait import Wait
    from jobs.release.actions.wait_view import WaitView

    try:
        with WaitView(options.release) as view:
            wait_for = Wait(cluster_of(options), options.release, view, fetch=not options.no_fetch)
            return wait_for.run(options.timeout)
    except KeyboardInterrupt:
        target = _target(options.release, options.namespace)
        _tell(f"{options.release} goes on: dask-jobs wait {target} follows it, dask-jobs cancel {target} ends it")
        return INTERRUPTED


def logs(arguments: Sequence[str]) -> int:
    """Print logs of a release's pods.

    Raises:
        JobError: no such release, pod or log, or the cluster refused or did not answer.
    """
    parser = release_parser(
        "logs",
        "Show the logs of a release: its driver's, its scheduler's or its workers'.",
        LOGS_EXAMPLES,
    )
    _add_log_options(parser)
    options = parsed(parser, arguments)
    role = _role(options)
    from jobs.release.actions import logs as written
    from jobs.release.api.snapshot import read

    cluster = cluster_of(options)
    try:
        if options.follow:
            written.follow(cluster, options.release, role, options.worker, options.tail)
        else:
            _, run = read(cluster, options.release, follows=True)
            written.show(cluster, run, role, options.worker, options.tail, previous=options.previous)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _role(options: argparse.Namespace) -> str:
    role = options.role or ("driver" if options.worker is None else "workers")
    if options.worker is not None and role != "workers":
        raise InputError(f"--worker {options.worker} and --role {role} exclude each other")
    if options.previous and (options.follow or role == "workers"):
        raise InputError("--previous is for the log of an earlier driver or scheduler: without --follow and workers")
    return str(role)


def _add_log_options(parser: Parser) -> None:
    parser.add_argument("--role", choices=("driver", "scheduler", "workers"), help="whose (default: driver)")
    parser.add_argument("--worker", type=whole, metavar="N", help="worker N alone, counted from 0")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as lines come, until the release has ended")
    parser.add_argument("-p", "--previous", action="store_true", help="of the driver's pod before this one")
    parser.add_argument("--tail", type=whole, metavar="LINES", help="only the last lines (default: all)")


def cancel(arguments: Sequence[str]) -> int:
    """Stop a release with its state saved; return 0, also if it had ended already.

    Raises:
        JobError: no such release, its pods did not end in time, or the cluster refused or did not answer.
    """
    parser = release_parser(
        "cancel",
        "Stop a release: its driver saves and ends, then its workers; nothing is deleted, and it can go on later.",
        """examples:
  dask-jobs cancel fit
  dask-jobs cancel fit -n team-a && helm uninstall fit -n team-a

exit codes: 0 no pod is left (also when it had ended already), 2 no such release, 3 its pods did not end in time,
130 Ctrl-C: what has been asked for goes on in the cluster; the same command does the rest""",
    )
    options = parsed(parser, arguments)
    from jobs.release.actions.cancel import cancel as stop

    try:
        return stop(cluster_of(options), options.release)
    except KeyboardInterrupt:
        _tell(f"not all of {options.release} may have stopped: the same command does the rest")
        return INTERRUPTED


def fetch(arguments: Sequence[str]) -> int:
    """Bring a release's run folder to this machine.

    Raises:
        JobError: no such release or run folder, or it could not be read or written.
    """
    parser = release_parser(
        "fetch",
        "Bring a release's run folder (result.json, trials.csv, history.csv, ...) to this machine, while the job runs "
        "or after it. Needs a run folder that outlives the driver: run.claim or run.s3.",
        """examples:
  dask-jobs fetch fit                      to ./fit-3f2a91c0, the run folder's own name
  dask-jobs fetch fit results/fit
  dask-jobs fetch fit --journal && \\
    dask-jobs minimize --config fit-3f2a91c0/options.yaml --run fit-3f2a91c0 --workers 0     goes on here""",
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="where to (default: the run folder's own name)")
    parser.add_argument("--journal", action="store_true", help="minimize's journal too: with it the run can go on here")
    parser.add_argument(
        "--force", action="store_true", help="replace a run folder that is there, if all in it is a run's"
    )
    options = parsed(parser, arguments)
    from jobs.release.actions.fetch import fetch as bring

    cluster = cluster_of(options)
    try:
        folder = bring(cluster, options.release, options.folder, journal=options.journal, force=options.force)
    except KeyboardInterrupt:
        _tell("interrupted; nothing was written")
        return INTERRUPTED
    sys.stdout.write(f"{folder}\n")
    return 0


def plan(arguments: Sequence[str]) -> int:
    """Print what a release would ask for, and whether the cluster has it.

    Raises:
        JobError: a value is wrong, or a file cannot be read.
    """
    parser = Parser(
        "plan",
        "Say before installing what a release asks for: pods, cores, memory, GPUs, the bytes of an evaluation or "
        "the trials at once, and whether the cluster has room for it. Takes the same files and values as helm install, "
        "and needs helm.",
        """examples:
  dask-jobs plan -f values.yaml
  dask-jobs plan minimize -f values.yaml --set workers.count=8,workers.memory=4Gi
  dask-jobs plan tune --set workers.count=20,job.trials=200
  dask-jobs plan -f values.yaml --set-file code.my_model\\\\.py=my_model.py

exit codes: 0 (also when it does not fit now), 2 a value is wrong""",
    )
    parser.add_argument(
        "job",
        metavar="JOB",
        nargs="?",
        default="minimize",
        help="minimize or tune, by its chart in ./charts, or a chart's path; default: minimize",
    )
    parser.add_argument("-f", "--values", metavar="FILE", action="append", default=[], help="as helm takes it")
    parser.add_argument("--set", metavar="A.B=C", action="append", default=[], help="as helm takes it")
    parser.add_argument("--set-string", metavar="A.B=C", action="append", default=[], help="as helm takes it")
    parser.add_argument("--set-file", metavar="A.B=FILE", action="append", default=[], help="as helm takes it")
    add_cluster(parser)
    options = parsed(parser, arguments)
    from jobs.release.plan.chart import helm_arguments
    from jobs.release.plan.plan import show_plan

    values = helm_arguments(options.values, options.set, options.set_string, options.set_file)
    show_plan(options.job, values, lambda: cluster_of(options))
    return 0


def _target(release: str, namespace: str | None) -> str:
    return f"{release} -n {namespace}" if namespace else release


def _tell(text: str) -> None:
    sys.stderr.write(f"dask-jobs: {text}\n")
