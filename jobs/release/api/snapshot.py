"""Reads a snapshot of a release; objects that vanish between two requests are left out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from jobs.errors import InputError, JobError, nearest
from jobs.release.api.client import Cluster
from jobs.release.api.objects import (
    Object,
    Objects,
    Run,
    containers,
    live,
    name,
    phase,
    present_run,
    started,
    terminated,
)

PART_OF = "app.kubernetes.io/part-of=dask-jobs"
INSTANCE = "app.kubernetes.io/instance"
DRIVER_LINES = 2000
"""Lines read of the driver's log: some hours of progress."""
CRASH_LINES = 20
HEAD_BYTES = 65536


def read(cluster: Cluster, release: str, *, follows: bool = False) -> tuple[Objects, Run]:
    """Return a snapshot of a release, with the ends of the logs that show its state, and its present run.

    Args:
        cluster: the release's.
        release: its name.
        follows: the caller follows the log of the running driver, which is then not read.

    Raises:
        InputError: there is no such release in the namespace; suggests one with a near name.
        JobError: the cluster did not answer or refused.
    """
    selector = f"{INSTANCE}={release},{PART_OF}"
    jobs = cluster.jobs(selector)
    found = Objects(release, cluster.namespace, jobs, cluster.now)
    if present_run(found) is None:
        raise InputError(_missing(cluster, release))
    # Several requests are not a transaction: pods may be younger than the Jobs, and a log may be gone with its pod.
    pods = cluster.pods(selector)
    ours = {name(item) for item in (*jobs, *pods)}
    events = tuple(event for event in cluster.warnings() if event["involvedObject"].get("name") in ours)
    found = replace(found, pods=pods, events=events, claims=tuple(_claims(cluster, jobs, pods)))
    run = present_run(found)
    assert run is not None
    if not any(live(pod) for pod in run.driver_pods):
        found = replace(found, creations=cluster.creations(name(run.driver)))
    wanted = [one for one in wanted_logs(run) if not (follows and one.running)]
    logs = {(one.pod, one.container): text for one in wanted if (text := _log(cluster, one))}
    return replace(found, logs=logs), run


@dataclass(frozen=True)
class WantedLog:
    """A log that shows a part of a release's state."""

    pod: str
    container: str
    lines: int
    previous: bool = False
    running: bool = False


def names(cluster: Cluster) -> list[str]:
    """Return the names of all releases in the namespace, sorted.

    Raises:
        JobError: the cluster did not answer or refused.
    """
    return sorted({job["metadata"]["labels"].get(INSTANCE, "") for job in cluster.jobs(PART_OF)} - {""})


def _missing(cluster: Cluster, release: str) -> str:
    """Return the error text for a missing release, with a near name or the namespace that has it."""
    here = names(cluster)
    text = f"there is no release {release!r} in namespace {cluster.namespace!r}{nearest(release, here)}"
    if nearest(release, here):
        return text
    with contextlib.suppress(JobError):  # listing other namespaces may be forbidden
        jobs = cluster.jobs(f"{INSTANCE}={release},{PART_OF}", everywhere=True)
        if jobs:
            return f"{text}; there is one in namespace {jobs[0]['metadata']['namespace']!r}: add -n"
    return f"{text} (releases here: {', '.join(here) or 'none'}; -n names another namespace)"


def _claims(cluster: Cluster, jobs: tuple[Object, ...], pods: tuple[Object, ...]) -> Iterator[Object]:
    """Yield the claims that the release's pods mount, if a pod is Pending."""
    if not any(phase(pod) == "Pending" for pod in pods):
        return
    volumes = [volume for job in jobs for volume in job["spec"]["template"]["spec"].get("volumes", ())]
    names = {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}
    for claim in sorted(names):
        if found := cluster.claim(claim):
            yield found


def _log(cluster: Cluster, one: WantedLog) -> str:
    """Return the end of a log, and of a driver's the head too if the end does not name its attempt."""
    text = cluster.log(one.pod, one.container, tail_lines=one.lines, previous=one.previous) or ""
    if one.lines == DRIVER_LINES and text.count("\n") >= DRIVER_LINES and '"event": "attempt"' not in text:
        head = cluster.log(one.pod, one.container, limit_bytes=HEAD_BYTES) or ""
        return head.rpartition("\n")[0] + "\n" + text  # without the last line, which limit_bytes has cut
    return text


def wanted_logs(run: Run) -> list[WantedLog]:
    """Return the logs that show the state: the newest driver's, the last failed pods', those of crashing sidecars."""
    wanted = [
        WantedLog(name(pod), "driver", DRIVER_LINES, running=terminated(pod, "driver") is None)
        for pod in run.driver_pods[-1:]
        if started(pod, "driver")
    ]
    for role, pods in (("driver", run.driver_pods[:-1]), ("worker", run.worker_pods)):
        failed = [pod for pod in pods if phase(pod) == "Failed" and started(pod, role)]
        wanted += [WantedLog(name(pod), role, CRASH_LINES) for pod in failed[-1:]]
    for pod in (*run.driver_pods, *run.worker_pods):
        for status in containers(pod) if live(pod) else ():
            if status.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff":
                wanted.append(WantedLog(name(pod), status["name"], CRASH_LINES, previous=True))
    return wanted
