"""Causes of restarted containers, such as the scheduler beside the driver."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.release.api.objects import Object, Objects, containers, live, name
from jobs.release.diagnosis.finding import Finding, oom

OOM = "OOMKilled"


def out_of_memory(status: Object) -> bool:
    """Return whether a container's last end, or the one before its restart, was for lack of memory."""
    return any(end.get("reason") == OOM for end in _ends(status))


def restarts(role: str, pod: Object, objects: Objects) -> Iterator[Finding]:
    """Yield the end of each restarted container of a pod, unless it ended well; `active` if it does not run again yet.

    A container that waits in CrashLoopBackOff is a finding of `pending_pod`.
    """
    where = f"{role} pod {name(pod)}"
    for status in containers(pod):
        state = status.get("state", {})
        if not status.get("restartCount") or state.get("waiting", {}).get("reason") == "CrashLoopBackOff":
            continue
        active = live(pod) and "running" not in state
        if out_of_memory(status):
            yield Finding("oom", where, *oom(role, status["name"], objects, where), active=active)
        elif end := _bad_end(pod, status):
            cause = f"container {status['name']} ended with exit code {end['exitCode']} and was started again"
            remedy = f"kubectl logs {name(pod)} -c {status['name']} --previous shows its last lines"
            yield Finding("crash", where, cause, remedy, active=active)


def _ends(status: Object) -> list[Object]:
    """Return a container's last end, and that before its restart; after a pod's end the first may be unknown."""
    return [end for key in ("state", "lastState") if (end := status.get(key, {}).get("terminated"))]


def _bad_end(pod: Object, status: Object) -> Object | None:
    """Return the end that caused a restart; the last one of a pod that is deleted is only its end by SIGTERM."""
    leaves = not live(pod) or "deletionTimestamp" in pod["metadata"]
    ends = [status.get("lastState", {}).get("terminated")] if leaves else _ends(status)
    return next((end for end in ends if end and end["exitCode"] != 0), None)
