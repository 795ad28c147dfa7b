"""Why a release is stuck, told from objects that were recorded on a real cluster: the cause, and what to do."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from situation import FOLDER, NAMES, objects, of, run, state

from jobs.release.api.objects import present_run
from jobs.release.diagnosis.diagnose import diagnose

CAUSES = {
    "image-missing": ("image", "image localhost:1/nothing:1 cannot be pulled (failed to resolve", "image.pullSecrets"),
    "image-never": ("image", "localhost/nothing:1 is not on the node, and image.pullPolicy is Never", "load the image"),
    "image-invalid": ("image", "'BAD:name:1' is no image name", "image.repository"),
    "no-gpu": ("unschedulable", "1 Insufficient nvidia.com/gpu", "lower workers.gpu"),
    "no-cpu": ("unschedulable", "1 Insufficient cpu", "lower workers.cpu"),
    "no-memory": ("unschedulable", "1 Insufficient memory", "lower driver.memory"),
    "no-node": ("unschedulable", "didn't match Pod's node affinity/selector", "workers.nodeSelector"),
    "claim-missing": ("unschedulable", 'persistentvolumeclaim "runs" not found', "run.claim.create=true"),
    "claim-unbound": ("unschedulable", "claim runs is Pending with storage class ''", "run.claim.storageClass"),
    "worker-oom": ("oom", "container worker used more memory than its limit of 48Mi", "raise workers.memory"),
    "driver-oom": ("backoff", "more often than driver.backoffLimit = 0 allows", "driver.backoffLimit"),
    "worker-crashes": ("crash", "container worker failed with exit code 2: --threads is 0", "--role workers"),
    "scheduler-crashes": ("crash", "container scheduler ends again and again (exit code 2", "last lines"),
    "secret-missing": ("config", 'secret "s3-login" not found', "make what is missing"),
    "map-missing": ("mount", 'configmap "my-code" not found', "ConfigMap"),
    "quota": ("quota", "exceeded quota: team", "more quota"),
    "insecure": ("security", 'violates PodSecurity "restricted:latest"', "stricter profile"),
    "gave-up": ("gave up", "no worker will come any more", "deadlines.schedulerLost"),
    "deadline": ("deadline", "longer than deadlines.job", "raise deadlines.job"),
    "backoff": ("backoff", "more often than driver.backoffLimit = 0 allows", "driver.backoffLimit"),
    "user-code-failed": ("driver", "(exit code 1): my_model raised ValueError", "correct the code"),
    "bad-options": ("driver", "bad options or data (exit code 2): --method is X", "correct what the error names"),
    "queued": ("queue", "queue 'team-a' has not admitted it yet", "kubectl get workloads"),
}


@pytest.mark.parametrize(("recorded", "cause"), CAUSES.items())
def test_cause(recorded: str, cause: tuple[str, str, str]) -> None:
    """The first finding of each situation names its cause and what to do, and holds the release up now."""
    kind, what, todo = cause
    first = state(recorded).findings[0]
    assert (first.kind, first.active) == (kind, True)
    assert what in first.cause
    assert todo in first.remedy


@pytest.mark.parametrize("recorded", sorted(set(NAMES) - set(CAUSES)))
def test_no_false_alarm(recorded: str) -> None:
    """Situations in which nothing is wrong have nothing that holds them up."""
    assert not [finding for finding in state(recorded).findings if finding.active]


def test_two_pods_with_one_cause_are_told_once() -> None:
    """The same cause of several pods is one finding with their number."""
    (finding,) = state("no-gpu").findings
    assert finding.count == 2


def test_too_little_disk_names_what_is_asked_for() -> None:
    """The request of disk is 1 GiB whatever scratch is, so less scratch alone would not help."""
    content = (FOLDER / "no-memory.json").read_text(encoding="utf-8")
    found = of(json.loads(content.replace("Insufficient memory", "Insufficient ephemeral-storage")))
    present = present_run(found)
    assert present is not None
    (finding,) = (one for one in diagnose(found, present) if "ephemeral-storage" in one.cause)
    assert finding.remedy == "lower driver.scratchRequest, or add nodes with larger disks"


def _unscheduled(message: str) -> tuple[str, str]:
    """Return cause and remedy of a driver's pod for which Kubernetes' scheduler has this message."""
    content = json.loads((FOLDER / "no-memory.json").read_text(encoding="utf-8"))
    for pod in content["pods"]:
        for item in pod["status"].get("conditions", ()):
            if item.get("reason") == "Unschedulable":
                item["message"] = message
    present = present_run(found := of(content))
    assert present is not None
    (finding,) = (one for one in diagnose(found, present) if one.kind == "unschedulable")
    return finding.cause, finding.remedy


def test_a_node_that_is_drained_is_said_in_words() -> None:
    """A cordoned node takes no new pods: that ends with its uncordoning, and no value of the chart is to be changed."""
    cause, remedy = _unscheduled(
        "0/2 nodes are available: 2 node(s) were unschedulable. no new claims to deallocate, preemption: 0/2 nodes are "
        "available: 2 Preemption is not helpful for scheduling."
    )
    assert cause == "no node for it: 0/2 nodes are available: 2 node(s) were unschedulable"
    assert remedy == (
        "a node that is cordoned, as while it is drained, takes no new pods: kubectl uncordon NODE, or wait until it "
        "is back; the run then goes on"
    )


def test_a_node_that_is_drained_beside_one_that_is_full() -> None:
    """Where another node lacks room, more of that helps too."""
    message = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. preemption: none"
    assert _unscheduled(message)[1] == "lower driver.cpu, or add nodes"


def test_the_cause_of_a_driver_that_failed_too_often_follows() -> None:
    """Behind the Job's own verdict stands what made its pod fail."""
    assert [finding.kind for finding in state("driver-oom").findings] == ["backoff", "oom"]
    assert [finding.kind for finding in state("backoff").findings] == ["backoff", "killed"]


def test_a_crash_shows_the_last_lines() -> None:
    """A sidecar that ends again and again is told with its log's end."""
    assert state("scheduler-crashes").findings[0].log == "no port"


def test_a_failed_worker_that_was_replaced_holds_nothing_up() -> None:
    """Once a new pod lives in its place, a failed one is told as past."""
    found, other = run("worker-oom"), run("running")
    failed = [pod for pod in found.worker_pods if pod["status"]["phase"] == "Failed"]
    told = diagnose(objects("worker-oom"), replace(other, worker_pods=(*failed, *other.worker_pods)))
    assert {(finding.kind, finding.active) for finding in told} == {("oom", False)}


def test_an_event_of_the_past_is_no_trouble() -> None:
    """A refusal to make pods does not count any more once all pods are there."""
    found, other = objects("quota"), run("running")
    events = tuple({**event, "involvedObject": {"name": "fit-workers-0123abcd"}} for event in found.events)
    assert not diagnose(replace(objects("running"), events=events), other)


OOM = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
UNKNOWN = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}
WELL = {"terminated": {"exitCode": 0, "reason": "Completed"}}
BAD = {"terminated": {"exitCode": 2, "reason": "Error"}}


@pytest.mark.parametrize(
    ("phase", "state", "last", "expected"),
    [
        ("Running", OOM, OOM, ("oom", True)),
        ("Running", {"running": {}}, OOM, ("oom", False)),
        ("Running", UNKNOWN, OOM, ("oom", True)),
        ("Running", {"running": {}}, BAD, ("crash", False)),
        ("Running", {"running": {}}, WELL, None),
        ("Succeeded", UNKNOWN, OOM, ("oom", False)),
        ("Failed", UNKNOWN, OOM, ("oom", True)),
        ("Failed", BAD, WELL, None),
    ],
)
def test_a_scheduler_that_was_started_again(
    phase: str, state: object, last: object, expected: tuple[str, object] | None
) -> None:
    """What ended a restarted sidecar is told, also after the pod's end; its end with the pod is no finding."""
    found = run("running")
    (pod,) = found.driver_pods
    scheduler = {"name": "scheduler", "restartCount": 4, "state": state, "lastState": last}
    (driver,) = (one for one in pod["status"]["containerStatuses"] if one["name"] == "driver")
    ended = driver if phase == "Running" else {**driver, "state": {"terminated": {"exitCode": 4}}}
    status = {"phase": phase, "initContainerStatuses": [scheduler], "containerStatuses": [ended]}
    told = diagnose(objects("running"), replace(found, driver_pods=({**pod, "status": status},), worker_pods=()))
    ours = [(one.kind, one.active) for one in told if "container scheduler" in one.cause]
    assert ours == ([expected] if expected else [])
    assert all("driver.scheduler.memory" in one.remedy for one in told if one.kind == "oom")


EVICTED = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."


def test_eviction_by_full_scratch_space() -> None:
    """A worker that was evicted since its disk was full is told with the value to raise."""
    found = run("worker-oom")
    failed = next(pod for pod in found.worker_pods if pod["status"]["phase"] == "Failed")
    evicted = {**failed, "status": {"phase": "Failed", "reason": "Evicted", "message": EVICTED}}
    first, *_ = diagnose(objects("worker-oom"), replace(found, worker_pods=(evicted,)))
    assert (first.kind, first.remedy) == ("evicted", "raise workers.scratch")
