"""Stops Jobs by suspending them: their pods get SIGTERM and go, and the Jobs can go on later."""

from __future__ import annotations

import time
from collections.abc import Callable

from jobs.errors import ClusterError, Stopped
from jobs.release.api.client import Cluster
from jobs.release.api.objects import QUEUE, STOPPED, Run, ended, label, live, name, phase, suspended
from jobs.release.api.snapshot import read

POLL_SECONDS = 1.0
LAST_WORD_SECONDS = 20.0
"""How long workers may take to end by themselves after the driver's Job has ended."""
MORE_SECONDS = 60.0
"""What a stop may take in addition to the pods' grace period."""


def suspend_driver(cluster: Cluster, run: Run, why: str, code: int = Stopped.exit_code) -> None:
    """Suspend the driver's Job, and note on it that we did, why, and with which exit code."""
    note = why if code == Stopped.exit_code else f"exit code {code}: {why}"
    if label(run.driver, QUEUE):
        cluster.release_from_queue(run.driver)
    cluster.change_job(name(run.driver), {"metadata": {"annotations": {STOPPED: note}}, "spec": {"suspend": True}})


def suspend_workers(cluster: Cluster, run: Run) -> None:
    """Suspend the workers' Job, if there is one."""
    if run.workers is not None:
        if label(run.workers, QUEUE):
            cluster.release_from_queue(run.workers)
        cluster.change_job(name(run.workers), {"spec": {"suspend": True}})


def grace(run: Run) -> float:
    """Return for how many seconds the run's pods may go on after SIGTERM."""
    jobs = [job for job in (run.driver, run.workers) if job is not None]
    return max(float(job["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)) for job in jobs)


def until(cluster: Cluster, release: str, what: str, holds: Callable[[Run], bool], seconds: float) -> Run:
    """Read the release until something holds of its run, and return the run.

    Raises:
        ClusterError: it did not hold within `seconds`; `what` says it in words.
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
    """See to it that no worker outlives an ended driver Job; return whether their Job had to be suspended.

    Workers that run are told by the driver that the work is over. Pods that wait for a place hear nothing and would be
    there for ever, as would those whose driver was killed too often to say so, until their own timeout.
    """
    end = time.monotonic() + LAST_WORD_SECONDS
    while run.workers is not None and not ended(run.workers) and not suspended(run.workers):
        left = [pod for pod in run.worker_pods if live(pod)]
        if any(phase(pod) == "Pending" for pod in left) or time.monotonic() > end:
            suspend_workers(cluster, run)
            return True
        time.sleep(POLL_SECONDS)
        _, run = read(cluster, release, follows=True)
    return False
