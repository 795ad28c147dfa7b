"""Fixtures of the end-to-end tests: a namespace a test on a real cluster, and releases of the chart in it.

They need KUBECONFIG and DASK_JOBS_IMAGE, the image's name on the cluster's nodes; CONTRIBUTING.md says how to run them.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import release as tools
from api import Api
from release import Bucket, Claim, CommandError, Host, Outcome
from watched import Watched
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[2]
S3_KEYS = {"AWS_ACCESS_KEY_ID": "e2e", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16)}
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
SESSION = "dask-jobs-e2e"
"""The label of the session's namespaces; the environment has its value, also in the processes of pytest-xdist."""
GROUPS = {
    "test_killed_pods_lose_nothing": "nine pods each",
    "test_manifest": "two thirds of the node each",
    "test_manifest_of_tune": "two thirds of the node each",
}
"""Of the tests of a group one runs at a time: together they would take each other's room on a node of two cores."""
SMALL = {
    "workers": {"cpu": "100m", "memory": "512Mi"},
    "driver": {"cpu": "100m", "memory": "512Mi", "scheduler": {"cpu": "50m"}},
}
"""What pods reserve where a test does not say it: the releases of several tests find room on a node of two cores."""


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process of pytest-xdist a further test when it is free, and the tests of a group to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return GROUPS.get(nodeid.partition("[")[0].rpartition("::")[2], nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Schedule by groups; pytest-xdist's own `loadgroup` does not know the groups with pytest 9.2."""
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that need the whole node first, while it is empty."""
    items.sort(key=lambda item: item.get_closest_marker("whole_node") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Put the state of a failed test's namespace into its report, while it is there."""
    report = yield
    kubectl = getattr(item, "funcargs", {}).get("kubectl")
    if report.failed and report.when in ("setup", "call") and kubectl:
        report.sections.append(("the namespace", tools.dump(kubectl)))
    return report


def pytest_sessionstart(session: pytest.Session) -> None:
    """End the session if the cluster, the image or a program is not there; once, and not in each process of it."""
    if session.config.option.collectonly or hasattr(session.config, "workerinput"):
        return
    for name in ("kubectl", "helm"):
        if not shutil.which(name):
            pytest.exit(f"the end-to-end tests need {name} on PATH", returncode=2)
    for name, what in {"KUBECONFIG": "the cluster's kubeconfig", "DASK_JOBS_IMAGE": "the image on its nodes"}.items():
        if not os.environ.get(name):
            pytest.exit(
                f"the end-to-end tests need a cluster: set {name} to {what} (see CONTRIBUTING.md)", returncode=2
            )
    try:
        tools.command("kubectl", "get", "--raw", "/readyz", timeout=20)
    except (CommandError, subprocess.TimeoutExpired) as error:
        pytest.exit(f"the cluster of KUBECONFIG={os.environ['KUBECONFIG']!r} does not answer: {error}", returncode=2)
    os.environ[SESSION] = secrets.token_hex(4)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Delete what is left of the session: processes of pytest-xdist that are interrupted do not end their fixtures."""
    if SESSION in os.environ and not hasattr(session.config, "workerinput"):
        tools.command("kubectl", "delete", "namespaces", "--selector", _label(), "--wait=false")


def _label() -> str:
    return f"{SESSION}={os.environ[SESSION]}"


@pytest.fixture(scope="session")
def image() -> str:
    """Return the image's name."""
    return os.environ["DASK_JOBS_IMAGE"]


@pytest.fixture(scope="session")
def pull_policy() -> str:
    """Return the pull policy of all pods: Never where images come by loading them into the node."""
    return os.environ.get("DASK_JOBS_PULL_POLICY", "IfNotPresent")


@pytest.fixture
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hold the node: alone for a test that is marked `whole_node`, together with the processes of pytest-xdist else."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent  # each process has a folder of its own in that of the session
    alone = request.node.get_closest_marker("whole_node")
    with (folder / "next").open("w") as turn, (folder / "node").open("w") as held:
        fcntl.flock(turn, fcntl.LOCK_EX)  # who waits for the others to end is not overtaken by their next tests
        fcntl.flock(held, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turn, fcntl.LOCK_UN)
        yield


@pytest.fixture
def namespace(image: str, node: None) -> Iterator[str]:
    """Yield a new namespace that enforces the restricted Pod Security profile; it is deleted with all in it."""
    name = f"e2e-{secrets.token_hex(4)}"
    tools.command("kubectl", "create", "namespace", name)
    tools.command("kubectl", "label", "namespace", name, RESTRICTED, _label())
    yield name
    delete_namespace(name)


@pytest.fixture
def kubectl(namespace: str) -> tools.Kubectl:
    """Return `kubectl(*args, input=None, check=True, timeout=60) -> str`, in the test's namespace."""
    return partial(tools.command, "kubectl", "--namespace", namespace)


@pytest.fixture
def api(namespace: str) -> Api:
    """Return what reads Jobs, pods and logs of the test's namespace."""
    return Api(namespace)


@pytest.fixture
def helm(namespace: str) -> tools.Kubectl:
    """Return `helm(*args, input=None, check=True, timeout=60) -> str`, in the test's namespace."""
    return partial(tools.command, "helm", "--namespace", namespace)


@pytest.fixture
def install(helm: tools.Kubectl, image: str, pull_policy: str, tmp_path: Path) -> Callable[..., str]:
    """Return `install(release, *arguments, values=None, chart="minimize") -> str` (helm's output).

    An argument is NAME=VALUE, as after `--set`, or begins with `--` and goes to helm as it is (`--set-file=code...`).
    A release that is there is upgraded. All end with the namespace.
    """
    repository, _, tag = image.rpartition(":")
    ours = {"image": {"registry": "", "repository": repository, "tag": tag, "pullPolicy": pull_policy}} | SMALL

    def run(name: str, *arguments: str, values: dict[str, Any] | None = None, chart: str = "minimize") -> str:
        files = [tmp_path / f"{name}-image.json", tmp_path / f"{name}-values.json"]
        for file, content in zip(files, (ours, values or {}), strict=True):
            file.write_text(json.dumps(content))
        given = [word if word.startswith("--") else f"--set={word}" for word in arguments]
        return helm("upgrade", "--install", name, ROOT / "charts" / chart, *(f"--values={f}" for f in files), *given)

    return run


@pytest.fixture
def training(install: Callable[..., str], image: str, kubectl: tools.Kubectl) -> Callable[..., str]:
    """Return `training(chart, *arguments, values=None)`: installs the release `fit` with TensorFlow's image."""
    return _with(f"{image}-cpu", install, kubectl)


@pytest.fixture
def torch_fit(install: Callable[..., str], image: str, kubectl: tools.Kubectl) -> Callable[..., str]:
    """Return `torch_fit(chart, *arguments, values=None)`: installs the release `fit` with PyTorch's image."""
    return _with(f"{image}-torch", install, kubectl)


def _with(image: str, install: Callable[..., str], kubectl: tools.Kubectl) -> Callable[..., str]:
    """Return what installs the release `fit` with an image, which comes to the node while other tests run."""
    images = ("get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names[*]}")
    tools.wait_until(f"the image {image}", lambda: image in kubectl(*images).split(), 1500, 5)
    tag = f"image.tag={image.rpartition(':')[2]}"

    def run(chart: str, *arguments: str, values: dict[str, Any] | None = None) -> str:
        return install("fit", tag, *arguments, values=values, chart=chart)

    return run


@pytest.fixture
def gpus() -> Iterator[str]:
    """Yield the name of devices of which a node offers two, that are not there; Kubernetes only counts them."""
    node = tools.command("kubectl", "get", "nodes", "--output=jsonpath={.items[0].metadata.name}")
    name = f"example.com/gpu-{secrets.token_hex(2)}"  # another one in each test, since several run at a time
    paths = [f"/status/{kind}/{name.replace('/', '~1')}" for kind in ("capacity", "allocatable")]
    patch = partial(tools.command, "kubectl", "patch", "node", node, "--subresource=status", "--type=json", "-p")
    patch(json.dumps([{"op": "add", "path": path, "value": "2"} for path in paths]))
    yield name
    patch(json.dumps([{"op": "remove", "path": path} for path in paths]))


@pytest.fixture
def watched(api: Api, kubectl: tools.Kubectl, install: Callable[..., str], image: str, tmp_path: Path) -> Watched:
    """Return the test's namespace as a person sees it, with the commands to type there, in an empty folder."""
    home = tmp_path / "home"
    home.mkdir()
    return Watched(api, kubectl, install, image, home)


@pytest.fixture
def wait_for(api: Api) -> Callable[[str, float], int]:
    """Return `wait_for(release, timeout) -> int`: the exit code of the driver, once its Job has ended."""
    return partial(tools.wait_for, api)


@pytest.fixture
def result_of(api: Api, tmp_path: Path) -> Callable[[str, Claim | Bucket], Outcome]:
    """Return `result_of(release, place) -> Outcome` of the release's newest run in a Claim or a Bucket."""

    def read(name: str, place: Claim | Bucket) -> Outcome:
        url = tools.driver_job(api, name)["metadata"]["annotations"]["dask-jobs/run-url"]
        return tools.outcome(place.fetch(url, tmp_path / secrets.token_hex(4)))

    return read


@pytest.fixture(scope="session")
def host(image: str, pull_policy: str) -> Iterator[Host]:
    """Yield a pod that reads and writes folders of its node for `claim`."""
    name = f"e2e-host-{secrets.token_hex(4)}"
    run = partial(tools.command, "kubectl", "--namespace", name)
    tools.command("kubectl", "create", "namespace", name)
    tools.command("kubectl", "label", "namespace", name, _label())
    run("apply", "--filename=-", input=json.dumps(tools.host_pod(image, pull_policy)))
    run("wait", "pod/host", "--for=condition=Ready", "--timeout=300s", timeout=310)
    yield Host(name, run("get", "pod", "host", "--output=jsonpath={.spec.nodeName}"))
    delete_namespace(name)


@pytest.fixture
def claim(namespace: str, host: Host, kubectl: tools.Kubectl) -> Iterator[Claim]:
    """Yield a bound, empty claim that uid 1000 may write to, with `read(path)`, `files()` and `fetch(run_url, to)`."""
    folder = f"{Host.ROOT}/{namespace}"
    host.run("mkdir", "--mode=777", folder)
    for manifest in tools.claim_manifests(namespace, host.node):
        kubectl("apply", "--filename=-", input=json.dumps(manifest))
    yield Claim("runs", folder, host)
    kubectl("delete", "pods,jobs", "--all", "--grace-period=1", timeout=120)
    kubectl("delete", "persistentvolume", namespace, "--wait=false")
    host.run("rm", "-rf", folder)


@pytest.fixture(scope="session")
def s3_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yield a boto3 client of an S3 server on this machine, versitygw, that pods reach at DASK_JOBS_S3_HOST."""
    import boto3

    address = os.environ.get("DASK_JOBS_S3_HOST")
    if not address or not shutil.which("versitygw"):
        pytest.exit("tests with S3 need versitygw on PATH, and DASK_JOBS_S3_HOST: this machine, as pods see it", 2)
    with socket.create_server((address, 0)) as free:
        port = free.getsockname()[1]
    key, secret = S3_KEYS.values()
    words = ["versitygw", "--port", f"{address}:{port}", "--quiet", "posix", str(tmp_path_factory.mktemp("s3"))]
    environment = {**os.environ, "ROOT_ACCESS_KEY_ID": key, "ROOT_SECRET_ACCESS_KEY": secret}
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        session = boto3.session.Session(key, secret, region_name="us-east-1")
        client = session.client("s3", endpoint_url=f"http://{address}:{port}")
        try:
            tools.wait_until("the S3 server answers", partial(connects, address, port), pause=0.1)
            yield client
        finally:
            client.close()
            server.terminate()


@pytest.fixture
def s3_endpoint(s3_client: Any, namespace: str, kubectl: tools.Kubectl) -> Bucket:
    """Return a new bucket, with its keys in the Secret `s3-credentials` of the test's namespace."""
    s3_client.create_bucket(Bucket=namespace)
    given = (f"--from-literal={name}={value}" for name, value in S3_KEYS.items())
    kubectl("create", "secret", "generic", "s3-credentials", *given)
    return Bucket(namespace, s3_client.meta.endpoint_url, "s3-credentials", s3_client)


def connects(address: str, port: int) -> bool:
    """Tell whether something listens at a port."""
    with socket.socket() as tried:
        return tried.connect_ex((address, port)) == 0


def delete_namespace(name: str) -> None:
    """Delete a namespace with all in it, and wait until its pods are gone: they must not slow down the next test."""
    tools.command("kubectl", "--namespace", name, "delete", "jobs,pods", "--all", "--grace-period=1", timeout=120)
    tools.command("kubectl", "delete", "namespace", name, "--wait=false")
