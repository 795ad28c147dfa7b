"""Findings of a release: what holds it up, or what failed in it, in plain words, with remedies. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from jobs.release.api.objects import (
    QUEUE,
    STOPPED,
    Object,
    Objects,
    Run,
    annotation,
    condition,
    created,
    ended,
    label,
    live,
    name,
    newest_event,
    phase,
    suspended,
)
from jobs.release.diagnosis.failed_pod import failed_pod
from jobs.release.diagnosis.finding import Finding
from jobs.release.diagnosis.pending_pod import pending_pod
from jobs.release.diagnosis.restarted_container import restarts


@dataclass(frozen=True)
class _Job:
    """One Job of the run with its pods."""

    role: str
    job: Object
    pods: tuple[Object, ...]

    @property
    def wanted(self) -> int:
        return 0 if suspended(self.job) or ended(self.job) else int(self.job["spec"].get("parallelism", 1))

    @property
    def short(self) -> bool:
        """Whether pods are missing."""
        return sum(live(pod) for pod in self.pods) < self.wanted


def diagnose(objects: Objects, run: Run) -> tuple[Finding, ...]:
    """Return the findings of a run: what holds it up (`active`), then earlier ones; each once, with a count of pods."""
    found: list[Finding] = []
    jobs = [_Job("driver", run.driver, run.driver_pods)]
    if run.workers is not None:
        jobs.append(_Job("worker", run.workers, run.worker_pods))
    for job in jobs:
        found += _of_job(job, objects)
        for pod in job.pods:
            found += _of_pod(job, pod, objects)
    grouped = _grouped(found)
    return (*(one for one in grouped if one.active), *(one for one in grouped if not one.active))


def _of_job(job: _Job, objects: Objects) -> Iterator[Finding]:
    where = f"{job.role} Job {name(job.job)}"
    if suspended(job.job):
        if job.role == "driver" and label(job.job, QUEUE) and not annotation(job.job, STOPPED):
            yield _queued(where, job.job)
        return
    if job.short and (event := newest_event(objects.events, job.job, "FailedCreate")):
        yield _not_created(where, str(event["message"]))
    if (failure := condition(job.job, "Failed", "FailureTarget")) is not None:
        yield from _job_failure(job.role, where, failure, int(job.job["spec"].get("backoffLimit", 6)))


def _queued(where: str, job: Object) -> Finding:
    remedy = (
        f"it starts when the queue has room: kubectl get workloads -n {job['metadata']['namespace']} says for what it "
        "waits; a LocalQueue of that name must exist"
    )
    return Finding("queue", where, f"queue {label(job, QUEUE)!r} has not admitted it yet", remedy)


def _not_created(where: str, message: str) -> Finding:
    text = message.removeprefix("Error creating: ")
    if "exceeded quota" in text:
        remedy = "lower the resources in the values, or ask for more quota (kubectl describe resourcequota)"
        return Finding("quota", where, f"its pod is not allowed: {text.partition('is forbidden: ')[2] or text}", remedy)
    if "violates PodSecurity" in text:
        remedy = (
            "the namespace wants a stricter profile than these pods have: drop what the message names from the values"
        )
        return Finding("security", where, f"its pod is not allowed: {text.partition('is forbidden: ')[2]}", remedy)
    return Finding("create", where, f"its pod cannot be made: {text}", "change what the message names in the values")


def _job_failure(role: str, where: str, failure: Object, limit: int) -> Iterator[Finding]:
    reason, message = str(failure.get("reason", "")), str(failure.get("message", ""))
    if reason == "DeadlineExceeded":
        remedy = "raise deadlines.job; helm upgrade goes on in the same run folder if it is a claim or in S3"
        yield Finding("deadline", where, "the job ran for longer than deadlines.job and was stopped", remedy)
    elif reason == "BackoffLimitExceeded" and role == "driver":
        remedy = "see the causes below; driver.backoffLimit allows more"
        yield Finding("backoff", where, f"its pod failed more often than driver.backoffLimit = {limit} allows", remedy)
    elif reason == "PodFailurePolicy" and role == "worker" and "exit code 5" in message:
        cause = "no scheduler for deadlines.schedulerLost seconds (exit code 5): no worker will come any more"
        remedy = "see why the driver did not run; helm upgrade with a higher deadlines.schedulerLost goes on"
        yield Finding("gave up", where, cause, remedy)
    elif reason != "PodFailurePolicy":
        yield Finding("failed", where, f"it failed: {message or reason}", "the pods' own errors say why")


def _of_pod(job: _Job, pod: Object, objects: Objects) -> Iterator[Finding]:
    if live(pod):
        yield from pending_pod(job.role, pod, objects)
        yield from restarts(job.role, pod, objects)
        return
    if phase(pod) == "Succeeded":
        yield from (replace(one, active=False) for one in restarts(job.role, pod, objects))
    if phase(pod) != "Failed" or pod["metadata"].get("deletionTimestamp"):
        return
    newest = not any(created(other) > created(pod) for other in job.pods)
    bad_end = condition(job.job, "Failed", "FailureTarget") is not None
    present = newest and (bad_end or job.short)
    found = (*failed_pod(job.role, pod, objects), *restarts(job.role, pod, objects))
    yield from (replace(one, active=present) for one in dict.fromkeys(replace(one, active=True) for one in found))


def _grouped(found: Iterable[Finding]) -> list[Finding]:
    """Merge findings that differ in their pods only."""
    groups: dict[tuple[str, str, str, bool], Finding] = {}
    for one in found:
        key = (one.kind, one.role, one.cause, one.active)
        groups[key] = replace(groups[key], count=groups[key].count + 1) if key in groups else one
    return list(groups.values())
