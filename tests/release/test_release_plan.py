"""What a release would ask for, and whether it finds room: pure functions of values, nodes and pods."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from situation import run

from jobs.errors import InputError
from jobs.release.arguments import ClusterOptions
from jobs.release.plan.capacity import PodRequest, free_nodes, place, quantity, requests
from jobs.release.plan.plan import headline, job_rows, plan_of, resource_rows, show_plan, verdict
from jobs.release.plan.values_input import checked, settings, values_given

GPU = "nvidia.com/gpu"


def _node(name: str = "node", *, taints: tuple[dict[str, str], ...] = (), **allocatable: str) -> dict[str, Any]:
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "10", **allocatable}
    return {
        "metadata": {"name": name, "labels": {"pool": name}},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def _need(count: int = 1, cpu: str = "1", **more: Any) -> PodRequest:
    return PodRequest("workers", count, {"cpu": quantity(cpu), "memory": quantity("1Gi"), "pods": Decimal(1)}, **more)


def test_the_defaults() -> None:
    """The chart's defaults are three pods; their requests are added up exactly."""
    plan = plan_of(checked({}))
    assert headline(plan) == "3 pods, 1.35 cores, 3.5 GiB memory, no GPU"
    assert (plan.least, plan.threads) == (2, 1)


def test_elastic_workers_with_gpus() -> None:
    """The most workers are asked for, the least let the job start; threads are the whole cores."""
    plan = plan_of(checked({"workers": {"min": 1, "max": 5, "cpu": "2500m", "gpu": 2}}))
    assert (plan.workers.count, plan.least, plan.threads) == (5, 1, 2)
    assert headline(plan) == f"6 pods, 12.85 cores, 6.5 GiB memory, 10 {GPU}"
    assert "starts with 1" in dict(resource_rows(checked({"workers": {"min": 1, "max": 5}}), plan))["workers"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "scratch space"),
        ({"s3": "s3://bucket/runs"}, "s3://bucket/runs/RELEASE-HASH"),
        ({"claim": {"name": "runs"}, "name": "seven"}, "/runs/seven on claim runs"),
        ({"claim": {"create": True, "size": "5Gi"}}, "/runs/RELEASE-HASH on a new claim of 5Gi"),
    ],
)
def test_run_folder(given: dict[str, Any], text: str) -> None:
    """The plan says where the run folder will be."""
    values = checked({"run": given})
    assert text in dict(resource_rows(values, plan_of(values)))["run folder"]


def test_bytes_of_an_evaluation() -> None:
    """8 bytes for each of 650 parameters and for the loss, for each worker; of the shipped digits."""
    values = checked({})
    rows = dict(job_rows("minimize", values, plan_of(values)))
    assert rows["problem"].startswith("650 parameters, 1,797 rows")
    assert rows["evaluation"].startswith("10.4 kB each way (5.2 kB for each of 2 workers)")
    assert "straight to the driver" in rows["evaluation"]


def test_a_users_problem_that_needs_a_tree() -> None:
    """A module given by `code` is made; many workers with many parameters bring their sums back by a tree."""
    code = "import numpy as np\nclass Wide:\n    rows = 10**6\n    x0 = lambda s: np.zeros(10**6)\n"
    code += "    load = value_and_grad = lambda *_: None\n"
    values = checked({"workers": {"count": 4}, "code": {"wide_plan.py": code}, "job": {"problem": "wide_plan:Wide"}})
    rows = dict(job_rows("minimize", values, plan_of(values)))
    assert rows["evaluation"].startswith("32.0 MB each way (8.0 MB for each of 4 workers)")
    assert "through a tree" in rows["evaluation"]


def test_a_problem_that_cannot_be_made_here() -> None:
    """Data that only the cluster has are no error: the plan says why it does not know."""
    values = checked({"job": {"data": "npz:/only/there.npz"}})
    assert "/only/there.npz does not exist" in dict(job_rows("minimize", values, plan_of(values)))["problem"]


OBJECTIVE = "def train(parameters):\n    return 0.0\n"


def test_trials_at_once() -> None:
    """A study's plan tells how many trials run at once, by threads and GPUs, and what is searched."""
    job = {"objective": "search_plan:train", "space": "/code/space.yaml", "threads_per_trial": 2, "gpus_per_trial": 0.5}
    code = {"search_plan.py": OBJECTIVE, "space.yaml": "rate: {log: [1.0e-6, 1]}\nwidth: {integer: [1, 9]}\n"}
    values = checked({"workers": {"count": 20, "cpu": 5, "gpu": 1}, "code": code, "job": job})
    rows = dict(job_rows("tune", values, plan_of(values)))
    assert rows["at once"] == "40 trials, 2 on each of 20 workers"
    assert rows["search"] == "100 trials of search_plan:train, random, pruner asha"
    assert rows["space"] == "rate, width"


def test_more_places_than_trials() -> None:
    """Workers that would have nothing to do are told of, also where the objective is not known here."""
    values = checked({"workers": {"count": 5}, "job": {"trials": 4, "objective": "only_there:train"}})
    rows = dict(job_rows("tune", values, plan_of(values)))
    assert rows[""] == "more places than trials (4): some workers will have no work"
    assert "not known here: --objective only_there:train: cannot import it" in rows["search"]


def test_wrong_job_options() -> None:
    """A wrong option of the job is told as the job tells it."""
    values = checked({"job": {"max_iterations": 0}})
    with pytest.raises(InputError, match="job: --max-iterations is 0, but must be greater than 0"):
        list(job_rows("minimize", values, plan_of(values)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": {"cout": 3}}, "workers.cout: there is no such value; did you mean 'count'?"),
        ({"wrkers": {}}, "wrkers: there is no such value; did you mean 'workers'?"),
        ({"workers": {"count": 0}}, "workers.count is 0, but must be greater than 0"),
        ({"workers": {"memory": "1X"}}, "workers.memory is '1X', but must match"),
        ({"workers": {"min": 3, "max": 2}}, "workers.min is 3 and workers.max is 2"),
        ({"job": {"workers": 3}}, "job.workers is given, but the chart sets it"),
    ],
)
def test_wrong_values(given: dict[str, Any], message: str) -> None:
    """A wrong value is one line that names it, what was given and the rule."""
    with pytest.raises(InputError) as told:
        checked(given)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_files_and_settings_as_helm_takes_them(tmp_path: Path) -> None:
    """Later files and settings win, maps are merged, escaped dots stay in names."""
    for name, text in {"a": "workers: {count: 3, cpu: 1}", "b": "workers: {count: 4}", "model.py": "x = 1\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    file_texts = [rf"code.model\.py={tmp_path / 'model.py'}"]
    values = values_given([str(tmp_path / "a"), str(tmp_path / "b")], ["workers.gpu=1,run.name=x"], file_texts)
    assert (values.workers.count, values.workers.cpu, values.workers.gpu) == (4, 1, 1)
    assert (values.run.name, values.code) == ("x", {"model.py": "x = 1\n"})


@pytest.mark.parametrize("text", ["workers.count", "=3", "a.b={1,2}", "a[0]=1"])
def test_settings_that_are_none(text: str) -> None:
    """What is no NAME=VALUE, or is a list, is refused with what to do."""
    with pytest.raises(InputError, match="--set"):
        settings(text)


@pytest.mark.parametrize(("name", "text"), [("no.yaml", None), ("list.yaml", "- 1"), ("bad.yaml", "a: [")])
def test_files_that_are_no_values(tmp_path: Path, name: str, text: str | None) -> None:
    """A file that is not there or no YAML mapping is named."""
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=name):
        values_given([str(tmp_path / name)], [], [])


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
    assert place([_need(10)], nodes) == {"workers": 6}
    assert place([_need(10, selector={"pool": "b"})], nodes) == {"workers": 2}


def test_taints_keep_pods_off() -> None:
    """A taint is stood only by a toleration; nodes that are not ready or cordoned take nothing."""
    taint = {"key": GPU, "value": "yes", "effect": "NoSchedule"}
    nodes = free_nodes([_node(taints=(taint,))], [])
    assert place([_need()], nodes) == {"workers": 0}
    for toleration in ({"operator": "Exists"}, {"key": GPU, "value": "yes"}, {"key": GPU, "operator": "Exists"}):
        assert place([_need(tolerations=[toleration])], nodes) == {"workers": 1}
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
    """The verdict says whether it fits, starts, or waits, and for what."""
    plan = plan_of(checked({"workers": {"min": 2, "max": 4}}))
    assert verdict(plan, {"driver": driver, "workers": workers}, 3) == text


def test_without_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no cluster can be reached all but the comparison is still told."""
    kubeconfig = str(tmp_path / "none")
    show_plan("minimize", [], [], [], ClusterOptions(None, None, kubeconfig).connect)
    told = capsys.readouterr().out
    assert "minimize: 3 pods" in told
    assert "not compared: there is no kubeconfig" in told
