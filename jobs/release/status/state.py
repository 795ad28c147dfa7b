"""The state of a release: one frozen `Release`, derived from its objects. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jobs.errors import ClusterError, Stopped
from jobs.release.api import driver_log
from jobs.release.api.driver_log import Progress
from jobs.release.api.objects import (
    QUEUE,
    RUN_URL,
    STOPPED,
    WORKERS,
    Object,
    Objects,
    Run,
    annotation,
    began,
    by_helm,
    condition,
    ended,
    label,
    live,
    name,
    phase,
    ready,
    seconds,
    started,
    suspended,
    terminated,
)
from jobs.release.diagnosis.diagnose import diagnose
from jobs.release.diagnosis.finding import Finding
from jobs.release.status.backoff import driver_backoff

Phase = Literal["pending", "starting", "running", "stopping", "suspended", "stopped", "done", "failed"]
NOTE = re.compile(r"(?:exit code (\d): )?(.*)", re.DOTALL)
"""The annotation STOPPED: an exit code other than 4, and why."""

FINAL = (0, 1, 2, 3)
"""Exit codes of a driver after which the Job's policy makes no other pod."""


@dataclass(frozen=True)
class Workers:
    """Worker pods: ready now, requested by the Job, and the minimum with which the job starts."""

    ready: int
    wanted: int
    least: int
    failed: int
    """Number of pods that have failed since the start; they were replaced."""
    live: int
    """Number of pods that run or are Pending, and so hold or may still take resources."""
    pending: tuple[str, ...]
    """Names of the Pending ones."""


@dataclass(frozen=True)
class Release:
    """The state of a release at one moment; times are seconds since 1970."""

    name: str
    namespace: str
    run: str
    jobs: tuple[str, ...]
    """Names of the run's Jobs, the driver's first."""
    queue: str
    """Kueue's LocalQueue that starts them, if any."""
    phase: Phase
    exit_code: int | None
    """The job's, once it has ended."""
    attempt: int
    doing: str
    error: str
    retry: str
    """The driver's message on its retry, while it waits for that."""
    next_driver: str
    """When the next driver pod is made, while there is none."""
    reason: str
    """Why it was stopped, if it was."""
    progress: Progress | None
    workers: Workers
    drivers_failed: int
    run_url: str
    helm: bool
    """Whether Helm has installed it."""
    scratch: bool
    """Whether the run folder is lost with the driver's pod."""
    has_log: bool
    """Whether there is a driver's pod that has ended well or has not ended: its log has the result, or will have."""
    began: float
    finished: float | None
    others: tuple[str, ...]
    findings: tuple[Finding, ...]


def release_state(objects: Objects, run: Run) -> Release:
    """Return the state of a release's present run."""
    pod = run.driver_pods[-1] if run.driver_pods else None
    log = driver_log.read(objects.logs.get((name(pod), "driver"), "").splitlines() if pod else ())
    failed = int(run.driver.get("status", {}).get("failed", 0))
    return Release(
        name=objects.release,
        namespace=objects.namespace,
        run=run.hash,
        jobs=tuple(name(job) for job in (run.driver, run.workers) if job is not None),
        queue=label(run.driver, QUEUE),
        phase=_phase(run, log),
        exit_code=_final(run) if exit_code(run) is None else exit_code(run),
        attempt=log.attempt or max(1, failed + (not ended(run.driver))),
        doing=log.doing,
        error=log.error,
        retry=log.retry,
        next_driver=backoff.text if (backoff := driver_backoff(objects, run)) else "",
        reason=_stop(run)[1],
        progress=log.progress,
        workers=_workers(run),
        drivers_failed=failed,
        run_url=annotation(run.driver, RUN_URL),
        helm=by_helm(run.driver),
        scratch=is_scratch(run.driver),
        has_log=any(_has_result(pod) for pod in run.driver_pods),
        began=began(run),
        finished=_finished(run),
        others=run.others,
        findings=diagnose(objects, run),
    )


def _phase(run: Run, log: driver_log.Log) -> Phase:
    pods = [pod for pod in run.driver_pods if live(pod)]
    code = exit_code(run) if ended(run.driver) else _final(run)
    if code is not None:
        return "failed" if code else "done"
    if suspended(run.driver):
        left = any(live(pod) for pod in (*pods, *run.worker_pods))
        if left or _stop(run)[0] is not None:
            return "stopping" if left else "stopped"
        return "pending" if label(run.driver, QUEUE) else "suspended"
    if not pods or not started(pods[-1], "driver"):
        return "pending"
    if "deletionTimestamp" in pods[-1]["metadata"]:
        return "stopping"
    return "running" if log.progress or log.done else "starting"


def _stop(run: Run) -> tuple[int | None, str]:
    """Return the exit code and the reason if this program has stopped the run; one that others suspended waits."""
    note = annotation(run.driver, STOPPED)
    if ended(run.driver) or not suspended(run.driver) or not (found := NOTE.match(note)) or not note:
        return None, ""
    return int(found[1] or Stopped.exit_code), found[2]


def exit_code(run: Run) -> int | None:
    """Return the job's exit code once it has ended: 0 to 4, as the driver's are; None before.

    The Job's verdict comes first, since a container's code may be of an attempt that the Job ignores.
    """
    if suspended(run.driver) and not ended(run.driver):
        return _stop(run)[0]
    if condition(run.driver, "Complete", "SuccessCriteriaMet"):
        return 0
    failure = condition(run.driver, "Failed", "FailureTarget")
    if failure is None:
        return None
    if failure.get("reason") == "DeadlineExceeded":
        return Stopped.exit_code
    if failure.get("reason") == "PodFailurePolicy":
        ends = [terminated(pod, "driver") for pod in run.driver_pods]
        codes = [int(end["exitCode"]) for end in ends if end]
        found = re.search(r"exit code (\d+)", str(failure.get("message", "")))
        code = int(found[1]) if found else (codes or [ClusterError.exit_code])[-1]
        return code if code in (1, 2, 3) else ClusterError.exit_code
    return ClusterError.exit_code


def _final(run: Run) -> int | None:
    """Return the exit code of the last driver's container if no other driver follows; None if that is not known.

    The Job has its verdict a moment later: until then its pod has ended, and nothing is pending.
    """
    if suspended(run.driver) or not run.driver_pods:
        return None
    end = terminated(run.driver_pods[-1], "driver")
    return int(end["exitCode"]) if end and end["exitCode"] in FINAL else None


def _workers(run: Run) -> Workers:
    pods = [pod for pod in run.worker_pods if live(pod)]
    job = run.workers or {"spec": {"parallelism": 0}}
    wanted = int(job["spec"].get("parallelism", 1))
    least = annotation(run.driver, WORKERS)
    return Workers(
        ready=sum(ready(pod) for pod in run.worker_pods),
        wanted=wanted,
        least=int(least) if least.isdecimal() else wanted,
        failed=int(job.get("status", {}).get("failed", 0)),
        live=len(pods),
        pending=tuple(name(pod) for pod in pods if phase(pod) == "Pending"),
    )


def _has_result(pod: Object) -> bool:
    end = terminated(pod, "driver")
    return started(pod, "driver") and (end is None or end["exitCode"] == 0)


def _finished(run: Run) -> float | None:
    if end := condition(run.driver, "Complete", "Failed", "SuccessCriteriaMet", "FailureTarget", "Suspended"):
        return seconds(end["lastTransitionTime"])
    last = terminated(run.driver_pods[-1], "driver") if _final(run) is not None else None
    return seconds(last["finishedAt"]) if last else None


def is_scratch(driver: Object) -> bool:
    """Return whether the run folder lies on an emptyDir of the driver's pod."""
    url = annotation(driver, RUN_URL)
    if url.startswith("s3://"):
        return False
    spec = driver["spec"]["template"]["spec"]
    mounts = [mount for container in spec["containers"] for mount in container.get("volumeMounts", ())]
    over = [mount for mount in mounts if f"{url}/".startswith(mount["mountPath"].rstrip("/") + "/")]
    if not over:
        return True
    nearest = max(over, key=lambda mount: len(mount["mountPath"]))
    volumes: Mapping[str, Object] = {volume["name"]: volume for volume in spec.get("volumes", ())}
    return "emptyDir" in volumes.get(nearest["name"], {"emptyDir": {}})


def over(run: Run) -> bool:
    """Return whether no pod of the run holds resources, and none will be created."""
    jobs = [job for job in (run.driver, run.workers) if job is not None]
    return all(ended(job) or suspended(job) for job in jobs) and not any(
        live(pod) for pod in (*run.driver_pods, *run.worker_pods)
    )
