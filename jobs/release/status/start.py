"""How long the driver of a run has been unable to start, for the deadline in `dask-jobs wait`. Pure."""

from __future__ import annotations

from jobs.release.api.objects import (
    START_TIMEOUT,
    Object,
    Objects,
    Run,
    annotation,
    began,
    created,
    ended,
    happened,
    live,
    newest_event,
    seconds,
    started,
    suspended,
    terminated,
)

DEFAULT_START_TIMEOUT = 900.0


def start_timeout(run: Run) -> float:
    """Return the maximum seconds until the driver starts, deadlines.start."""
    text = annotation(run.driver, START_TIMEOUT)
    return float(text) if text.replace(".", "", 1).isdecimal() else DEFAULT_START_TIMEOUT


def driver_seen(run: Run) -> bool:
    """Return whether there is a driver pod whose driver has started and may still run."""
    return any(live(pod) and started(pod, "driver") for pod in run.driver_pods)


def held_up_for(objects: Objects, run: Run, seen: float = 0.0, begun: float = 0.0) -> float:
    """Return for how many seconds the driver has been unable to start, by a Pending pod or a refusal to create one.

    Args:
        objects: the release's, with their time.
        run: its present run.
        seen: when a started driver was last seen, seconds since 1970 (0: never). It may be gone with its pod.
        begun: when the caller began to observe: of the time before, without a pod, nothing is known.

    Returns:
        Seconds; 0 once a driver has started, while the run is suspended or has ended, and when nothing explains why.
    """
    if suspended(run.driver) or ended(run.driver) or driver_seen(run):
        return 0.0
    pods = [pod for pod in run.driver_pods if live(pod)]
    if pods:
        return max(0.0, objects.now - max(created(pods[-1]), seen))
    ends: list[Object | None] = [terminated(pod, "driver") for pod in run.driver_pods]
    since = max([began(run), seen, *(seconds(end["finishedAt"]) for end in ends if end)])
    refusal = newest_event(objects.events, run.driver, "FailedCreate")
    if refusal is None or happened(refusal) < since:
        return 0.0
    return max(0.0, objects.now - max(since, begun))
