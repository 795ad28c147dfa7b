"""Credentials that a store refuses: before a job has begun bad input, afterwards a failure that may pass."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from storage_tools import Replies, failure

from jobs.errors import AccessError, ClusterError, InputError
from jobs.minimize import job
from jobs.minimize.options import Options
from jobs.runs import run as runs
from jobs.runs.attempt import attempt_on
from jobs.storage import open_storage


@pytest.fixture
def server() -> Iterator[Replies]:
    server = Replies()
    yield server
    server.stop()


class Expiring:
    """A problem in whose fifth evaluation the store begins to refuse the credentials."""

    rows = 10
    evaluations = 0

    def x0(self):
        return np.full(4, 3.0)

    def load(self, start, stop):
        return stop - start

    def value_and_grad(self, theta, data):
        Expiring.evaluations += 1
        if Expiring.evaluations == 5:
            Expiring.expire()
        return float(np.sum(theta**4)) * data, 4 * theta**3 * data

    def fingerprint(self):
        return "expiring"


@pytest.mark.parametrize(("status", "code"), [(400, "ExpiredToken"), (403, "AccessDenied")])
def test_credentials_that_expire(s3, server, monkeypatch, status, code):
    """A job ends with code 3, says which, and goes on once they are renewed."""
    monkeypatch.setitem(runs.STATUS_SECONDS, "s3", 0.0)
    host, port = server.server_address
    server.give(failure(status, code))
    problem = Expiring()
    monkeypatch.setattr(job, "problem_of", lambda _: job.load_problem(problem))
    options = Options(run=f"{s3}/run", workers=0, check=False)  # which would evaluate it before the run begins
    with pytest.MonkeyPatch.context() as patch:
        Expiring.evaluations = 0
        Expiring.expire = staticmethod(lambda: patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}"))
        with pytest.raises(ClusterError) as caught:
            job.run(options)
    assert caught.value.exit_code == 3
    assert ("ExpiredToken" if code == "ExpiredToken" else "access denied") in str(caught.value)
    assert "make the same call again" in str(caught.value)
    Expiring.expire = staticmethod(lambda: None)
    assert job.run(options)["success"]


def test_credentials_that_expire_for_the_status(s3, server, monkeypatch):
    """It is so whichever file meets them first, and in the run folder as well, if that can be written."""
    host, port = server.server_address
    server.give(failure(400, "ExpiredToken"))

    def write_status() -> None:
        with attempt_on("minimize", Options(run=f"{s3}/run")) as attempt:
            attempt.start()
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
                attempt.folder.status("running", now=True)

    with pytest.raises(ClusterError, match=r"credentials are not valid \(400\).*; renew them, then make the"):
        write_status()
    assert json.loads(open_storage(f"{s3}/run").read("status.json"))["exit_code"] == 3


def test_credentials_that_never_were_right(server, s3, monkeypatch):
    """Before an attempt has begun they are bad input, whose command would fail again."""
    host, port = server.server_address
    server.give(failure(400, "ExpiredToken"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    with pytest.raises(InputError) as caught:
        job.run(Options(run=f"{s3}/run", workers=0))
    assert caught.value.exit_code == 2
    with pytest.raises(AccessError):
        open_storage(s3).read("name")
