"""The objects of a release as JSON of the API, and those of its present run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

Object: TypeAlias = Mapping[str, Any]
"""One API object, as in `kubectl get -o json`."""

RUN_URL = "dask-jobs/run-url"
START_TIMEOUT = "dask-jobs/start-timeout"
WORKERS = "dask-jobs/workers"
STOPPED = "dask-jobs/stopped"
"""Annotation of a driver Job that `dask-jobs cancel` or `wait` has suspended: why, after "exit code N: " if it is
not 4. A queue and `suspend=true` suspend Jobs too."""
HELM = "meta.helm.sh/release-name"
"""Annotation of objects of `helm install`; `helm template` does not write it."""
MANAGED = "app.kubernetes.io/managed-by"
RUN = "dask-jobs/run"
COMPONENT = "app.kubernetes.io/component"
QUEUE = "kueue.x-k8s.io/queue-name"


@dataclass(frozen=True)
class Objects:
    """A snapshot of one release: its Jobs, pods and claims, warnings of its namespace, ends of logs."""

    release: str
    namespace: str
    jobs: tuple[Object, ...]
    now: float = 0.0
    """The cluster's time, seconds since 1970."""
    pods: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()
    claims: tuple[Object, ...] = ()
    creations: tuple[Object, ...] = ()
    """Events of the driver Job's pods that were made, where there is none now."""
    logs: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(pod, container) -> its last lines."""


@dataclass(frozen=True)
class Run:
    """The run of a release that counts: the newest driver Job, and the pods of its HASH, oldest first."""

    hash: str
    driver: Object
    workers: Object | None
    driver_pods: tuple[Object, ...]
    worker_pods: tuple[Object, ...]
    others: tuple[str, ...]
    """HASHes of the release's other runs: an upgrade is in progress."""


def present_run(objects: Objects) -> Run | None:
    """Return the release's present run; None if it has no driver Job."""
    drivers = sorted(_of(objects.jobs, "driver"), key=created)
    if not drivers:
        return None
    key = label(drivers[-1], RUN)
    same = [job for job in _of(objects.jobs, "worker") if label(job, RUN) == key]
    pods = sorted((pod for pod in objects.pods if label(pod, RUN) == key), key=created)
    return Run(
        hash=key,
        driver=drivers[-1],
        workers=same[-1] if same else None,
        driver_pods=tuple(_of(pods, "driver")),
        worker_pods=tuple(_of(pods, "worker")),
        others=tuple(sorted({label(job, RUN) for job in drivers} - {key})),
    )


def _of(objects: Iterable[Object], component: str) -> Iterator[Object]:
    return (item for item in objects if label(item, COMPONENT) == component)


def name(item: Object) -> str:
    """Return an object's name."""
    return str(item["metadata"]["name"])


def label(item: Object, key: str) -> str:
    """Return an object's label, or an empty text."""
    return str(item["metadata"].get("labels", {}).get(key, ""))


def annotation(item: Object, key: str) -> str:
    """Return an object's annotation, or an empty text."""
    return str(item["metadata"].get("annotations", {}).get(key, ""))


def created(item: Object) -> float:
    """Return when an object was created, seconds since 1970."""
    return seconds(item["metadata"]["creationTimestamp"])


def seconds(moment: str) -> float:
    """Return an API time such as 2026-11-20T14:05:29Z as seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()  # takes the Z since Python 3.11


def condition(item: Object, *kinds: str) -> Object | None:
    """Return the first condition of these kinds that is True."""
    for kind in kinds:
        for found in item.get("status", {}).get("conditions", ()):
            if found["type"] == kind and found["status"] == "True":
                return dict(found)
    return None


def ended(job: Object) -> bool:
    """Return whether a Job is complete or failed for good; its last pods may still be stopping."""
    # The last two come first: from 1.31 on Complete and Failed wait until all pods have terminated.
    return condition(job, "Complete", "Failed", "SuccessCriteriaMet", "FailureTarget") is not None


def suspended(job: Object) -> bool:
    """Return whether a Job is suspended: it has no pods, or is stopping them."""
    return bool(job["spec"].get("suspend", False))


def began(run: Run) -> float:
    """Return when a run's driver Job was started, or else created, seconds since 1970."""
    begin = run.driver.get("status", {}).get("startTime")
    return seconds(begin) if begin else created(run.driver)


def happened(event: Object) -> float:
    """Return when an event was last seen, seconds since 1970."""
    # Events of the newer API, as the scheduler's, have an eventTime instead.
    moment = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return seconds(moment) if moment else 0.0


def newest_event(events: Iterable[Object], item: Object, reason: str) -> Object | None:
    """Return an object's newest event with a reason; None if there is none."""
    about = (event for event in events if event["involvedObject"].get("name") == name(item))
    return max((event for event in about if event["reason"] == reason), key=happened, default=None)


def by_helm(item: Object) -> bool:
    """Return whether Helm has installed an object, so that `helm uninstall` removes it."""
    return label(item, MANAGED) == "Helm" and bool(annotation(item, HELM))


def phase(pod: Object) -> str:
    """Return a pod's phase: Pending, Running, Succeeded, Failed or Unknown."""
    return str(pod.get("status", {}).get("phase", "Unknown"))


def live(pod: Object) -> bool:
    """Return whether a pod holds or may still take a node's resources."""
    return phase(pod) not in ("Succeeded", "Failed")


def containers(pod: Object) -> Iterator[Object]:
    """Return the statuses of a pod's containers, native sidecars first."""
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses", ())
    yield from status.get("containerStatuses", ())


def container(pod: Object, called: str) -> Object:
    """Return the status of one container; an empty one before it has one."""
    return next((status for status in containers(pod) if status["name"] == called), {})


def terminated(pod: Object, called: str) -> Object | None:
    """Return how a container ended; None if it has not."""
    return container(pod, called).get("state", {}).get("terminated")  # type: ignore[no-any-return]


def started(pod: Object, called: str) -> bool:
    """Return whether a container has run at all."""
    state = container(pod, called).get("state", {})
    return "running" in state or "terminated" in state


def ready(pod: Object) -> bool:
    """Return whether a pod is ready and not being deleted."""
    return condition(pod, "Ready") is not None and "deletionTimestamp" not in pod["metadata"]
