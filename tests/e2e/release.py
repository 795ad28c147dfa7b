"""What the end-to-end tests do with a cluster: run kubectl and helm, follow a release, read what a run has left."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from api import Api

Kubectl = Callable[..., str]


class CommandError(AssertionError):
    """A command failed; `returncode` and `output` (both streams) are what it left."""

    def __init__(self, command: list[str], returncode: int, output: str) -> None:
        super().__init__(f"{' '.join(command)}: exit code {returncode}\n{output}")
        self.returncode, self.output = returncode, output


def command(*words: object, input: str | None = None, check: bool = True, timeout: float = 60) -> str:  # noqa: A002
    """Run a command for at most `timeout` seconds and return its standard output.

    With `check`, a non-zero exit code raises CommandError; without, both streams are returned.
    """
    line = [str(word) for word in words]
    done = subprocess.run(line, input=input, capture_output=True, text=True, check=False, timeout=timeout)
    if check and done.returncode:
        raise CommandError(line, done.returncode, done.stdout + done.stderr)
    return done.stdout if check else done.stdout + done.stderr


@dataclass(frozen=True)
class Host:
    """A pod that writes to a folder of its node, `ROOT`, of which claims are made; it is no part of what is tested."""

    namespace: str
    node: str

    ROOT = "/var/lib/dask-jobs-e2e"

    def run(self, *words: str) -> bytes:
        """Run a command in the pod and return its standard output."""
        line = ["kubectl", "--namespace", self.namespace, "exec", "host", "--", *words]
        return subprocess.run(line, check=True, capture_output=True, timeout=60).stdout


def host_pod(image: str, pull_policy: str) -> dict[str, Any]:
    """Return the manifest of a Host's pod: root, since the node's folders are root's."""
    container = {
        "name": "host",
        "image": image,
        "imagePullPolicy": pull_policy,
        "args": ["sleep", "infinity"],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "folder", "mountPath": Host.ROOT}],
    }
    volume = {"name": "folder", "hostPath": {"path": Host.ROOT, "type": "DirectoryOrCreate"}}
    spec = {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "host"}, "spec": spec}


def claim_manifests(name: str, node: str) -> list[dict[str, Any]]:
    """Return a PersistentVolume on `Host.ROOT/name` of a node and the claim `runs` that is bound to it."""
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    volume = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": f"{Host.ROOT}/{name}"},
        "claimRef": {"namespace": name, "name": "runs"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
    }
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "volumeName": name,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "runs"}, "spec": claim},
    ]


@dataclass(frozen=True)
class Claim:
    """A bound PersistentVolumeClaim (`str` is its name) whose files are read through a Host."""

    name: str
    folder: str
    host: Host

    def __str__(self) -> str:
        """Return the claim's name, as values want it."""
        return self.name

    def read(self, path: str) -> bytes:
        """Return a file's content; CalledProcessError if there is none."""
        return self.host.run("cat", f"{self.folder}/{path}")

    def files(self) -> list[str]:
        """Return the paths of all files, sorted."""
        return sorted(self.host.run("find", self.folder, "-type", "f", "-printf", "%P\\n").decode().split())

    def fetch(self, run_url: str, to: Path) -> Path:
        """Copy the run folder `/runs/NAME` to this machine and return where it is."""
        packed = self.host.run("tar", "-C", self.folder, "-cf", "-", Path(run_url).name)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(to, filter="data")
        return to / Path(run_url).name


@dataclass(frozen=True)
class Bucket:
    """An empty S3 bucket that pods reach at `endpoint` with the keys of the Secret `secret`; `client` is boto3's."""

    name: str
    endpoint: str
    secret: str
    client: Any

    @property
    def url(self) -> str:
        """Return `s3://bucket`."""
        return f"s3://{self.name}"

    def values(self, prefix: str = "runs") -> dict[str, Any]:
        """Return the chart's values for run folders below a prefix of the bucket."""
        place = {"endpoint": self.endpoint, "region": "us-east-1", "credentialsSecret": self.secret}
        return {"run": {"s3": f"{self.url}/{prefix}"}, "s3": place}

    def keys(self) -> list[str]:
        """Return all objects' keys, sorted."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def read(self, key: str) -> bytes:
        """Return an object's content."""
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def fetch(self, run_url: str, to: Path) -> Path:
        """Copy the run folder `s3://bucket/prefix/NAME` to this machine and return where it is."""
        prefix = run_url.removeprefix(f"{self.url}/") + "/"
        for key in self.keys():
            if key.startswith(prefix):
                path = to / Path(run_url).name / key.removeprefix(prefix)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.read(key))
        return to / Path(run_url).name


def until_checkpoint(place: Bucket, since: int) -> int:
    """Wait for a checkpoint of a step after `since`, and return its step."""
    steps: list[int] = []

    def saved() -> bool:
        found = (re.search(r"/checkpoints/(\d+)\.json$", key) for key in place.keys())  # noqa: SIM118  a Bucket's
        steps[:] = [int(one[1]) for one in found if one and int(one[1]) > since]
        return bool(steps)

    wait_until(f"a checkpoint after step {since}", saved, pause=0.1)
    return max(steps)


@dataclass(frozen=True)
class Outcome:
    """What a run has left: `result` (result.json), `x` (the optimum, `(n,) float64`), `folder` (a copy of all)."""

    result: dict[str, Any]
    x: np.ndarray
    folder: Path


def outcome(folder: Path) -> Outcome:
    """Read a finished run's folder."""
    return Outcome(json.loads((folder / "result.json").read_text()), np.load(folder / "x.npy"), folder)


def driver_job(api: Api, release: str) -> dict[str, Any]:
    """Return the newest driver Job of a release; AssertionError if there is none."""
    jobs = api.jobs(instance=release, component="driver")
    assert jobs, f"release {release} has no driver Job"
    return jobs[-1]


def ended(job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the condition with which a Job ended (`type` Complete or Failed, `reason`, `message`), or None."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"), None)


def exit_codes(api: Api, release: str, component: str = "driver") -> list[int]:
    """Return the exit codes of a role's containers in the order of their ends, as far as their pods still exist."""
    pods = api.pods(instance=release, component=component)
    states = [state for pod in pods for state in pod["status"].get("containerStatuses", [])]
    done = [state["state"]["terminated"] for state in states if "terminated" in state["state"]]
    return [end["exitCode"] for end in sorted(done, key=lambda end: end.get("finishedAt") or "")]


def wait_for(api: Api, release: str, timeout: float) -> int:
    """Wait until the newest driver Job of a release has ended, and return the exit code of its driver.

    AssertionError if that takes over `timeout` seconds, or if the Job failed without a driver's exit code (by its
    deadline, say).
    """
    end = time.monotonic() + timeout
    while (condition := ended(driver_job(api, release))) is None:
        assert time.monotonic() < end, f"release {release} has not ended within {timeout} s"
        time.sleep(0.5)
    if condition["type"] == "Complete":
        return 0
    codes = [code for code in exit_codes(api, release) if code]
    assert codes, f"release {release} failed without a driver's exit code: {condition}"
    return codes[-1]


def wait_until(what: str, condition: Callable[[], Any], timeout: float = 300, pause: float = 0.5) -> Any:
    """Call `condition` until it returns something true, and return that; AssertionError after `timeout` seconds.

    A pod alone has taken more than a minute to start beside the import of an image.
    """
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(pause)
    return value


def dump(kubectl: Kubectl) -> str:
    """Return the state of a namespace as text: objects, events, the end of each log."""
    parts = [
        kubectl("get", "jobs,pods,services,persistentvolumeclaims", "--output", "wide", check=False),
        kubectl("get", "events", "--sort-by", ".metadata.creationTimestamp", check=False),
    ]
    for pod in kubectl("get", "pods", "--output", "name", check=False).split():
        for previous in ("--previous=false", "--previous"):
            log = kubectl("logs", pod, "--all-containers", "--tail=60", "--prefix", previous, check=False)
            parts.append(f"== {pod} {previous}\n{log}" if "previous terminated container" not in log else "")
    return "\n".join(parts)
