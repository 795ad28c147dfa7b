"""Pods are killed at random times, again and again: every run is complete, and has the bits of an undisturbed one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from release import Claim, CommandError
from watched import Watched, slow_values

from jobs.minimize.job import run
from jobs.minimize.options import Options

SEEDS = range(4)
VICTIMS = {"one": ["driver"], "two": ["worker"], "three": ["driver", "worker"]}
"""Release -> the roles that lose a pod."""


@pytest.fixture(scope="module")
def optimum(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Return what one process finds, undisturbed."""
    folder = tmp_path_factory.mktemp("local") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        patch.setenv("SLOW_SECONDS", "0")
        run(Options(problem="slow:Slow", workers=0, run=str(folder)))
    return np.load(folder / "x.npy")


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_pods_lose_nothing(
    watched: Watched, claim: Claim, result_of: Callable, optimum: np.ndarray, seed: int
) -> None:
    """`kubectl delete pod --force` of the driver, a worker, or both, at random times: Complete, with the same bits.

    Three releases at a time, since most of it is waiting.
    """
    chance = random.Random(seed)
    for name in VICTIMS:
        watched.install(name, f"run.claim.name={claim}", values=slow_values(cpu="50m", SLOW_SECONDS="0.15"))
    for name in VICTIMS:
        watched.until_pods_run(name, 3)
    for name in chance.sample(list(VICTIMS), len(VICTIMS)):
        time.sleep(chance.uniform(0, 6))
        victims = [chance.choice(pods) for role in VICTIMS[name] if (pods := watched.pods(name, role))]
        assert victims, "the run ended before anything was killed: make slow.py slower"
        watched.kubectl("delete", "pod", "--force", "--grace-period=0", *victims)
    assert [watched.exit_code(name) for name in VICTIMS] == [0, 0, 0]
    watched.no_pods_in(60)
    for name in VICTIMS:
        assert np.array_equal(result_of(name, claim).x, optimum)


def test_graceful_deletion(watched: Watched, claim: Claim, result_of: Callable, optimum: np.ndarray) -> None:
    """`kubectl delete pod` with its grace: the driver saves (4), a worker leaves (143), neither counts as a failure."""
    none = ("driver.backoffLimit=0", "workers.backoffLimit=0")
    watched.install("fit", f"run.claim.name={claim}", *none, values=slow_values())
    watched.until_event("fit", "progress")
    watched.kubectl("delete", "pod", watched.pods("fit", "worker")[0], "--wait=false")
    time.sleep(3)
    watched.kubectl("delete", "pod", watched.pods("fit", "driver")[0])
    assert watched.exit_code("fit") == 0
    watched.no_pods_in(60)
    assert np.array_equal(result_of("fit", claim).x, optimum)


@pytest.fixture
def drain(watched: Watched) -> Iterator[Callable[[], str]]:
    """Yield a function that drains the only node of a release's pods, of no others; it is uncordoned at the end."""
    name = watched.kubectl("get", "nodes", "--output=jsonpath={.items[0].metadata.name}")
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector=app.kubernetes.io/instance=fit")
    yield lambda: watched.kubectl("drain", name, *options, "--timeout=30s", timeout=120)
    watched.kubectl("uncordon", name)


@pytest.mark.whole_node  # while it is cordoned no other test's pods start
def test_a_drained_node(
    watched: Watched, claim: Claim, result_of: Callable, optimum: np.ndarray, drain: Callable[[], str]
) -> None:
    """A drain evicts the workers, but waits for the driver, as its budget says; without that it evicts the driver too.

    `status` says that the node is cordoned; when it is not any more, the run ends as if nothing had happened.
    """
    none = ("driver.backoffLimit=0", "workers.backoffLimit=0")
    watched.install("fit", f"run.claim.name={claim}", *none, values=slow_values())
    watched.until_event("fit", "progress")
    with pytest.raises(CommandError, match="disruption budget"):
        drain()
    assert len(watched.pods("fit", "driver")) == 1
    assert not watched.pods("fit", "worker")
    watched.until_status("fit", "a node that is cordoned, as while it is drained, takes no new pods", 300)
    watched.kubectl("delete", "poddisruptionbudgets", "--all")
    drain()
    assert not watched.pods("fit", "driver")
    watched.until_status("fit", "a node that is cordoned, as while it is drained, takes no new pods", 300)
    watched.kubectl("uncordon", watched.kubectl("get", "nodes", "--output=jsonpath={.items[0].metadata.name}"))
    assert watched.exit_code("fit") == 0
    watched.no_pods_in(60)
    assert np.array_equal(result_of("fit", claim).x, optimum)


def test_out_of_memory(watched: Watched) -> None:
    """Code that kills its workers by memory: status says so, and the run ends with 3 instead of going on for ever."""
    watched.install("fit", "driver.backoffLimit=0", "workers.memory=300Mi", values=slow_values("Greedy"))
    watched.until_status("fit", "OOMKilled", 240)
    assert watched.exit_code("fit", 400) == 3
    watched.no_pods_in(60)


def test_scaling_in_mid_run(watched: Watched, claim: Claim, result_of: Callable, optimum: np.ndarray) -> None:
    """Workers that a patch adds join the run; with fewer it goes on, also after the driver's death."""
    watched.install("fit", f"run.claim.name={claim}", "workers.count=2", values=slow_values())
    watched.until_event("fit", "progress")
    watched.scale("fit", 3)
    watched.until_event("fit", "joined", "worker", count=3)
    time.sleep(2)
    watched.scale("fit", 1)
    watched.kubectl("delete", "pod", "--force", "--grace-period=0", *watched.pods("fit", "driver"))
    assert watched.exit_code("fit") == 0
    assert len(watched.events("fit", "leaving", "worker")) <= 2
    outcome = result_of("fit", claim)
    assert np.array_equal(outcome.x, optimum)


@pytest.mark.whole_node
def test_starts_with_the_minimum(watched: Watched) -> None:
    """With min 1 and max 40 on a small node the run starts and ends; pods that found no room are removed."""
    small = "driver.cpu=100m"  # so that it fits on two cores beside four workers, which may be there before it
    watched.install(
        "fit", "workers.min=1", "workers.max=40", small, values=slow_values(cpu="450m", SLOW_SECONDS="0.02")
    )
    assert watched.exit_code("fit") == 0
    watched.no_pods_in(60)


def test_no_gpu(watched: Watched) -> None:
    """A GPU that no node has: status names it within a minute, and `deadlines.start` ends the run with 3."""
    watched.install("fit", "workers.gpu=1", "deadlines.start=45")
    watched.until_status("fit", "nvidia.com/gpu", 60)
    code, told = watched.tell("wait", "fit")
    assert code == 3, told
    assert watched.exit_code("fit") == 3
    watched.no_pods_in(60)


def test_status_says_when_the_next_driver_comes(watched: Watched) -> None:
    """Kubernetes waits, 20 s after the second failure in a row: that is said, not just that no driver is there."""
    watched.install("fit", values=slow_values())
    watched.until_event("fit", "progress")
    watched.kubectl("delete", "pod", "--force", "--grace-period=0", *watched.pods("fit", "driver"))
    watched.until_pods_run("fit", 3)
    watched.kubectl("delete", "pod", "--force", "--grace-period=0", *watched.pods("fit", "driver"))
    watched.until_status("fit", "(back-off after 2 failures)", 60)
    assert watched.tell("cancel", "fit")[0] == 0
