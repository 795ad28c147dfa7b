"""Reading through a proxy that injects faults between the reader and a real S3 server."""

from __future__ import annotations

import itertools
import time
import types

import pytest
from botocore.retries import bucket, standard
from faulty_s3 import FaultyS3
from tar_files import images, read_all, tar_of

from jobs.alexnet.tars import Reader, build_index
from jobs.alexnet.tars import reading as tars_reading
from jobs.storage import open_storage, s3_client
from jobs.storage import s3 as storage_s3

FAULTS = ("error", "reset", "slow down", "truncated", "slow")


@pytest.fixture
def hurried(monkeypatch) -> None:
    """Make all pauses short, and botocore's limit after SlowDown high; retries count as they do."""
    short = types.SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: time.sleep(seconds / 100))
    monkeypatch.setattr(storage_s3, "time", short)
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda self, context: 0.001)
    monkeypatch.setattr(bucket.TokenBucket, "_sleep_amount", lambda self, amount: 0)
    monkeypatch.setattr(s3_client, "_READ_SECONDS", 1)


def test_a_thousand_faults(s3, s3_server, hurried, monkeypatch, tmp_path):
    """Every image is read once, with the bytes of the source, through 200 faults of each kind and a few stalls."""
    monkeypatch.setattr(tars_reading, "MAX_RANGE", 1)  # a request per image
    storage = open_storage(s3)
    sources = {
        "a.tar": images(200),
        "b.tar": images(150, 200),
        "c.tar": {"n2.tar": tar_of(images(100, 350))},
    }
    for name, files in sources.items():
        storage.write(name, tar_of(files))
    index = build_index(storage)
    storm = itertools.islice(itertools.cycle(FAULTS), 1000)
    proxy = FaultyS3(s3_server["AWS_ENDPOINT_URL"], itertools.chain(["stalled"], storm, ["stalled"]), stall=1.5)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    with Reader(storage, tmp_path, ahead=8) as reader:
        found = read_all(reader, index)
    assert proxy.injected == 1002
    assert len(proxy.ranges) > 1002
    assert found == {**images(350), **{f"n2.tar/{name}": data for name, data in images(100, 350).items()}}
    proxy.end()
