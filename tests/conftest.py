"""Fixtures that all tests share."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# As in the images, and before anything imports Dask: for clusters and processes that tests start without `connect`.
os.environ["DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL"] = "200ms"
from clusters import fork_workers

from jobs.storage import Storage, open_storage

_numbers = itertools.count(1)
LONG = (
    "alexnet/test_alexnet_job.py",
    "train/test_job.py",
    "tune/test_tune_benchmarks.py",
    "minimize/test_matrix.py",
    "minimize/test_resume.py",
    "train/test_bits.py",
    "train/test_train_faults.py",
    "train/test_train_benchmarks.py",
    "alexnet/test_alexnet_benchmarks.py",
    "alexnet/test_alexnet_bad_input.py",
    "train/test_identity.py",
    "train/test_train_state.py",
    "train/test_comforts.py",
    "test_benchmarks.py",
    "test_docs.py",
    "observe/test_trackers.py",
    "program/test_notebooks.py",
    "tune/test_tune_define_by_run.py",
    "program/test_scripts.py",
    "program/test_rerun.py",
    "tune/test_tune_cli.py",
    "tune/test_tune_cnn.py",
    "tune/test_tune_losses.py",
    "minimize/test_faults.py",
    "minimize/test_leaving.py",
    "program/test_cli.py",
    "processes/test_pods.py",
    "processes/test_pods_worker.py",
    "minimize/test_keras.py",
    "tune/test_tune_study.py",
    "tune/test_tune_faults.py",
    "tune/test_tune_leaving.py",
    "test_ci.py",
    "e2e/test_chaos.py",
    "e2e/test_release_commands.py",
    "e2e/test_tune.py",
)
"""The files that take longest, which begin first: side by side, the last file to end decides."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first."""
    here = Path(__file__).parent
    fork_workers(tensorflow=any(item.path.parent in (here / "alexnet", here / "train") for item in items))
    ranks = {here / name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, str]]:
    """Yield the AWS_ variables that lead to an S3 server in this process, started when the first test needs it."""
    from moto.s3.responses import S3Response
    from moto.server import ThreadedMotoServer

    one_at_a_time = threading.Lock()
    put_object = S3Response.put_object

    def atomic_put_object(response: S3Response) -> object:
        with one_at_a_time:  # S3 looks for an object and stores it in one step, Moto in two
            return put_object(response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Response, "put_object", atomic_put_object)
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield {
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        server.stop()


@pytest.fixture(scope="session")
def s3_client(s3_server: dict[str, str]) -> Any:
    """Return a boto3 client of the S3 server."""
    import boto3

    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.items():
            patch.setenv(name, value)
        return boto3.session.Session().client("s3")


@pytest.fixture
def s3(s3_server: dict[str, str], s3_client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield `s3://bucket` of a new, empty bucket; the AWS_ variables lead there, also in child processes."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{next(_numbers)}"
    s3_client.create_bucket(Bucket=bucket)
    yield f"s3://{bucket}"
    for page in s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            s3_client.delete_object(Bucket=bucket, Key=entry["Key"])
    s3_client.delete_bucket(Bucket=bucket)


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Return an empty storage of each kind."""
    if request.param == "local":
        return open_storage(tmp_path / "run")
    return open_storage(request.getfixturevalue("s3") + "/some/runs/")
