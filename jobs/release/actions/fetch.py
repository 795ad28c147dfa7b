"""`dask-jobs fetch`: copies a release's run folder to this machine, through a pod that can read it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jobs.errors import ClusterError, InputError, print_note
from jobs.release.actions.destination import beside, check, check_run, default_name, put, target_of
from jobs.release.actions.unpack import unpack
from jobs.release.api.client import Cluster
from jobs.release.api.exec import Output
from jobs.release.api.objects import (
    COMPONENT,
    RUN_URL,
    Object,
    Objects,
    Run,
    annotation,
    containers,
    live,
    name,
    phase,
    started,
    terminated,
)
from jobs.release.api.snapshot import read
from jobs.release.diagnosis.pending_pod import pending_pod
from jobs.release.status.state import is_scratch

START_SECONDS = 300.0
POLL_SECONDS = 0.5
LIFE_SECONDS = 3600
CONTAINER = "fetch"
# By its selector the Job's controller would take a pod with these labels for its own.
OWN_LABELS = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")
SLEEP = ["python", "-c", f"import time; time.sleep({LIFE_SECONDS})"]
COPIED_FIELDS = (
    "image",
    "imagePullPolicy",
    "env",
    "envFrom",
    "volumeMounts",
    "resources",
    "securityContext",
    "workingDir",
)
DROPPED = ("initContainers", "containers", "restartPolicy", "priorityClassName", "topologySpreadConstraints")


def fetch(cluster: Cluster, release: str, folder: str | None, *, journal: bool, force: bool) -> Path:
    """Copy the run folder of a release to a local folder, completely or not at all; return the folder.

    Args:
        cluster: the release's.
        release: its name.
        folder: the local folder (None: the run folder's own name, in the current folder).
        journal: the journal too, with which the run can be resumed here.
        force: replace an existing run folder.

    Raises:
        InputError: no such release; its run folder is gone or empty; the local folder may not be replaced.
        ClusterError: no pod could be started that reads it, or the connection was lost.
    """
    objects, run = read(cluster, release, follows=True)
    name = folder if folder is not None else default_name(annotation(run.driver, RUN_URL))
    target = target_of(name, force=force)
    with received(cluster, objects, run, target, journal=journal) as part:
        put(part, target, partial(check, target=target, new=part, force=force))
    return target


@contextlib.contextmanager
def received(cluster: Cluster, objects: Objects, run: Run, target: Path, *, journal: bool) -> Iterator[Path]:
    """Yield a folder beside `target` with all of a run's folder; it is removed at the end unless it was moved.

    Raises:
        InputError: the run folder is gone or empty, the pod sent none, or this machine cannot write there.
        ClusterError: no pod could be started that reads it, or the connection was lost.
    """
    url = annotation(run.driver, RUN_URL)
    with beside(target) as part:
        with _reader(cluster, objects, run, url) as (pod, container):
            command = ["python", "-m", "jobs.release.actions.archive", url, *(["--journal"] if journal else [])]
            unpack(Output(cluster.execute(pod, container, command)), part)
        check_run(part)
        yield part


@contextlib.contextmanager
def _reader(cluster: Cluster, objects: Objects, run: Run, url: str) -> Iterator[tuple[str, str]]:
    """Yield (pod, container) that can read the run folder: the driver if it runs, else a helper that is then removed.

    Raises:
        InputError: the run folder went with the driver's pod.
    """
    # A running driver before a helper: a claim with ReadWriteOnce is mounted on one node only, where a second pod may
    # not fit, and scratch space can be read from within the pod alone.
    for pod in reversed(run.driver_pods):
        if live(pod) and started(pod, "driver") and terminated(pod, "driver") is None:
            yield name(pod), "driver"
            return
    if is_scratch(run.driver):
        raise InputError(
            f"nothing is left of run folder {url}: it was scratch space of the driver's pod, which has ended; "
            "dask-jobs wait has the result of one that ended well; to keep run folders, set run.s3 or run.claim"
        )
    print_note("the driver does not run: a helper pod reads its run folder")
    helper = cluster.create_pod(helper_pod(run.driver))
    try:
        _await(cluster, objects, helper)
        yield helper, CONTAINER
    finally:
        cluster.delete_pod(helper)


def _await(cluster: Cluster, objects: Objects, helper: str) -> None:
    end = time.monotonic() + START_SECONDS
    shown: set[str] = set()
    while True:
        pod = cluster.pod(helper)
        if pod is None or phase(pod) in ("Failed", "Succeeded"):
            raise ClusterError(f"the helper pod {helper} was ended from outside; the same command tries again")
        if any("running" in status.get("state", {}) for status in containers(pod)):
            return
        seen = replace(objects, pods=(pod,), events=cluster.warnings())
        causes = [finding.cause for finding in pending_pod("driver", pod, seen)]
        for cause in causes:
            if cause not in shown:
                print_note(f"the helper pod waits: {cause}")
                shown.add(cause)
        if time.monotonic() > end:
            why = "; ".join(causes) or "the cluster does not say why"
            raise ClusterError(f"the helper pod {helper} did not start within {START_SECONDS:g} s: {why}")
        time.sleep(POLL_SECONDS)


def helper_pod(driver: Object) -> dict[str, Any]:
    """Return the manifest of a pod with the driver's image, environment, volumes and security, that only sleeps.

    It ends by itself after an hour, and is removed with the driver's Job; no Job, Service or disruption budget of the
    release counts it, and the release's NetworkPolicy allows its traffic as that of any of the release's pods.
    """
    template = driver["spec"]["template"]
    labels = {key: text for key, text in template["metadata"].get("labels", {}).items() if key not in OWN_LABELS}
    container = next(one for one in template["spec"]["containers"] if one["name"] == "driver")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            # Kubernetes cuts the prefix after 58 characters, and adds 5 of its own.
            "generateName": f"{name(driver)[:50]}-fetch-",
            "labels": labels | {COMPONENT: "fetch"},
            # Garbage collection removes the pod with the Job where this process could not, as after kill -9.
            "ownerReferences": [_owner(driver)],
        },
        "spec": {
            **{key: value for key, value in template["spec"].items() if key not in DROPPED},
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFE_SECONDS,
            "terminationGracePeriodSeconds": 1,  # it has nothing to save
            "containers": [
                {"name": CONTAINER, "args": SLEEP, **{key: container[key] for key in COPIED_FIELDS if key in container}}
            ],
        },
    }


def _owner(driver: Object) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name(driver),
        "uid": driver["metadata"].get("uid", ""),
        "controller": False,  # True would make the Job's controller count the pod as one of its own
        "blockOwnerDeletion": False,
    }
