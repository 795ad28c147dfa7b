"""What a release lets in and out on a real cluster."""

from __future__ import annotations

from pathlib import Path

from certificates import write_certificates
from release import Kubectl, wait_until
from watched import Watched, slow_values

TALK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
PLAIN = "import sys; from distributed import Client; Client(sys.argv[1], timeout=5)"
NO_TOKEN = (
    "import os, pathlib; assert os.getuid() == 1000; assert not pathlib.Path('/var/run/secrets/kubernetes.io').exists()"
)


def test_strangers_are_kept_out(watched: Watched) -> None:
    """A pod of another kind reaches neither scheduler nor dashboard, and only the one that a value lets it."""
    friends = [{"podSelector": {"matchLabels": {"role": "friend"}}}]
    policy = {"networkPolicy": {"dashboardFrom": friends}}
    watched.install("fit", values={**slow_values(SLOW_SECONDS="0.3"), **policy})
    watched.until_event("fit", "progress")
    address, nobody, friend = watched.driver_address("fit"), watched.stranger("nobody"), watched.stranger("friend")
    wait_until("a friend sees the dashboard", lambda: watched.python(friend, TALK, address, "8787") == 0)
    for pod, port in ((friend, "8786"), (nobody, "8786"), (nobody, "8787"), (nobody, "8788")):
        assert watched.python(pod, TALK, address, port) == 1


def test_tls(watched: Watched, kubectl: Kubectl, tmp_path: Path) -> None:
    """With TLS the job is done, and a client that speaks plain TCP is refused although the network lets it in."""
    files = write_certificates(tmp_path)
    kubectl("create", "secret", "generic", "certs", *(f"--from-file={path}" for path in files.values()))
    values = {**slow_values(SLOW_SECONDS="0.1"), "networkPolicy": {"schedulerFrom": [{"podSelector": {}}]}}
    watched.install("fit", "tls.enabled=true", "tls.secret=certs", values=values)
    watched.until_event("fit", "progress")
    address, client = watched.driver_address("fit"), watched.stranger("client")
    wait_until("the network lets it in", lambda: watched.python(client, TALK, address, "8786") == 0)
    assert watched.python(client, PLAIN, f"tcp://{address}:8786") == 1
    assert watched.exit_code("fit") == 0
    joined = watched.events("fit", "joined", "worker")
    assert joined
    assert all(event["address"].startswith("tls://") for event in joined)


def test_pods_have_no_token(watched: Watched) -> None:
    """No pod has a service account's token; the namespace's restricted profile admitted them all, as user 1000."""
    watched.install("fit", values=slow_values())
    watched.until_pods_run("fit", 3)
    for pod in watched.pods("fit", "driver") + watched.pods("fit", "worker"):
        assert watched.python(pod, NO_TOKEN) == 0
    assert watched.exit_code("fit") == 0
