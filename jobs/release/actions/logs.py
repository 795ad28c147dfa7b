"""`dask-jobs logs`: the logs of a release's pods, printed or followed."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Sequence

from jobs.errors import InputError
from jobs.formatting import for_stream
from jobs.release.actions.wait import POLL_SECONDS, REST_SECONDS
from jobs.release.api.client import Cluster
from jobs.release.api.follow import Tails
from jobs.release.api.objects import Object, Run, ended, live, name, phase, started, suspended
from jobs.release.api.snapshot import read

ROLES = {"driver": "driver", "scheduler": "scheduler", "workers": "worker"}
"""--role -> the container."""


def pods_of(run: Run, role: str, worker: int | None) -> tuple[Object, ...]:
    """Return the pods that have a role's logs, oldest first: of workers the newest of each index.

    Raises:
        InputError: there is no such pod.
    """
    if role != "workers":
        if not run.driver_pods:
            raise InputError("the driver has no pod, so there is no log: dask-jobs status says why")
        return run.driver_pods
    newest = {index_of(pod): pod for pod in run.worker_pods}
    if worker is not None:
        if worker not in newest:
            known = ", ".join(map(str, sorted(newest))) or "none"
            raise InputError(f"--worker is {worker}, but the workers that have a pod are: {known}")
        return (newest[worker],)
    if not newest:
        raise InputError("there is no worker pod, so there is no log: dask-jobs status says why")
    return tuple(newest[index] for index in sorted(newest))


def index_of(pod: Object) -> int:
    """Return a worker pod's index in its Job."""
    text = pod["metadata"].get("annotations", {}).get("batch.kubernetes.io/job-completion-index", "")
    found = re.fullmatch(r"\d+", text)
    return int(text) if found else -1


def show(cluster: Cluster, run: Run, role: str, worker: int | None, tail: int | None, *, previous: bool) -> None:
    """Write the logs of a role's pods to standard output.

    Raises:
        InputError: there is no such pod, or it has no log yet.
    """
    pods = pods_of(run, role, worker)
    if role != "workers":
        pods = earlier(pods, role) if previous else pods[-1:]
    options = {} if tail is None else {"tail_lines": tail}
    found = False
    for pod in pods:
        text = cluster.log(name(pod), ROLES[role], **options)
        found = found or text is not None
        for line in (text or "").splitlines():
            write_line(_prefixed(line, pod, pods))
    if not found:
        raise InputError(f"{name(pods[-1])} has no log yet ({phase(pods[-1])}): dask-jobs status says why")


def earlier(pods: tuple[Object, ...], role: str) -> tuple[Object, ...]:
    """Return the previous pod: the newest but one.

    Raises:
        InputError: there is only one.
    """
    if len(pods) < 2:
        raise InputError(f"--previous: there was no {role} before this one")
    return pods[-2:-1]


def follow(cluster: Cluster, release: str, role: str, worker: int | None, tail: int | None) -> None:
    """Write a role's logs as they come, of replaced pods too, until the release has ended.

    Raises:
        InputError: there is no such release or worker.
    """
    tails = Tails(cluster)
    first = True
    while True:
        _, run = read(cluster, release, follows=True)
        pods = _started(run, role, worker)
        for pod in pods if role == "workers" else pods[-1:]:
            tails.add(name(pod), ROLES[role], tail if first else None)  # of a later pod all lines are new
        first = False
        if _ended(run):
            _write(tails.rest(REST_SECONDS), several=len(pods) > 1 and role == "workers")
            return
        _write(tails.lines(POLL_SECONDS), several=role == "workers" and worker is None)
        time.sleep(0.1)


def _started(run: Run, role: str, worker: int | None) -> list[Object]:
    pods = run.worker_pods if role == "workers" else run.driver_pods
    chosen = [pod for pod in pods if worker is None or index_of(pod) == worker]
    return [pod for pod in chosen if started(pod, ROLES[role]) and (live(pod) or role != "workers")]


def _ended(run: Run) -> bool:
    quiet = not any(live(pod) for pod in run.driver_pods)
    return (ended(run.driver) or suspended(run.driver)) and quiet


def _write(found: Iterable[tuple[str, str]], *, several: bool) -> None:
    for pod, line in found:
        write_line(f"{pod}: {line}" if several else line)
        sys.stdout.flush()


def write_line(line: str) -> None:
    """Write a line of a log to standard output, as it is unless that is a terminal, which it would control."""
    sys.stdout.write(for_stream(f"{line}\n", sys.stdout))


def _prefixed(line: str, pod: Object, pods: Sequence[Object]) -> str:
    return f"{name(pod)}: {line}" if len(pods) > 1 else line
