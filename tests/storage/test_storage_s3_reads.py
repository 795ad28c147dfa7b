"""S3 through a proxy: another endpoint, anonymous access, and ranges of a file that must not change."""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Iterator

import pytest
from faulty_s3 import FaultyS3

from jobs.errors import ClusterError, DataError, InputError
from jobs.storage import Access, open_storage
from jobs.storage import s3 as storage_s3


def test_a_server_by_argument(s3, monkeypatch):
    """An endpoint that is given wins over the variables', for this storage alone."""
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    open_storage(s3).write("name", b"data")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    storage = open_storage(s3, Access(endpoint=endpoint))
    assert pickle.loads(pickle.dumps(storage)).read("name") == b"data"
    assert storage != open_storage(s3)
    with pytest.raises(ClusterError):
        open_storage(s3).read("name")


@pytest.fixture
def proxy(s3, monkeypatch) -> Iterator[FaultyS3]:
    """Yield a proxy before the server, at the end of all `s3://` URLs."""
    proxy = FaultyS3(os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    yield proxy
    proxy.end()


def test_anonymous_access(s3, s3_client, proxy, monkeypatch):
    """Anonymous requests are not signed, need no credentials, and read what is public."""
    open_storage(s3).write("name", b"data")
    assert "Authorization" in proxy.headers
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    storage = open_storage(s3, Access(anonymous=True))
    with pytest.raises(InputError, match=f"{s3}/name: access denied .*; it is not public"):
        storage.stamp("name")
    s3_client.put_object_acl(Bucket=s3.removeprefix("s3://"), Key="name", ACL="public-read")
    assert storage.read_unchanged("name", storage.stamp("name"), 1, 3) == b"at"
    assert "Authorization" not in proxy.headers


def test_a_range_goes_on_where_its_body_was_cut_off(s3, proxy):
    """What came of a body is not asked for again, through any number of faults."""
    storage = open_storage(s3)
    data = os.urandom(1_000_000)
    storage.write("name", data)
    stamp = storage.stamp("name")
    proxy.faults = iter(["truncated", "error", "reset", "slow", "slow down", "truncated"])
    assert storage.read_unchanged("name", stamp, 10, 900_000) == data[10:900_000]
    starts = [int(wanted.removeprefix("bytes=").partition("-")[0]) for wanted in proxy.ranges]
    assert starts[:2] == [10, 10 + 449_995]
    assert starts == sorted(starts)
    assert f"ETag {proxy.headers['If-Match']}" == stamp[1]


def test_a_range_that_never_comes(s3, proxy, monkeypatch):
    """A store that fails for long is a ClusterError, whichever way it fails."""
    monkeypatch.setattr(storage_s3, "_PATIENCE_SECONDS", 0)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    storage = open_storage(s3)
    storage.write("name", b"d")
    stamp = storage.stamp("name")
    for fault in ("truncated", "reset", "error", "slow down"):
        proxy.faults = itertools.repeat(fault)
        with pytest.raises(ClusterError, match=f"{s3}/name"):
            storage.read_unchanged("name", stamp, 0, 1)


def test_a_store_without_conditions_or_ranges(s3, proxy, monkeypatch):
    """A store that does not know If-Match gives no other file's bytes, and one without ranges is refused."""
    storage = open_storage(s3)
    storage.write("name", b"data")
    stamp = storage.stamp("name")
    proxy.faults = iter(["other range"])
    with pytest.raises(InputError, match=f"{s3}/name: the store sends another range than asked for"):
        storage.read_unchanged("name", stamp, 1, 2)
    storage.write("name", b"atad")
    proxy.dropped = "If-Match"
    with pytest.raises(DataError, match=f"{s3}/name was written since"):
        storage.read_unchanged("name", stamp, 1, 2)
