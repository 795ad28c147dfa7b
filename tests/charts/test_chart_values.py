"""Every value of the charts has an effect, at the place that this table names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chart_tools import Rendered, merged, nested, render

from jobs.release.plan.values import Values
from jobs.release.plan.values_parts import Section

See = Callable[[Rendered], Any]
CLAIM = {"run": {"claim": {"create": True}}}
TLS = {"tls": {"enabled": True, "secret": "other"}}
MONITOR = {"metrics": {"podMonitor": True}, "networkPolicy": {"dashboardFrom": [{"podSelector": {}}]}}
PEER = {"ipBlock": {"cidr": "10.0.0.0/8"}}
RULE = {"to": [PEER], "ports": [{"port": 5432}]}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
NEAR = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
VOLUME = {"name": "data", "persistentVolumeClaim": {"claimName": "mnist"}}
MOUNT = {"name": "data", "mountPath": "/data", "readOnly": True}
DIGEST = "sha256:" + "0" * 64


def resources(container: str, *path: str) -> See:
    def see(release: Rendered) -> Any:
        found = release.container(container)["resources"]
        for key in path:
            found = found[key]
        return found

    return see


def argument(name: str) -> See:
    def see(release: Rendered) -> str:
        words = release.container("worker")["args"]
        return words[words.index(name) + 1]

    return see


def volume(pod: str, name: str) -> See:
    return lambda release: next(one for one in getattr(release, pod)["spec"]["volumes"] if one["name"] == name)


def scratch(pod: str) -> See:
    return lambda release: volume(pod, "tmp")(release)["emptyDir"]["sizeLimit"]


def shared_memory(release: Rendered) -> dict[str, Any]:
    """Return the volume that is mounted as the workers' shared memory."""
    mounts = release.container("worker")["volumeMounts"]
    name = next(mount["name"] for mount in mounts if mount["mountPath"] == "/dev/shm")
    return volume("worker_pod", name)(release)["emptyDir"]


def image(release: Rendered) -> str:
    return release.container("worker")["image"]


def claim(release: Rendered) -> dict[str, Any]:
    return release.named("PersistentVolumeClaim")["spec"]


def role(values: str, pod: str, container: str, disk: str) -> list[tuple[Any, ...]]:
    """Return the rows of what workers and driver have in common."""

    def spec(key: str) -> See:
        return lambda release: getattr(release, pod)["spec"][key]

    return [
        (f"{values}.cpu", "3", resources(container, "requests", "cpu"), "3"),
        (f"{values}.cpuLimit", 4, resources(container, "limits", "cpu"), "4"),
        (f"{values}.memory", "3Gi", resources(container, "limits"), {"memory": "3Gi", "ephemeral-storage": disk}),
        (f"{values}.memory", "3Gi", resources(container, "requests", "memory"), "3Gi"),
        (f"{values}.scratch", "3Gi", scratch(pod), "3Gi"),
        (f"{values}.scratchRequest", "512Mi", resources(container, "requests", "ephemeral-storage"), "576Mi"),
        (f"{values}.gracePeriod", 99, spec("terminationGracePeriodSeconds"), 99),
        (f"{values}.nodeSelector", {"disk": "ssd"}, spec("nodeSelector"), {"disk": "ssd"}),
        (f"{values}.tolerations", [{"operator": "Exists"}], spec("tolerations"), [{"operator": "Exists"}]),
        (f"{values}.affinity", NEAR, spec("affinity"), NEAR),
        (
            f"{values}.topologySpreadConstraints",
            [SPREAD],
            lambda r: spec("topologySpreadConstraints")(r)[0]["maxSkew"],
            1,
        ),
        (f"{values}.priorityClassName", "high", spec("priorityClassName"), "high"),
        (f"{values}.env", [{"name": "A", "value": "b"}], lambda r: r.env(container)["A"], "b"),
        (
            f"{values}.env",
            [{"name": "OMP_NUM_THREADS", "value": "7"}],
            lambda r: r.env(container)["OMP_NUM_THREADS"],
            "7",
        ),
        (f"{values}.podLabels", {"a": "b"}, lambda r: getattr(r, pod)["metadata"]["labels"]["a"], "b"),
        (f"{values}.podAnnotations", {"a": "b"}, lambda r: getattr(r, pod)["metadata"]["annotations"]["a"], "b"),
    ]


SEEN: list[tuple[Any, ...]] = [
    ("image.registry", "ghcr.io", image, "ghcr.io/localhost/dask-jobs:0.1.0"),
    ("image.repository", "me/jobs", image, "me/jobs:0.1.0"),
    ("image.tag", "7", image, "localhost/dask-jobs:7"),
    ("image.digest", DIGEST, image, f"localhost/dask-jobs@{DIGEST}"),
    ("image.digest", DIGEST, lambda r: r.env("driver")["DASK_JOBS_IMAGE"], f"localhost/dask-jobs@{DIGEST}"),
    ("image.pullPolicy", "Never", lambda r: r.container("scheduler")["imagePullPolicy"], "Never"),
    ("image.pullSecrets", ["a"], lambda r: r.driver_pod["spec"]["imagePullSecrets"], [{"name": "a"}]),
    *role("workers", "worker_pod", "worker", "1280Mi"),
    *role("driver", "driver_pod", "driver", "2304Mi"),
    ("workers.count", 5, lambda r: (r.workers["spec"]["parallelism"], r.workers["spec"]["completions"]), (5, 5)),
    ("workers.count", 5, lambda r: r.options["workers"], 5),
    ("workers.count", 5, lambda r: r.driver["metadata"]["annotations"]["dask-jobs/workers"], "5"),
    ("workers.min", 1, lambda r: (r.options["workers"], r.workers["spec"]["parallelism"]), (1, 2)),
    ("workers.max", 9, lambda r: (r.options["workers"], r.workers["spec"]["parallelism"]), (2, 9)),
    ("workers.gpu", 2, resources("worker", "limits", "nvidia.com/gpu"), "2"),
    ("workers.gpuResource", "amd.com/gpu", resources("worker", "limits", "amd.com/gpu"), "1", {"workers": {"gpu": 1}}),
    ("workers.runtimeClassName", "nvidia", lambda r: r.worker_pod["spec"]["runtimeClassName"], "nvidia"),
    ("workers.sharedMemory", "2Gi", shared_memory, {"medium": "Memory", "sizeLimit": "2Gi"}),
    ("workers.threads", 3, argument("--threads"), "3"),
    ("workers.backoffLimit", 3, lambda r: r.workers["spec"]["backoffLimit"], 3),
    ("workers.gracePeriod", 99, argument("--grace"), "94"),
    (
        "driver.backoffLimit",
        3,
        lambda r: (r.driver["spec"]["backoffLimit"], r.env("driver")["DASK_JOBS_RETRIES"]),
        (3, "3"),
    ),
    ("driver.podDisruptionBudget", False, lambda r: [o for o in r.objects if o["kind"] == "PodDisruptionBudget"], []),
    ("driver.scheduler.cpu", "3", resources("scheduler", "requests", "cpu"), "3"),
    ("driver.scheduler.memory", "3Gi", resources("scheduler", "limits", "memory"), "3Gi"),
    ("job", {"method": "CG"}, lambda r: r.options["method"], "CG"),
    (
        "code",
        {"a.py": "x = 1\n\ny = 2\n"},
        lambda r: r.named("ConfigMap", "-code-")["data"],
        {"a.py": "x = 1\n\ny = 2\n"},
    ),
    (
        "code",
        {"a.py": ""},
        lambda r: [r.env(name)["PYTHONPATH"] for name in ("scheduler", "driver", "worker")],
        ["/code"] * 3,
    ),
    ("run.s3", "s3://runs/a/", lambda r: r.options["run"].rpartition("-")[0], "s3://runs/a/fit"),
    ("run.name", "seven", lambda r: (r.options["run"], r.url), ("/runs/seven", "/runs/seven")),
    (
        "run.claim.create",
        True,
        lambda r: volume("driver_pod", "run")(r)["persistentVolumeClaim"]["claimName"],
        "fit-run",
    ),
    ("run.claim.name", "mine", lambda r: volume("driver_pod", "run")(r)["persistentVolumeClaim"]["claimName"], "mine"),
    ("run.claim.size", "7Gi", lambda r: claim(r)["resources"]["requests"]["storage"], "7Gi", CLAIM),
    ("run.claim.storageClass", "", lambda r: claim(r)["storageClassName"], "", CLAIM),
    ("run.claim.accessModes", ["ReadWriteMany"], lambda r: claim(r)["accessModes"], ["ReadWriteMany"], CLAIM),
    (
        "run.claim.keep",
        True,
        lambda r: r.named("PersistentVolumeClaim")["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep",
        CLAIM,
    ),
    ("volumes", [VOLUME], volume("worker_pod", "data"), VOLUME),
    (
        "volumeMounts",
        [MOUNT],
        lambda r: [r.container(n)["volumeMounts"].count(MOUNT) for n in ("scheduler", "driver", "worker")],
        [1, 1, 1],
    ),
    (
        "s3.endpoint",
        "http://s3:7070",
        lambda r: [r.env(name)["AWS_ENDPOINT_URL"] for name in ("driver", "worker")],
        ["http://s3:7070"] * 2,
    ),
    ("s3.region", "eu-west-1", lambda r: r.env("worker")["AWS_DEFAULT_REGION"], "eu-west-1"),
    (
        "s3.credentialsSecret",
        "keys",
        lambda r: r.env("worker")["AWS_SECRET_ACCESS_KEY"],
        {"secretKeyRef": {"name": "keys", "key": "AWS_SECRET_ACCESS_KEY"}},
    ),
    ("serviceAccount.create", False, lambda r: r.worker_pod["spec"]["serviceAccountName"], "default"),
    (
        "serviceAccount.name",
        "me",
        lambda r: (r.named("ServiceAccount")["metadata"]["name"], r.worker_pod["spec"]["serviceAccountName"]),
        ("me", "me"),
    ),
    (
        "serviceAccount.annotations",
        {"role": "x"},
        lambda r: r.named("ServiceAccount")["metadata"]["annotations"],
        {"role": "x"},
    ),
    ("tls.enabled", True, argument("--scheduler"), "tls://fit-driver-{hash}:8786", {"tls": {"secret": "certs"}}),
    ("tls.enabled", True, lambda r: r.options["scheduler"], "tls://127.0.0.1:8786", {"tls": {"secret": "certs"}}),
    ("tls.secret", "certs", lambda r: volume("worker_pod", "tls")(r)["secret"]["secretName"], "certs", TLS),
    ("networkPolicy.enabled", False, lambda r: [o for o in r.objects if o["kind"] == "NetworkPolicy"], []),
    (
        "networkPolicy.dashboardFrom",
        [PEER],
        lambda r: r.policy["ingress"][1],
        {"from": [PEER], "ports": [{"protocol": "TCP", "port": 8787}]},
    ),
    (
        "networkPolicy.schedulerFrom",
        [PEER],
        lambda r: r.policy["ingress"][1],
        {"from": [PEER], "ports": [{"protocol": "TCP", "port": 8786}]},
    ),
    ("networkPolicy.egress", [RULE], lambda r: r.policy["egress"][-1], RULE),
    (
        "deadlines.start",
        7,
        lambda r: (r.options["workers_timeout"], r.driver["metadata"]["annotations"]["dask-jobs/start-timeout"]),
        (7, "7"),
    ),
    ("deadlines.schedulerLost", 7, argument("--lost-timeout"), "7"),
    (
        "deadlines.job",
        100,
        lambda r: [r.driver["spec"]["activeDeadlineSeconds"], r.workers["spec"]["activeDeadlineSeconds"]],
        [100, 160],
    ),
    (
        "ttlSecondsAfterFinished",
        0,
        lambda r: [j["spec"]["ttlSecondsAfterFinished"] for j in (r.driver, r.workers)],
        [0, 0],
    ),
    ("suspend", True, lambda r: [r.driver["spec"]["suspend"], r.workers["spec"]["suspend"]], [True, True]),
    (
        "queue",
        "q",
        lambda r: [j["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] for j in (r.driver, r.workers)],
        ["q", "q"],
    ),
    (
        "podAnnotations",
        {"a": "b"},
        lambda r: [pod["metadata"]["annotations"]["a"] for pod in r.pods],
        ["b", "b", "b"],
        CLAIM,
    ),
    ("podLabels", {"a": "b"}, lambda r: [pod["metadata"]["labels"]["a"] for pod in r.pods], ["b", "b", "b"], CLAIM),
    (
        "metrics.podMonitor",
        True,
        lambda r: r.named("PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"],
        "dashboard",
        {"networkPolicy": MONITOR["networkPolicy"]},
    ),
    (
        "metrics.interval",
        "5s",
        lambda r: r.named("PodMonitor")["spec"]["podMetricsEndpoints"][0]["interval"],
        "5s",
        MONITOR,
    ),
]


def leaves(section: Section, prefix: str = "") -> Iterator[str]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section) and value.model_dump(exclude_none=True):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


@pytest.mark.parametrize("row", SEEN, ids=lambda row: row[0])
def test_value_shows_where_the_table_says(row: tuple[Any, ...]) -> None:
    """A value that differs from its default changes the place that it is for, which is otherwise different."""
    path, value, see, expected = row[:4]
    companions = row[4] if len(row) > 4 else {}
    release = render(merged(companions, nested(path, value)))
    if isinstance(expected, str):
        expected = expected.replace("{hash}", release.hash)
    assert see(release) == expected
    try:
        without = see(render(companions))
    except (KeyError, IndexError, StopIteration, AssertionError):
        return
    assert without != expected


def test_every_value_is_in_the_table() -> None:
    """A new value comes with a row above."""
    assert {row[0] for row in SEEN} == set(leaves(Values()))
