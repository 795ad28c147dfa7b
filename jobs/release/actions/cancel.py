"""`dask-jobs cancel`: stops a release with its state saved, so that it can go on later."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from jobs.release.actions.stop import MORE_SECONDS, end_workers, grace, suspend_driver, suspend_workers, until
from jobs.release.api.client import Cluster
from jobs.release.api.follow import Tails
from jobs.release.api.objects import RUN_URL, STOPPED, Objects, Run, annotation, ended, live, name, started, suspended
from jobs.release.api.snapshot import read
from jobs.release.status import driver_log
from jobs.release.status.show import progress_text, remove_command, resume_command
from jobs.release.status.state import exit_code, is_scratch, over, release_state

SAVED = "all is saved"
WHY = "by dask-jobs cancel"


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
        _say(f"{release} is stopped already")
        return 0
    log = _stop_driver(cluster, release, objects, run)
    _, run = read(cluster, release, follows=True)
    if ended(run.driver):
        return _already(cluster, release, run)
    _say("the workers are asked to leave")
    suspend_workers(cluster, run)
    until(cluster, release, "the end of all pods", over, grace(run) + MORE_SECONDS)
    _report(cluster, release, log)
    return 0


def _already(cluster: Cluster, release: str, run: Run) -> int:
    _say(f"{release} has ended already (exit code {exit_code(run)})")
    if end_workers(cluster, release, run):
        until(cluster, release, "the end of all pods", over, grace(run) + MORE_SECONDS)
        _say("its workers were still there; they are gone now")
    return 0


@dataclass(frozen=True)
class _Last:
    """What the driver said at its end; `ran` tells whether there was one (None: it may be gone already)."""

    ran: bool | None
    log: driver_log.Log


def _stop_driver(cluster: Cluster, release: str, objects: Objects, run: Run) -> _Last:
    """Suspend the driver's Job and return what its pod says until it is gone: its log goes with it."""
    pods = [pod for pod in run.driver_pods if live(pod)]
    tails = Tails(cluster)
    running = [pod for pod in pods if started(pod, "driver")]
    for pod in running:
        tails.add(name(pod), "driver")
    ran = None if is_stopping(run) and not running else bool(running)
    if is_stopping(run):
        _say(f"{release} is being stopped already ({release_state(objects, run).reason}): its end is awaited")
    else:
        suspend_driver(cluster, run, WHY)
        _say("the driver is asked to save and to end" if running else "the driver does not run yet; it is removed")
    said = [line for _, line in tails.rest(grace(run) + MORE_SECONDS)]
    until(cluster, release, "the end of the driver's pod", _driver_gone, grace(run) + MORE_SECONDS)
    return _Last(ran, driver_log.read(said))


def is_stopping(run: Run) -> bool:
    """Return whether another command has stopped the run already."""
    return suspended(run.driver) and bool(annotation(run.driver, STOPPED))


def _driver_gone(run: Run) -> bool:
    return not any(live(pod) for pod in run.driver_pods)


def _report(cluster: Cluster, release: str, last: _Last) -> None:
    objects, run = read(cluster, release)
    url = annotation(run.driver, RUN_URL)
    reached = f" at {progress_text(last.log.progress, running=False)}" if last.log.progress else ""
    if last.ran is False:
        _say("stopped before its driver ran: nothing had been computed in this attempt")
    elif is_scratch(run.driver):
        _say(
            f"stopped{reached}; its run folder {url} was scratch space and is gone with the driver's pod: "
            "to keep it, set run.s3 or run.claim"
        )
    elif last.ran is None:
        _say(f"stopped; its run folder is {url}")
    elif SAVED in last.log.error:
        _say(f"stopped{reached}; all is saved in {url}")
    else:
        _say(f"stopped{reached}; its driver did not say that all is saved: it goes on from what is in {url}")
    state = release_state(objects, run)
    _say(f"to go on: {resume_command(state)}")
    _say(f"to remove it: {remove_command(state)}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
