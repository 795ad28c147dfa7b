"""`dask-jobs cancel`: stops a release with its state saved, so that it can be resumed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from jobs.errors import ClusterError, Stopped
from jobs.formatting import printable
from jobs.release.api import driver_log
from jobs.release.api.client import Cluster
from jobs.release.api.follow import Tails
from jobs.release.api.objects import (
    QUEUE,
    RUN_URL,
    STOPPED,
    Objects,
    Run,
    annotation,
    ended,
    label,
    live,
    name,
    phase,
    started,
    suspended,
)
from jobs.release.api.snapshot import read
from jobs.release.status.show import progress_text, remove_command, resume_command
from jobs.release.status.state import exit_code, is_scratch, over, release_state

SAVED = "all is saved"
WHY = "by dask-jobs cancel"
POLL_SECONDS = 1.0
WORKERS_END_SECONDS = 20.0
"""Maximum wait for workers to end by themselves after the driver's Job has ended."""
MORE_SECONDS = 60.0
"""Maximum duration of a stop in addition to the pods' grace period."""


def cancel(cluster: Cluster, release: str) -> int:
    """Stop a release: first its driver, which saves, then its workers; return 0 when no pod is left.

    Raises:
        InputError: there is no such release.
        ClusterError: its pods did not end in time.
    """
    objects, run = read(cluster, release)
    if ended(run.driver):
        return _already(cluster, release, run)
    if is_stopping(run) and over(run):
        _print(f"{release} is stopped already")
        return 0
    log = _stop_driver(cluster, release, objects, run)
    # Read again: the driver may have ended its Job by itself before it was suspended.
    _, run = read(cluster, release, follows=True)
    if ended(run.driver):
        return _already(cluster, release, run)
    _print("the workers are asked to leave")
    suspend_workers(cluster, run)
    until(cluster, release, "the end of all pods", over, grace(run) + MORE_SECONDS)
    _report(cluster, release, log)
    return 0


def _already(cluster: Cluster, release: str, run: Run) -> int:
    _print(f"{release} has ended already (exit code {exit_code(run)})")
    if end_workers(cluster, release, run):
        until(cluster, release, "the end of all pods", over, grace(run) + MORE_SECONDS)
        _print("its workers were still there; they are gone now")
    return 0


@dataclass(frozen=True)
class _DriverEnd:
    """The driver's log at its end; `ran`: whether there was a driver (None: it may be gone already)."""

    ran: bool | None
    log: driver_log.Log


def _stop_driver(cluster: Cluster, release: str, objects: Objects, run: Run) -> _DriverEnd:
    """Suspend the driver's Job and return its pod's log to the end: it is deleted with the pod."""
    pods = [pod for pod in run.driver_pods if live(pod)]
    # Followed before the Job is suspended: Kubernetes deletes the pods of a suspended Job, and their logs with them.
    tails = Tails(cluster)
    running = [pod for pod in pods if started(pod, "driver")]
    for pod in running:
        tails.add(name(pod), "driver")
    ran = None if is_stopping(run) and not running else bool(running)
    if is_stopping(run):
        _print(f"{release} is being stopped already ({release_state(objects, run).reason}): its end is awaited")
    else:
        suspend_driver(cluster, run, WHY)
        _print("the driver is asked to save and to end" if running else "the driver does not run yet; it is removed")
    lines = [line for _, line in tails.rest(grace(run) + MORE_SECONDS)]
    until(cluster, release, "the end of the driver's pod", _driver_gone, grace(run) + MORE_SECONDS)
    return _DriverEnd(ran, driver_log.read(lines))


def is_stopping(run: Run) -> bool:
    """Return whether another command has stopped the run already."""
    return suspended(run.driver) and bool(annotation(run.driver, STOPPED))


def _driver_gone(run: Run) -> bool:
    return not any(live(pod) for pod in run.driver_pods)


def _report(cluster: Cluster, release: str, last: _DriverEnd) -> None:
    objects, run = read(cluster, release)
    url = annotation(run.driver, RUN_URL)
    reached = f" at {progress_text(last.log.progress, running=False)}" if last.log.progress else ""
    if last.ran is False:
        _print("stopped before its driver ran: nothing had been computed in this attempt")
    elif is_scratch(run.driver):
        _print(
            f"stopped{reached}; its run folder {url} was scratch space and is gone with the driver's pod: "
            "to keep it, set run.s3 or run.claim"
        )
    elif last.ran is None:
        _print(f"stopped; its run folder is {url}")
    elif SAVED in last.log.error:
        _print(f"stopped{reached}; all is saved in {url}")
    else:
        _print(f"stopped{reached}; its driver did not say that all is saved: it goes on from what is in {url}")
    state = release_state(objects, run)
    _print(f"to go on: {resume_command(state)}")
    _print(f"to remove it: {remove_command(state)}")


def _print(text: str) -> None:
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def suspend_driver(cluster: Cluster, run: Run, why: str, code: int = Stopped.exit_code) -> None:
    """Suspend the driver's Job, with an annotation that it was this program, why, and with which exit code."""
    note = why if code == Stopped.exit_code else f"exit code {code}: {why}"
    # Kueue first: it sets suspend back to false on a Job whose workload it has admitted.
    if label(run.driver, QUEUE):
        cluster.release_from_queue(run.driver)
    # One request: a suspended Job without the annotation is one that others have suspended, and counts as waiting.
    cluster.change_job(name(run.driver), {"metadata": {"annotations": {STOPPED: note}}, "spec": {"suspend": True}})


def suspend_workers(cluster: Cluster, run: Run) -> None:
    """Suspend the workers' Job, if there is one."""
    if run.workers is not None:
        if label(run.workers, QUEUE):
            cluster.release_from_queue(run.workers)
        cluster.change_job(name(run.workers), {"spec": {"suspend": True}})


def grace(run: Run) -> float:
    """Return the grace period of the run's pods, in seconds after SIGTERM."""
    jobs = [job for job in (run.driver, run.workers) if job is not None]
    return max(float(job["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)) for job in jobs)


def until(cluster: Cluster, release: str, what: str, holds: Callable[[Run], bool], seconds: float) -> Run:
    """Poll the release until a condition holds of its run, and return the run.

    Raises:
        ClusterError: it did not hold within `seconds`; the message begins with `what`.
    """
    end = time.monotonic() + seconds
    while True:
        _, run = read(cluster, release, follows=True)
        if holds(run):
            return run
        if time.monotonic() > end:
            raise ClusterError(f"{what} did not happen within {seconds:.0f} s: see dask-jobs status {release}")
        time.sleep(POLL_SECONDS)


def end_workers(cluster: Cluster, release: str, run: Run) -> bool:
    """Ensure that no worker outlives an ended driver Job; return whether their Job had to be suspended.

    The driver announces its completion to running workers. Pending pods do not get it and would stay for ever;
    workers whose driver was killed too often to announce it would stay until their own timeout.
    """
    end = time.monotonic() + WORKERS_END_SECONDS
    while run.workers is not None and not ended(run.workers) and not suspended(run.workers):
        left = [pod for pod in run.worker_pods if live(pod)]
        # Suspended, not deleted: the Job is Helm's, and `status` still reads it.
        if any(phase(pod) == "Pending" for pod in left) or time.monotonic() > end:
            suspend_workers(cluster, run)
            return True
        time.sleep(POLL_SECONDS)
        _, run = read(cluster, release, follows=True)
    return False
