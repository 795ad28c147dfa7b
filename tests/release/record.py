"""Records the situations of tests/release/situations on a real cluster: `python tests/release/record.py [NAME ...]`.

Needs KUBECONFIG, and in RECORD_IMAGE an image with python3 that the nodes have. Each situation is a release of two
small Jobs, shaped as the charts' are, in a namespace of its own that enforces the restricted Pod Security profile.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kubernetes import client, config
from record_situations import SITUATIONS, Situation

from jobs.errors import JobError
from jobs.release.api.client import Cluster
from jobs.release.api.objects import Objects
from jobs.release.api.snapshot import read

FOLDER = Path(__file__).parent / "situations"
IMAGE = os.environ.get("RECORD_IMAGE", "")


def _container(name: str, program: str, **more: Any) -> dict[str, Any]:
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    resources = {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "48Mi"}}
    made = {"name": name, "image": IMAGE, "command": ["python3", "-c", program], "securityContext": secure}
    merged = {**made, "resources": resources, **more}
    merged["resources"] = {key: {**resources.get(key, {}), **value} for key, value in merged["resources"].items()}
    return merged


def _job(release: str, component: str, pod: dict[str, Any], spec: dict[str, Any], made: Situation) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/name": "minimize",
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/part-of": "dask-jobs",
        "app.kubernetes.io/component": component,
        "dask-jobs/run": "0123abcd",
    }
    security = {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 2,
        "securityContext": {} if made.insecure else security,
        **pod,
    }
    notes = {"dask-jobs/run-url": "/runs/fit-1", "dask-jobs/start-timeout": "600", "dask-jobs/workers": "2"}
    return {
        "metadata": {
            "name": f"{release}-{component.replace('worker', 'workers')}-0123abcd",
            "labels": labels | made.labels,
            "annotations": notes | made.annotations if component == "driver" else {},
        },
        "spec": {
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": labels}, "spec": pod},
            **spec,
        },
    }


def _policy(*rules: tuple[str, str, list[int]]) -> dict[str, Any]:
    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    codes = [
        {"action": action, "onExitCodes": {"containerName": name, "operator": "In", "values": values}}
        for action, name, values in rules
    ]
    return {"podFailurePolicy": {"rules": [disrupted, *codes]}}


def _jobs(release: str, made: Situation) -> list[dict[str, Any]]:
    mount = {}
    spec = dict(made.driver_spec)
    if "record/shared" in made.annotations:
        spec["volumes"] = [{"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}]
        mount = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    driver = {
        "initContainers": [{**_container("scheduler", made.scheduler), "restartPolicy": "Always"}],
        "containers": [_container("driver", made.driver, **mount, **made.driver_container)],
        **spec,
    }
    worker = {"containers": [_container("worker", made.worker, **made.worker_container)], **made.worker_spec}
    driver_spec = {
        "backoffLimit": 6,
        **_policy(("FailJob", "driver", [1, 2, 3]), ("Ignore", "driver", [4])),
        **made.driver_job,
    }
    worker_spec = {
        "completionMode": "Indexed",
        "completions": 2,
        "parallelism": 2,
        "backoffLimit": 1000,
        "successPolicy": {"rules": [{"succeededCount": 1}]},
        **_policy(("Ignore", "worker", [143]), ("FailJob", "worker", [5])),
        **made.worker_job,
    }
    return [_job(release, "driver", driver, driver_spec, made), _job(release, "worker", worker, worker_spec, made)]


def _trim(value: Any) -> Any:
    """Return an object without what no reader looks at."""
    dull = (
        "managedFields",
        "uid",
        "resourceVersion",
        "generateName",
        "selfLink",
        "containerID",
        "imageID",
        "tolerations",
    )
    if isinstance(value, dict):
        return {key: _trim(item) for key, item in value.items() if key not in dull}
    return [_trim(item) for item in value] if isinstance(value, list | tuple) else value


def _text(content: dict[str, Any]) -> str:
    """Return JSON with one API object a line."""
    parts = []
    for key, value in content.items():
        items = ",\n  ".join(json.dumps(item) for item in value) if isinstance(value, list) else ""
        parts.append(f' "{key}": ' + (f"[\n  {items}\n ]" if items else json.dumps(value)))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def record(name: str) -> str:
    """Make one situation, wait until it is there, write it down, and remove it."""
    config.load_kube_config()
    core, batch = client.CoreV1Api(), client.BatchV1Api()
    made, space = SITUATIONS[name], f"record-{name}-{os.getpid()}"
    core.create_namespace({"metadata": {"name": space, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    try:
        _prepare(core, space, made)
        for job in _jobs("fit", made):
            batch.create_namespaced_job(space, job)
        objects = _await(Cluster(namespace=space), made)
        if objects is None:
            return f"{name}: did not come about"
        logs = [{"pod": pod, "container": container, "text": text} for (pod, container), text in objects.logs.items()]
        content = {**_trim(asdict(objects) | {"logs": []}), "logs": logs}
        (FOLDER / f"{name}.json").write_text(_text(content).replace(IMAGE, "localhost/dask-jobs:1"), encoding="utf-8")
        return f"{name}: recorded"
    finally:
        _remove(core, batch, space)
        if "record/shared" in made.annotations:
            core.delete_persistent_volume(space)


def _remove(core: Any, batch: Any, space: str) -> None:
    """Delete the Jobs first: pods that a namespace's deletion takes before them can keep their finalizers for ever."""
    batch.delete_collection_namespaced_job(space, propagation_policy="Foreground", grace_period_seconds=0)
    for _ in range(60):
        if not core.list_namespaced_pod(space).items:
            break
        time.sleep(1)
    core.delete_namespace(space)


def _prepare(core: Any, space: str, made: Situation) -> None:
    if made.quota:
        core.create_namespaced_resource_quota(space, {"metadata": {"name": "team"}, "spec": {"hard": made.quota}})
    size = {"storage": "1Gi"}
    claim = made.annotations.get("record/claim", "")
    if "record/shared" in made.annotations:
        claim = "shared"
        volume = {
            "capacity": size,
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": f"/tmp/{space}", "type": "DirectoryOrCreate"},
            "claimRef": {"namespace": space, "name": "shared"},
        }
        Path(f"/tmp/{space}").mkdir(mode=0o777, exist_ok=True)
        Path(f"/tmp/{space}").chmod(0o777)
        core.create_persistent_volume({"metadata": {"name": space}, "spec": volume})
    if claim:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": size}, "storageClassName": ""}
        core.create_namespaced_persistent_volume_claim(space, {"metadata": {"name": claim}, "spec": spec})


def _await(cluster: Cluster, made: Situation) -> Objects | None:
    for _ in range(90):
        try:
            objects, run = read(cluster, "fit")
        except JobError:
            time.sleep(1)
            continue
        if made.when(objects, run):
            return read(cluster, "fit")[0]
        time.sleep(1)
    return None


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    with ThreadPoolExecutor(6) as pool:
        for answer in pool.map(record, sys.argv[1:] or SITUATIONS):
            print(answer)  # noqa: T201
