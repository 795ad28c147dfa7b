"""How many pods fit on a cluster's nodes, and what a plan concludes from it: pure functions of nodes and pods."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from situation import run

import jobs
from jobs.errors import InputError
from jobs.release.commands import plan
from jobs.release.plan.capacity import PodRequest, fit, free_nodes, quantity, requests
from jobs.release.plan.chart import chart_of
from jobs.release.plan.plan import Plan, verdict

GPU = "nvidia.com/gpu"


def _node(name: str = "node", *, taints: tuple[dict[str, str], ...] = (), **allocatable: str) -> dict[str, Any]:
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "10", **allocatable}
    return {
        "metadata": {"name": name, "labels": {"pool": name}},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def _pods(count: int = 1, cpu: str = "1", **more: Any) -> PodRequest:
    return PodRequest("workers", count, {"cpu": quantity(cpu), "memory": quantity("1Gi"), "pods": Decimal(1)}, **more)


def test_free_is_allocatable_less_requests() -> None:
    """What live pods request, sidecars with them, is not free; ended pods hold nothing."""
    running = {**run("running").driver_pods[0]}
    running["spec"] = {**running["spec"], "nodeName": "node"}
    ended = {**running, "status": {"phase": "Succeeded"}}
    (node,) = free_nodes([_node()], [running, ended])
    assert node.free["cpu"] == Decimal("3.96")
    assert node.free["memory"] == 8 * 2**30 - 2 * 48 * 2**20
    assert node.free["pods"] == 9


def test_a_large_init_container_counts_alone() -> None:
    """A pod requests its containers together or, if that is more, its largest plain init container."""
    plain = {"resources": {"requests": {"cpu": "3"}}}
    spec = {"containers": [{"resources": {"limits": {"cpu": "1"}}}], "initContainers": [plain]}
    assert requests(spec)["cpu"] == 3


def test_pods_are_placed_where_they_fit() -> None:
    """Each node takes as many as its scarcest resource allows."""
    nodes = free_nodes([_node("a"), _node("b", cpu="2")], [])
    assert fit([_pods(10)], nodes) == {"workers": 6}
    assert fit([_pods(10, selector={"pool": "b"})], nodes) == {"workers": 2}


def test_taints_keep_pods_off() -> None:
    """A taint is stood only by a toleration; nodes that are not ready or cordoned take nothing."""
    taint = {"key": GPU, "value": "yes", "effect": "NoSchedule"}
    nodes = free_nodes([_node(taints=(taint,))], [])
    assert fit([_pods()], nodes) == {"workers": 0}
    for toleration in ({"operator": "Exists"}, {"key": GPU, "value": "yes"}, {"key": GPU, "operator": "Exists"}):
        assert fit([_pods(tolerations=[toleration])], nodes) == {"workers": 1}
    assert not free_nodes([{**_node(), "spec": {"unschedulable": True}}], [])


@pytest.mark.parametrize(
    ("driver", "workers", "text"),
    [
        (0, 0, "does not fit now: no node has room for the driver's pod (3 nodes)"),
        (1, 1, "does not fit now: room for 1 of 2 workers with which it starts (3 nodes)"),
        (1, 3, "can start now with 3 of 4 workers; the others wait for room (3 nodes)"),
        (1, 4, "fits now (3 nodes)"),
    ],
)
def test_verdict(driver: int, workers: int, text: str) -> None:
    """The verdict is whether it fits, starts, or waits, and for what."""
    plan = Plan(driver=_pods(), workers=_pods(4), least=2, threads=1, gpu="")
    assert verdict(plan, {"driver": driver, "workers": workers}, 3) == text


def test_without_helm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without helm on the path one line says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="plan needs helm on the PATH: install Helm") as error:
        plan(["tune"])
    assert "\n" not in str(error.value)


def test_without_the_chart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where no chart of the job is, as after an installation from a wheel, one line says what to give in its place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "__file__", str(tmp_path / "site-packages/jobs/__init__.py"))
    with pytest.raises(InputError, match="the chart charts/tune is not here: .* in place of 'tune'"):
        chart_of("tune", ("minimize", "tune"))


def test_where_the_chart_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The current folder's chart comes before the checkout's; a path or a URL is taken as it is."""
    checkout = chart_of("tune", ("minimize", "tune"))
    assert (Path(checkout) / "Chart.yaml").is_file()
    monkeypatch.chdir(tmp_path)
    assert chart_of("tune", ("minimize", "tune")) == checkout
    (tmp_path / "charts/tune").mkdir(parents=True)
    (tmp_path / "charts/tune/Chart.yaml").touch()
    assert chart_of("tune", ("minimize", "tune")) == str(tmp_path / "charts/tune")
    assert chart_of("oci://registry/charts/other", ("minimize", "tune")) == "oci://registry/charts/other"
