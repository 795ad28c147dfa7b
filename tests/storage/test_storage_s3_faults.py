"""How S3 storages fail: wrong buckets and credentials, refusals, lost servers and connections."""

from __future__ import annotations

import os
import time
import types
from collections.abc import Iterator
from urllib.parse import urlsplit

import botocore.endpoint
import pytest
from faulty_s3 import FaultyS3
from moto.server import ThreadedMotoServer
from proxy import Proxy
from storage_tools import USES, Replies, failure

from jobs.errors import AccessError, ClusterError, InputError, UserCodeError
from jobs.options import JobOptions
from jobs.runs.run import Run
from jobs.storage import Access, open_storage
from jobs.storage import s3 as storage_s3

every_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


@every_use
def test_no_bucket(s3, use):
    """A bucket that does not exist is an InputError that names it."""
    with pytest.raises(InputError, match=r"s3://nobody-has-this/run.*no such bucket"):
        use(open_storage("s3://nobody-has-this/run"))


@every_use
def test_bad_bucket(s3, use):
    """A bucket name that S3 does not allow is an InputError in one line."""
    with pytest.raises(InputError, match="s3://not a bucket") as caught:
        use(open_storage("s3://not a bucket/run"))
    assert "\n" not in str(caught.value)


@every_use
def test_no_credentials(s3, use, monkeypatch):
    """Without credentials every use is an InputError that names the URL."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(InputError, match=f"{s3}.*credentials"):
        use(open_storage(s3))


def test_bad_endpoint(s3, monkeypatch):
    """An endpoint that is no URL is an InputError that names the variable."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(InputError, match="AWS_"):
        open_storage(s3).read("name")


def test_gap_in_a_log(s3):
    """A log that lacks a part is not read as if it were complete."""
    storage = open_storage(s3)
    for number in (1, 2, 4):
        storage.write(f"log/{number:08}", b"record")
    with pytest.raises(InputError, match="part 00000003 of this log is missing"):
        storage.read_log("log")


@pytest.fixture(scope="module")
def stopped_server() -> str:
    """Return the address of a server that was there and is gone."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    server.stop()
    server._server.server_close()
    return f"http://{host}:{port}"


@every_use
def test_stopped_server(s3, stopped_server, monkeypatch, use):
    """A server that is gone is a ClusterError that names the URL, after a few attempts."""
    monkeypatch.setattr(storage_s3, "_PATIENCE_SECONDS", 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", stopped_server)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    with pytest.raises(ClusterError, match=rf"{s3}.*AWS_ENDPOINT_URL"):
        use(open_storage(s3))


def test_patience(s3, monkeypatch):
    """Where an address is wrong it is said after 15 s; a server that has answered may be away for two minutes."""
    monkeypatch.delenv("AWS_MAX_ATTEMPTS", raising=False)
    waits: list[float] = []
    monkeypatch.setattr(botocore.endpoint, "time", types.SimpleNamespace(time=time.time, sleep=waits.append))
    proxy = Proxy("127.0.0.1", 0, urlsplit(os.environ["AWS_ENDPOINT_URL"]).port, fault="away")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    storage = open_storage(s3)
    try:
        with pytest.raises(ClusterError):
            storage.exists("name")
        assert len(waits) == 5
        proxy.fault = None
        assert not storage.exists("name")
        proxy.fault, waits[:] = "away", []
        with pytest.raises(ClusterError):
            storage.write("name", b"content")
        assert len(waits) == 15
    finally:
        proxy.end()


@every_use
def test_stopped_server_by_argument(s3, stopped_server, monkeypatch, use):
    """Where the address was an argument, that is named."""
    monkeypatch.setattr(storage_s3, "_PATIENCE_SECONDS", 0)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    with pytest.raises(ClusterError, match=rf"{s3}.*; check endpoint_url and the network"):
        use(open_storage(s3, Access(endpoint=stopped_server)))


@pytest.fixture(scope="module")
def replies_server() -> Iterator[Replies]:
    server = Replies()
    yield server
    server.stop()


@pytest.fixture
def server(replies_server, s3, monkeypatch) -> Replies:
    """Return a server at the end of all `s3://` URLs, which gives the replies it is told."""
    host, port = replies_server.server_address
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    return replies_server


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (failure(403, "AccessDenied"), AccessError, "access denied"),
        (failure(403, "InvalidAccessKeyId"), AccessError, r"credentials are not valid \(InvalidAccessKeyId\)"),
        (failure(400, "ExpiredToken"), AccessError, r"credentials are not valid \(ExpiredToken\)"),
        (failure(403, "RequestTimeTooSkewed"), AccessError, r"\(RequestTimeTooSkewed\): this machine's clock differs"),
        (failure(403, "QuotaExceeded"), AccessError, r"the store refused .*QuotaExceeded"),
        (failure(501, "NotImplemented"), InputError, r"the store refused a write on condition .*\(If-None-Match\)"),
        (failure(503, "SlowDown"), ClusterError, "SlowDown"),
        (failure(500, "InternalError"), ClusterError, "InternalError"),
        (failure(405, "MethodNotAllowed"), InputError, "MethodNotAllowed"),
        (failure(409, "ConditionalRequestConflict"), ClusterError, "others write it all the time"),
    ],
)
def test_refusals(server, monkeypatch, reply, kind, message):
    """A refusal that will come again is an InputError, one that may pass a ClusterError; both name the URL."""
    monkeypatch.setattr(storage_s3, "ATTEMPTS", 2)
    server.give(reply)
    with pytest.raises(kind, match=f"s3://b/name: .*{message}") as caught:
        open_storage("s3://b").create("name", b"data")
    assert type(caught.value) is kind


def test_short_failure(server):
    """A failure that passes is not noticed."""
    server.give(failure(503, "SlowDown"), (200, "", b"data"))
    assert open_storage("s3://b").read("name") == b"data"
    assert server.requests == 2


def test_create_waits_for_a_conflict(server):
    """A `create` that meets another's unfinished one is sent again."""
    server.give(failure(409, "ConditionalRequestConflict"), failure(412, "PreconditionFailed"))
    assert not open_storage("s3://b").create("name", b"data")


def test_body_that_breaks_off(server):
    """A body that ends too early is read again, and is a ClusterError if it always does."""
    server.give((200, "8", b"half"), (200, "", b"complete"))
    assert open_storage("s3://b").read("name") == b"complete"
    assert server.requests == 2
    server.give((200, "8", b"half"))
    with pytest.raises(ClusterError, match="s3://b/name"):
        open_storage("s3://b").read("name")


def test_failed_upload(server):
    """An upload that fails is a ClusterError at the next flush, append and close of the log."""
    server.give((200, "", b"<ListBucketResult/>"), failure(403, "AccessDenied"))
    log = open_storage("s3://b").append_log("log")
    log.append(b"record")
    for use in (log.flush, lambda: log.append(b"more"), log.close):
        with pytest.raises(ClusterError, match=r"s3://b/log: the log could not be stored.*access denied"):
            use()


def test_failed_upload_hides_no_error(server):
    """An error inside the block of a log that cannot be stored stays what it is."""
    server.give((200, "", b"<ListBucketResult/>"), failure(403, "AccessDenied"))

    def fail() -> None:
        with open_storage("s3://b").append_log("log") as log:
            log.append(b"record")
            raise UserCodeError("the loss")

    with pytest.raises(UserCodeError, match="the loss"):
        fail()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (failure(301, "PermanentRedirect"), "s3://b/name: the bucket is in another region; set AWS_DEFAULT_REGION"),
        (
            (400, "", b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>"),
            "s3://b/name: the bucket is in the region eu-west-1; set AWS_DEFAULT_REGION to its region",
        ),
        (failure(403, "AccessDenied"), "s3://b/name: access denied .*; it is not public"),
        (failure(404, "NoSuchBucket"), "s3://b/name: there is no such bucket; check its name and endpoint_url"),
    ],
)
def test_a_bucket_that_is_elsewhere_or_not_public(server, reply, message):
    """Another region, a bucket that is not public, and none at all are told apart."""
    server.give(reply)
    access = Access(endpoint=os.environ["AWS_ENDPOINT_URL"], anonymous=True)
    with pytest.raises(InputError, match=message):
        open_storage("s3://b", access).read("name")


@every_use
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_endpoint_that_redirects(server, use, status):
    """A proxy that redirects to https is told, with the address, by all uses; botocore asks itself without end."""
    server.give((status, "", b"<html>Moved</html>", ("Location", "https://me:secret@store.example:9000/b/name?a=1")))
    with pytest.raises(InputError, match=rf"redirects to https://store.example:9000 \({status}\); set AWS_E") as caught:
        use(open_storage("s3://b"))
    assert "secret" not in str(caught.value)
    assert server.requests <= 4


def test_an_endpoint_that_redirects_nowhere(server):
    """Without an address of the proxy's, the two reasons are named."""
    server.give((301, "", b""))
    with pytest.raises(
        InputError, match=r"the store redirects \(301\); is AWS_ENDPOINT_URL https, and the region right"
    ):
        open_storage("s3://b").exists("name")


@every_use
@pytest.mark.parametrize("endpoint", ["http://user:PASSW0RD@127.0.0.1:1", "http://user:PASSW0RD@", "u:PASSW0RD@h"])
def test_a_password_in_the_endpoint_is_not_told(s3, use, endpoint, monkeypatch):
    """Errors are printed, logged, and kept in the run folder."""
    monkeypatch.setattr(storage_s3, "_PATIENCE_SECONDS", 0)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for access in (Access(), Access(endpoint=endpoint)):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises((ClusterError, InputError)) as caught:
            use(open_storage(s3, access))
        assert "PASSW0RD" not in str(caught.value)


def test_a_store_that_knows_no_conditions(s3, monkeypatch):
    """Where a file that must be new replaces an old one, two drivers would be the same attempt: told before work."""
    proxy = FaultyS3(os.environ["AWS_ENDPOINT_URL"])
    proxy.dropped = "If-None-Match"
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    storage = open_storage(f"{s3}/run")
    try:
        with pytest.raises(InputError, match=r"^run s3://.*\(it ignores If-None-Match\), so two drivers could"):
            storage.check_writable()
        assert storage.list() == []
        proxy.dropped = ""
        storage.check_writable()
    finally:
        proxy.end()


def test_a_page_in_the_place_of_options(s3):
    """What a network's login page answers is no run folder's."""
    open_storage(s3).write("options.yaml", b"<html><body>Log in: here</body></html>")
    with pytest.raises(InputError, match=r"its options.yaml (holds no options|is no YAML); choose another folder"):
        Run(s3, "minimize", JobOptions())
