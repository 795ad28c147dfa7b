"""The chart train on a real cluster: pods are deleted and added in mid-run, and the bits stay; GPUs; manifests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import weights_of
from release import Bucket, Kubectl, until_checkpoint, wait_until
from watched import COMMAND, Watched

ROOT = Path(__file__).parents[2]
CODE = Path(__file__).parent / "slow_training.py"
JOB = {"model": "slow_training:create_model", "data": "slow_training:data", "epochs": 8, "parts": 4, "save_every": 4}
ROOM = {"workers": {"memory": "1Gi", "threads": 1}, "driver": {"memory": "1Gi"}}


pytestmark = pytest.mark.timeout(1500)  # with the wait for the image


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Start the same training on this machine, and return a function that waits for its end: the run folder."""
    run = tmp_path / "local"
    words = [word for name, value in JOB.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    line = [sys.executable, "-c", COMMAND, "train", *words, "--workers", "2", "--run", str(run)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(CODE.parent), *sys.path])}
    with subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as job:

        def ended() -> Path:
            log = job.communicate(timeout=300)[1]
            assert job.returncode == 0, log
            return run

        yield ended
        job.kill()


def test_deleted_and_added_pods_change_no_bit(
    watched: Watched,
    training: Callable[..., str],
    s3_endpoint: Bucket,
    local: Callable[[], Path],
    tmp_path: Path,
) -> None:
    """A worker, then the driver are deleted in mid-run, a third worker is added: the bits of a run on this machine."""
    s3_endpoint.client.put_object(Bucket=s3_endpoint.name, Key="hold")
    workers = {**ROOM["workers"], "env": [{"name": "HELD_BY", "value": s3_endpoint.url}]}
    values = {"job": JOB, **ROOM, "workers": workers, **s3_endpoint.values()}
    training("train", f"--set-file=code.slow_training\\.py={CODE}", values=values)
    step = until_checkpoint(s3_endpoint, 0)
    watched.kubectl("delete", "pod", "--force", "--grace-period=0", watched.pods("fit", "worker")[0])
    step = until_checkpoint(s3_endpoint, step)
    watched.kubectl("delete", "pod", "--force", "--grace-period=0", *watched.pods("fit", "driver"))
    until_checkpoint(s3_endpoint, step)
    watched.scale("fit", 3)
    third = re.compile(r"trained/fit-workers-.*-2")
    wait_until("a third worker trains", lambda: any(map(third.fullmatch, s3_endpoint.keys())))
    s3_endpoint.client.delete_object(Bucket=s3_endpoint.name, Key="hold")
    assert watched.exit_code("fit") == 0
    watched.no_pods_in(60)
    code, told = watched.tell("fetch", "fit", str(tmp_path / "run"))
    assert code == 0, told
    result = yaml.safe_load((tmp_path / "run/result.json").read_text())
    assert (result["attempt"], result["epochs"], result["workers"]) == (2, 8, 3)
    assert weights_of(tmp_path / "run") == weights_of(local())
    assert subprocess.run([sys.executable, "-c", COMMAND, "report", tmp_path / "run"], check=False).returncode == 0
    assert "Where the time went" in (tmp_path / "run/report.html").read_text()


def test_a_worker_without_the_gpu_that_it_was_promised(
    watched: Watched, training: Callable[..., str], gpus: str
) -> None:
    """The values of the example for GPUs, on a node that claims one: the pods start, and the driver ends with 2."""
    example: dict[str, Any] = yaml.safe_load((ROOT / "k8s/sources/train-gpu.values.yaml").read_text())
    small = {"count": 1, "cpu": "100m", "memory": "1Gi", "gpuResource": gpus}
    example["workers"] |= small
    del example["image"]
    training("train", values=example | {"driver": ROOM["driver"]})
    code, told = watched.tell("wait", "fit")
    assert code == 2, told
    assert "was promised 1 GPUs, but TensorFlow sees 0: give it the image with TensorFlow for GPUs" in told
    watched.no_pods_in(60)


@pytest.mark.parametrize("name", ["train.yaml", "examples/train-gpu.yaml"])
def test_manifests_are_accepted(name: str, kubectl: Kubectl) -> None:
    """The API server takes every object, under the restricted Pod Security profile without a warning."""
    told = kubectl("apply", "--dry-run=server", "--warnings-as-errors", "-f", str(ROOT / "k8s" / name))
    assert told.count("(server dry run)") == (ROOT / "k8s" / name).read_text().count("\nkind: ")
