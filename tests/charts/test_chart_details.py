"""How values become what Kubernetes and the driver read, where that takes more than copying; and network rules."""

from __future__ import annotations

from typing import Any

import pytest
from chart_tools import render

from jobs.cpu import PORTABLE
from jobs.minimize.options import Options

SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
OWN = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "minimize", "app.kubernetes.io/instance": "fit"}}}
DNS = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}


def _threads(cpu: str | float) -> str:
    words: list[str] = render({"workers": {"cpu": cpu}}).container("worker")["args"]
    return words[words.index("--threads") + 1]


@pytest.mark.parametrize(
    ("cpu", "threads"), [("500m", "1"), ("2", "2"), (2, "2"), ("3500m", "3"), (1.5, "1"), ("0.25", "1"), (16, "16")]
)
def test_threads_are_the_whole_cores(cpu: str | float, threads: str) -> None:
    """Without workers.threads, a worker computes on the whole cores of its cpu, at least on one."""
    assert _threads(cpu) == threads


def test_spread_counts_the_roles_own_pods() -> None:
    """A constraint without labelSelector gets one that selects this run's pods of the role; a given one stays."""
    given = SPREAD | {"labelSelector": {"matchLabels": {"a": "b"}}}
    release = render({"workers": {"topologySpreadConstraints": [SPREAD, given]}})
    own, other = release.worker_pod["spec"]["topologySpreadConstraints"]
    assert own["labelSelector"]["matchLabels"].items() <= release.worker_pod["metadata"]["labels"].items()
    assert own["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"
    assert other == given


def test_numbers_reach_the_driver_as_numbers() -> None:
    """Helm reads all numbers as floating point; the driver reads what was given, also where they are large or small."""
    job = {"max_iterations": 12345678, "tol": 1e-12, "l2": 0.1, "options": {"maxcor": 20, "ftol": 2.5e-11}}
    options = render({"job": job}).options
    assert {key: options[key] for key in ("max_iterations", "l2")} == {"max_iterations": 12345678, "l2": 0.1}
    assert float(options["tol"]) == 1e-12
    assert (options["options"]["maxcor"], float(options["options"]["ftol"])) == (20, 2.5e-11)


def test_numbers_may_be_set_on_the_command_line() -> None:
    """`--set job.tol=1e-3` and 0.5 are text to Helm; they pass, and the driver reads the number."""
    for text, number in (("1e-3", 0.001), ("0.5", 0.5), (".5", 0.5), ("2", 2)):
        assert Options(tol=render({"job": {"tol": text}}).options["tol"]).tol == number


def test_pods_reach_each_other_and_dns_alone() -> None:
    """The policy holds for all pods of the release, in both directions."""
    policy = render().policy
    assert policy["podSelector"] == OWN["podSelector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"from": [OWN]}]
    assert policy["egress"] == [{"to": [OWN]}, DNS]


@pytest.mark.parametrize(
    ("values", "port"),
    [
        ({"run": {"s3": "s3://runs"}}, 443),
        ({"job": {"data": "npz:s3://bucket/train.npz"}}, 443),
        ({"s3": {"region": "eu-west-1"}}, 443),
        ({"s3": {"credentialsSecret": "keys"}}, 443),
        ({"s3": {"endpoint": "http://s3-server:7070"}}, 7070),
        ({"s3": {"endpoint": "http://s3-server/"}}, 80),
        ({"s3": {"endpoint": "https://s3.example"}}, 443),
        ({"s3": {"endpoint": "http://[fd00::1]:9000"}}, 9000),
    ],
    ids=str,
)
def test_pods_reach_s3_where_it_is_in_use(values: dict[str, Any], port: int) -> None:
    """Whatever leads to S3 opens its port: the endpoint's, or 443."""
    assert render(values).policy["egress"] == [{"to": [OWN]}, DNS, {"ports": [{"protocol": "TCP", "port": port}]}]


def test_scratch_is_the_drivers_alone_and_has_no_test() -> None:
    """Without a claim or S3 the run folder is an emptyDir of the driver's pod, which no other pod could read."""
    release = render()
    volumes = {one["name"]: one for one in release.driver_pod["spec"]["volumes"]}
    assert volumes["run"] == {"name": "run", "emptyDir": {"sizeLimit": "1Gi"}}
    assert "run" not in {one["name"] for one in release.worker_pod["spec"]["volumes"]}
    assert "Pod" not in {one["kind"] for one in release.objects}


@pytest.mark.parametrize(
    ("run", "mounts"),
    [({"s3": "s3://runs"}, ["/tmp"]), ({"claim": {"name": "a"}}, ["/tmp", "/runs"])],
    ids=["s3", "claim"],
)
def test_helm_test_shows_the_run(run: dict[str, Any], mounts: list[str]) -> None:
    """The hook reads the run folder, wherever it is, and leaves no pod behind."""
    release = render({"run": run})
    pod = release.named("Pod", f"-test-{release.hash}")
    assert release.container("test")["args"] == ["dask-jobs", "show", release.url]
    assert [one["mountPath"] for one in release.container("test")["volumeMounts"]] == mounts
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert "hook-failed" in pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "test"


@pytest.mark.parametrize("role", ["driver", "worker"])
def test_portable_instructions_are_set_before_anything_is_loaded(role: str) -> None:
    """By environment variables of the containers, which are those that the program itself would set."""

    def variables(cpu: str) -> dict[str, str]:
        env = render({"job": {"cpu": cpu}}).container(role)["env"]
        return {one["name"]: one["value"] for one in env if one["name"] in PORTABLE}

    assert variables("portable") == PORTABLE
    assert variables("native") == {}
