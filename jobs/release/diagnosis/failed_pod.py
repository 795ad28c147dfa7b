"""Causes of a failed pod: out of memory, evicted, or a container's exit code with its last lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from jobs.release.api import driver_log
from jobs.release.api.objects import Object, Objects, condition, containers, label, name
from jobs.release.diagnosis.finding import Finding, oom, role_values
from jobs.release.diagnosis.restarted_container import out_of_memory

DRIVER_CODES = {1: "the job's own code failed", 2: "bad options or data", 3: "the cluster failed"}
DRIVER_REMEDIES = {
    1: "correct the code; helm upgrade with it begins a new run",
    2: "correct what the error names; helm upgrade with it begins a new run",
    3: "helm upgrade with deadlines.start or more resources goes on in the same run folder",
}
LAST_LINES = 5


def failed_pod(role: str, pod: Object, objects: Objects) -> Iterator[Finding]:
    """Yield the causes of a failed pod of a role; nothing for one that ended in order after SIGTERM.

    A driver saves (4), a worker hands its tasks over (143); a worker without a scheduler (5) is a finding of its Job.
    """
    where, status = f"{role} pod {name(pod)}", pod.get("status", {})
    if status.get("reason") == "Evicted":
        yield _evicted(role, where, str(status.get("message", "")))
        return
    killed = [one for one in containers(pod) if out_of_memory(one)]
    for one in killed:
        cause, remedy = oom(role, one["name"], objects, where)
        yield Finding("oom", where, cause, remedy)
    own = next((one for one in containers(pod) if one["name"] == role), {})
    end = own.get("state", {}).get("terminated")
    if end and own not in killed:
        yield from _by_code(role, where, int(end["exitCode"]), pod, objects.logs)
    elif not end and not killed:
        yield _lost(where, status)


def _by_code(role: str, where: str, code: int, pod: Object, logs: Mapping[tuple[str, str], str]) -> Iterator[Finding]:
    log = driver_log.read(logs.get((name(pod), role), "").splitlines())
    if (role, code) in (("driver", 4), ("worker", 143), ("worker", 5), ("driver", 0), ("worker", 0)):
        return
    disrupted = condition(pod, "DisruptionTarget")
    if disrupted is not None:
        yield Finding(
            "disrupted", where, f"its node took it away ({disrupted.get('reason')})", "nothing: it is replaced"
        )
    elif role == "driver" and code in DRIVER_CODES:
        text = log.error or "\n".join(log.text[-LAST_LINES:])
        yield Finding("driver", where, f"{DRIVER_CODES[code]} (exit code {code}): {text}", DRIVER_REMEDIES[code])
    elif code in (137, 143):
        sign = {137: "killed (SIGKILL)", 143: "stopped (SIGTERM)"}[code]
        remedy = "if neither a person nor a node did that, kubectl describe pod says more"
        yield Finding("killed", where, f"container {role} was {sign} from outside (exit code {code})", remedy)
    else:
        text = log.error or "\n".join(log.text[-LAST_LINES:])
        cause = f"container {role} failed with exit code {code}" + (f": {text}" if log.error else "")
        remedy = f"dask-jobs logs {_release(pod)} --role {role_values(role)} shows more"
        one = Finding("crash", where, cause, remedy)
        yield one if log.error else replace(one, log=text)


def _evicted(role: str, where: str, message: str) -> Finding:
    values = role_values(role)
    if "EmptyDir" in message or "ephemeral" in message:
        return Finding("evicted", where, f"evicted: {message}", f"raise {values}.scratch")
    return Finding("evicted", where, f"evicted: {message}", "nothing if the node recovers: it is replaced")


def _lost(where: str, status: Object) -> Finding:
    reason = status.get("message") or status.get("reason") or "its node did not say why"
    return Finding("lost", where, f"it ended before its containers could: {reason}", "nothing: it is replaced")


def _release(pod: Object) -> str:
    return label(pod, "app.kubernetes.io/instance")
