"""The pod that reads a run folder when no driver runs: made from the driver's template, so that it sees the same."""

from __future__ import annotations

from typing import Any

from jobs.release.api.objects import COMPONENT, Object, name

LIFE_SECONDS = 3600
CONTAINER = "fetch"
OWN_LABELS = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")
SLEEP = ["python", "-c", f"import time; time.sleep({LIFE_SECONDS})"]
KEPT = ("image", "imagePullPolicy", "env", "envFrom", "volumeMounts", "resources", "securityContext", "workingDir")
DROPPED = ("initContainers", "containers", "restartPolicy", "priorityClassName", "topologySpreadConstraints")


def helper_pod(driver: Object) -> dict[str, Any]:
    """Return the manifest of a pod with the driver's image, environment, volumes and security, that only waits.

    It ends by itself after an hour, and goes when the driver's Job goes; no Job, Service or disruption budget of the
    release counts it, and the release's NetworkPolicy lets it out as any of the release's pods.
    """
    template = driver["spec"]["template"]
    labels = {key: text for key, text in template["metadata"].get("labels", {}).items() if key not in OWN_LABELS}
    container = next(one for one in template["spec"]["containers"] if one["name"] == "driver")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{name(driver)[:50]}-fetch-",
            "labels": labels | {COMPONENT: "fetch"},
            "ownerReferences": [_owner(driver)],
        },
        "spec": {
            **{key: value for key, value in template["spec"].items() if key not in DROPPED},
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFE_SECONDS,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {"name": CONTAINER, "args": SLEEP, **{key: container[key] for key in KEPT if key in container}}
            ],
        },
    }


def _owner(driver: Object) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name(driver),
        "uid": driver["metadata"].get("uid", ""),
        "controller": False,
        "blockOwnerDeletion": False,
    }
