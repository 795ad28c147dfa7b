"""The situations that record.py makes: what the containers of a release do, and when it is to be recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jobs.release.api.objects import Objects, Run, containers, ended, live, phase, suspended

PROGRESS = """
import json, sys, time
def log(event, **fields):
    print(json.dumps({"time": time.time(), "job": "minimize", "event": event, **fields}), file=sys.stderr, flush=True)
log("run", message="run folder /runs/fit-1")
log("doing", message="connecting to the workers")
log("attempt", attempt=1, run="/runs/fit-1", workers=2)
for done in (10, 20):
    time.sleep(0.5)
    log("progress", done=done, total=1000, loss=0.5, gradient_norm=0.01)
"""
FOREVER = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit({code})); time.sleep(600)"
EAT = "import time; x = [bytes(1 << 20) + b'1' * (1 << 20) for _ in range(400)]; time.sleep(60)"
ERROR = "import sys; print('dask-jobs: error: {text}', file=sys.stderr); sys.exit({code})"
GONE = {"emptyDir": {"sizeLimit": "16Mi"}}


@dataclass(frozen=True)
class Situation:
    """What the containers of a release do, and when it is to be recorded."""

    when: Callable[[Objects, Run], bool]
    driver: str = PROGRESS + FOREVER.format(code=4)
    worker: str = FOREVER.format(code=143)
    scheduler: str = FOREVER.format(code=0)
    driver_spec: dict[str, Any] = field(default_factory=dict)
    worker_spec: dict[str, Any] = field(default_factory=dict)
    driver_container: dict[str, Any] = field(default_factory=dict)
    worker_container: dict[str, Any] = field(default_factory=dict)
    driver_job: dict[str, Any] = field(default_factory=dict)
    worker_job: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    quota: dict[str, str] | None = None
    insecure: bool = False


def _waits(*reasons: str) -> Callable[[Objects, Run], bool]:
    def holds(objects: Objects, run: Run) -> bool:
        states = [status["state"] for pod in objects.pods for status in containers(pod)]
        return any(state.get("waiting", {}).get("reason") in reasons for state in states)

    return holds


def _unscheduled(objects: Objects, run: Run) -> bool:
    conditions = [item for pod in objects.pods for item in pod["status"].get("conditions", ())]
    return any(item.get("reason") == "Unschedulable" for item in conditions)


def _event(reason: str) -> Callable[[Objects, Run], bool]:
    return lambda objects, run: any(event["reason"] == reason for event in objects.events)


def _over(objects: Objects, run: Run) -> bool:
    return any(item["type"] in ("Complete", "Failed") for item in run.driver["status"].get("conditions", ()))


def _runs(objects: Objects, run: Run) -> bool:
    progress = any('"done": 20' in text for text in objects.logs.values())
    return progress and len([pod for pod in run.worker_pods if phase(pod) == "Running"]) == 2


def _failed(role: str) -> Callable[[Objects, Run], bool]:
    def holds(objects: Objects, run: Run) -> bool:
        pods = run.driver_pods if role == "driver" else run.worker_pods
        return any(phase(pod) == "Failed" for pod in pods) and any(live(pod) for pod in pods)

    return holds


def _gave_up(objects: Objects, run: Run) -> bool:
    return run.workers is not None and ended(run.workers)


def _quiet(objects: Objects, run: Run) -> bool:
    return suspended(run.driver) and not objects.pods


SECRET = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s3-login", "key": "AWS_ACCESS_KEY_ID"}}}]
CLAIM = {"volumes": [{"name": "run", "persistentVolumeClaim": {"claimName": "runs"}}]}
MAP = {"volumes": [{"name": "run", "configMap": {"name": "my-code"}}]}
MOUNT = {"volumeMounts": [{"name": "run", "mountPath": "/code"}]}
STOPPED = {"suspend": True}
SITUATIONS: dict[str, Situation] = {
    "running": Situation(_runs),
    "done": Situation(_over, driver=PROGRESS, worker="import time; time.sleep(2)"),
    "user-code-failed": Situation(_over, driver=PROGRESS + ERROR.format(text="my_model raised ValueError", code=1)),
    "bad-options": Situation(_over, driver=ERROR.format(text="--method is X", code=2)),
    "image-missing": Situation(_waits("ImagePullBackOff"), worker_container={"image": "localhost:1/nothing:1"}),
    "image-never": Situation(
        _waits("ErrImageNeverPull"), driver_container={"image": "localhost/nothing:1", "imagePullPolicy": "Never"}
    ),
    "image-invalid": Situation(_waits("InvalidImageName"), worker_container={"image": "BAD:name:1"}),
    "no-gpu": Situation(_unscheduled, worker_container={"resources": {"limits": {"nvidia.com/gpu": "1"}}}),
    "no-cpu": Situation(_unscheduled, worker_container={"resources": {"requests": {"cpu": "900"}}}),
    "no-memory": Situation(_unscheduled, driver_container={"resources": {"requests": {"memory": "9Ti"}}}),
    "no-node": Situation(_unscheduled, worker_spec={"nodeSelector": {"pool": "none"}}),
    "claim-missing": Situation(_unscheduled, driver_spec=CLAIM),
    "claim-unbound": Situation(_unscheduled, driver_spec=CLAIM, annotations={"record/claim": "runs"}),
    "worker-oom": Situation(_failed("worker"), worker=EAT),
    "driver-oom": Situation(_over, driver=EAT, driver_job={"backoffLimit": 0}),
    "driver-replaced": Situation(
        lambda objects, run: _failed("driver")(objects, run) and _runs(objects, run),
        driver="import os\nif not os.path.exists('/shared/x'): open('/shared/x', 'w').close(); os._exit(139)\n"
        + PROGRESS + FOREVER.format(code=4),
        annotations={"record/shared": "yes"},
    ),
    "worker-crashes": Situation(_failed("worker"), worker=ERROR.format(text="--threads is 0", code=2)),
    "scheduler-crashes": Situation(_waits("CrashLoopBackOff"), scheduler="print('no port'); exit(2)"),
    "secret-missing": Situation(_waits("CreateContainerConfigError"), driver_container={"env": SECRET}),
    "map-missing": Situation(_event("FailedMount"), worker_spec=MAP, worker_container=MOUNT),
    "quota": Situation(_event("FailedCreate"), quota={"pods": "1"}),
    "insecure": Situation(_event("FailedCreate"), insecure=True),
    "gave-up": Situation(_gave_up, worker="exit(5)"),
    "deadline": Situation(_over, driver_job={"activeDeadlineSeconds": 4}),
    "backoff": Situation(_over, driver="import os; os._exit(137)", driver_job={"backoffLimit": 0}),
    "stopped": Situation(
        _quiet, driver_job=STOPPED, worker_job=STOPPED, annotations={"dask-jobs/stopped": "by dask-jobs cancel"}
    ),
    "suspended": Situation(_quiet, driver_job=STOPPED, worker_job=STOPPED),
    "queued": Situation(
        _quiet, driver_job=STOPPED, worker_job=STOPPED, labels={"kueue.x-k8s.io/queue-name": "team-a"}
    ),
}  # fmt: skip
