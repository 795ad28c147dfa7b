"""The chart alexnet on a real cluster: tars in S3, pods deleted in mid-run, the bits of a run on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import weights_of
from conftest import S3_KEYS
from release import Bucket, Kubectl, until_checkpoint
from watched import COMMAND, Watched

from jobs.alexnet.demo.bucket import demo_objects

ROOT = Path(__file__).parents[2]
JOB = {
    "key_prefix": "train/", "label_file": "labels.txt", "image_size": 64, "width": 0.125, "epochs": 30,
    "partition_images": 100, "validation": 0.1, "learning_rate": 0.005, "parts": 4, "minibatch": 20,
}  # fmt: skip
ROOM = {"workers": {"memory": "1Gi", "threads": 1}, "driver": {"memory": "1Gi"}}

pytestmark = pytest.mark.timeout(1500)  # with the wait for the image


def _local(folder: Path, bucket: Bucket) -> Path:
    """Train on this machine from the same bucket, in a process that sees it as the pods do; return the run folder."""
    words = [word for name, value in JOB.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    line = [sys.executable, "-c", COMMAND, "alexnet", "--s3-bucket", bucket.name, *words, "--workers", "0"]
    environment = os.environ | S3_KEYS | {"AWS_DEFAULT_REGION": "us-east-1"}
    run = [*line, "--endpoint-url", bucket.endpoint, "--run", str(folder)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def _filled(bucket: Bucket) -> dict[str, Any]:
    """Put the demo's images into a bucket, and return the chart's values that name them."""
    for key, content in demo_objects():
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=content)
    return {"job": JOB | {"s3_bucket": bucket.name, "save_every": 20}, **ROOM, **bucket.values()}


def test_from_tars_in_s3_to_a_network(
    watched: Watched, training: Callable[..., str], s3_endpoint: Bucket, tmp_path: Path
) -> None:
    """A worker, then the driver are deleted while it trains: it ends, with a report and the bits of this machine."""
    training("alexnet", values=_filled(s3_endpoint))
    step = until_checkpoint(s3_endpoint, 0)
    watched.kubectl("delete", "pod", "--force", "--grace-period=0", watched.pods("fit", "worker")[0])
    until_checkpoint(s3_endpoint, step)
    watched.kubectl("delete", "pod", "--force", "--grace-period=0", *watched.pods("fit", "driver"))
    local = _local(tmp_path / "local", s3_endpoint)
    code, told = watched.tell("wait", "fit")
    assert code == 0, told
    watched.no_pods_in(60)
    run = tmp_path / "run"
    code, told = watched.tell("fetch", "fit", str(run))
    assert code == 0, told
    result = json.loads((run / "result.json").read_text())
    assert (result["attempt"], result["epochs"]) == (2, JOB["epochs"])
    assert result["history"]["val_top_1"][-1] >= 0.9
    assert weights_of(run) == weights_of(local)
    assert subprocess.run([sys.executable, "-c", COMMAND, "report", run], check=False).returncode == 0
    assert "class" in (run / "report.html").read_text()


@pytest.fixture
def runtime(namespace: str, kubectl: Kubectl) -> Iterator[str]:
    """Yield the name of a RuntimeClass, which is that of the node's usual runtime."""
    made = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": namespace}, "handler": "runc"}
    kubectl("apply", "-f", "-", input=json.dumps(made))
    yield namespace
    kubectl("delete", "runtimeclass", namespace)


def test_gpus_are_claimed(
    watched: Watched, training: Callable[..., str], s3_endpoint: Bucket, gpus: str, runtime: str
) -> None:
    """The values of the example for GPUs, on a node that claims one: the driver ends with 2 before images are read."""
    example: dict[str, Any] = yaml.safe_load((ROOT / "k8s/sources/alexnet-gpu.values.yaml").read_text())
    example["workers"] |= {"count": 1, "cpu": "100m", "memory": "1Gi", "gpuResource": gpus, "runtimeClassName": runtime}
    values = _filled(s3_endpoint)
    training("alexnet", values=values | {"workers": example["workers"]})
    code, told = watched.tell("wait", "fit")
    assert code == 2, told
    assert "was promised 1 GPUs, but TensorFlow sees 0: give it the image with TensorFlow for GPUs" in told
    assert "partitions loaded" not in told
    watched.no_pods_in(60)


@pytest.mark.parametrize("name", ["alexnet.yaml", "examples/alexnet-gpu.yaml"])
def test_manifests_are_accepted(name: str, kubectl: Kubectl) -> None:
    """The API server takes every object, under the restricted Pod Security profile without a warning."""
    told = kubectl("apply", "--dry-run=server", "--warnings-as-errors", "-f", str(ROOT / "k8s" / name))
    assert told.count("(server dry run)") == (ROOT / "k8s" / name).read_text().count("\nkind: ")
