"""Errors of the cluster are one line that says what was refused and what to do."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from jobs.errors import ClusterError, InputError
from jobs.release.api.client import Cluster, Forbidden, explain

CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "jane", "user": {"token": "secret-token"}}],
    "contexts": [
        {"name": "one", "context": {"cluster": "here", "user": "jane", "namespace": "team-a"}},
        {"name": "two", "context": {"cluster": "here", "user": "jane"}},
    ],
    "current-context": "one",
}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return str(path)


def test_forbidden_names_verb_and_resource() -> None:
    """A refusal of RBAC's names who may not do what, and the role to ask for."""
    message = (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "team-a": no role'
    )
    error = explain(403, message, "https://host")
    assert isinstance(error, Forbidden)
    assert (
        str(error) == "jane may not list pods in namespace team-a: ask for a role with the verb 'list' on 'pods' there"
    )


def test_forbidden_in_the_whole_cluster() -> None:
    """Nodes are of no namespace."""
    message = 'nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope'
    assert "jane may not list nodes in the whole cluster" in str(explain(403, message, "https://host"))


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (401, InputError, "log in to the cluster again"),
        (403, InputError, "exceeded quota: team"),
        (500, ClusterError, "try again"),
        (429, ClusterError, "try again"),
        (0, ClusterError, "connection lost"),
        (422, InputError, "refused the request (422)"),
    ],
)
def test_other_answers(status: int, kind: type[Exception], text: str) -> None:
    """What may pass is a ClusterError (3), what the same command would meet again an InputError (2)."""
    error = explain(status, 'pods "x" is forbidden: exceeded quota: team', "https://host")
    assert type(error) is kind
    assert text in str(error)


def test_the_context_gives_the_namespace(kubeconfig: str) -> None:
    """The namespace is the one given, else the context's, else default."""
    assert Cluster(kubeconfig=kubeconfig).namespace == "team-a"
    assert Cluster(context="two", kubeconfig=kubeconfig).namespace == "default"
    assert Cluster("mine", kubeconfig=kubeconfig).namespace == "mine"


def test_an_unknown_context_is_named(kubeconfig: str) -> None:
    """A context that the kubeconfig lacks is an InputError."""
    with pytest.raises(InputError, match="three"):
        Cluster(context="three", kubeconfig=kubeconfig)


def test_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kubeconfig, and outside of a cluster, it says where one was looked for."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InputError, match=r"there is no kubeconfig at .*none: name one by --kubeconfig or KUBECONFIG"):
        Cluster()


def test_a_kubeconfig_that_is_none(tmp_path: Path) -> None:
    """A file of another kind is an InputError of one line."""
    path = tmp_path / "kubeconfig"
    path.write_text("- just\n- a list\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"the kubeconfig .* cannot be used: [^\n]+$"):
        Cluster(kubeconfig=str(path))


class _Api(BaseHTTPRequestHandler):
    """An API that serves Kueue's workloads in one version, and keeps what is changed."""

    served: ClassVar[str]
    changed: ClassVar[list[tuple[str, object]]]

    def do_GET(self) -> None:
        self._answer({"items": [{"metadata": {"name": "job-fit"}}]})

    def do_PATCH(self) -> None:
        self.changed.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self._answer({})

    def _answer(self, content: object) -> None:
        self.send_response(200 if f"/{self.served}/" in self.path else 404)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextlib.contextmanager
def _serving(api: type[BaseHTTPRequestHandler], kubeconfig: str) -> Iterator[None]:
    """Serve an API, and name it in a kubeconfig."""
    with HTTPServer(("127.0.0.1", 0), api) as server:
        path = Path(kubeconfig)
        path.write_text(path.read_text().replace("https://127.0.0.1:1", f"http://127.0.0.1:{server.server_port}"))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("served", ["v1beta2", "v1beta1", "none"])
def test_a_workload_is_changed_in_the_version_that_is_served(served: str, kubeconfig: str) -> None:
    """Kueue's newest version that the API serves is used; without Kueue nothing happens."""
    _Api.served, _Api.changed = served, []
    with _serving(_Api, kubeconfig):
        Cluster(kubeconfig=kubeconfig).release_from_queue({"metadata": {"uid": "1"}})
    workload = f"/apis/kueue.x-k8s.io/{served}/namespaces/team-a/workloads/job-fit"
    assert _Api.changed == ([] if served == "none" else [(workload, {"spec": {"active": False}})])


class _Log(BaseHTTPRequestHandler):
    """An API with a log, which comes in these pieces."""

    pieces: ClassVar[list[bytes]]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*self.pieces, b""]))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def test_a_log_comes_by_lines(kubeconfig: str) -> None:
    """However it is cut into pieces, in the middle of a character too; the last line may lack its end."""
    text = "one\n\ntwo ä\nthree"
    with _serving(_Log, kubeconfig):
        for size in range(1, 20):
            _Log.pieces = [text.encode()[start : start + size] for start in range(0, 17, size)]
            assert list(Cluster(kubeconfig=kubeconfig).follow("pod", "driver")) == ["one\n", "\n", "two ä\n", "three"]


@pytest.mark.timeout(120)  # where each piece copied all before it, these would copy 500 GB
def test_a_long_line_of_a_log_is_copied_once(kubeconfig: str) -> None:
    """A line of any length takes as long as as many bytes of short ones."""
    _Log.pieces = [b"x" * 256] * 2**16 + [b"\n"]
    with _serving(_Log, kubeconfig):
        (line,) = Cluster(kubeconfig=kubeconfig).follow("pod", "driver")
    assert line == "x" * 2**24 + "\n"


def test_an_endless_line_of_a_log_is_cut(kubeconfig: str) -> None:
    """Of a line longer than all that a job writes the beginning comes; the next one is whole."""
    _Log.pieces = [b"x" * 2**20] * 20 + [b"x\nnext\n", b"x" * 2**20] + [b"y" * 2**20] * 20
    with _serving(_Log, kubeconfig):
        lines = list(Cluster(kubeconfig=kubeconfig).follow("pod", "driver"))
    assert lines == ["x" * 2**24 + "...\n", "next\n", "x" * 2**20 + "y" * 15 * 2**20 + "..."]


def test_a_cluster_that_does_not_answer(kubeconfig: str) -> None:
    """A refused connection is a ClusterError that names the address, and not the token."""
    with pytest.raises(
        ClusterError, match=r"^the cluster at https://127.0.0.1:1 cannot be reached \(.*refused\)"
    ) as told:
        Cluster(kubeconfig=kubeconfig).nodes()
    assert "secret-token" not in str(told.value)
