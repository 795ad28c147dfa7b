"""Requests that go by a tree of workers: whom it asks, when it pays, and workers in it that die, hang or join."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client
from faulty import Bad, Watched
from waiting import until
from watching import frozen, serial

from jobs.cluster.local import local_cluster
from jobs.errors import UserCodeError
from jobs.minimize import Objective
from jobs.minimize.evaluate.by_messages import tree
from jobs.minimize.evaluate.by_messages.tree import Branch, Root, Shape, WorkerTask
from jobs.sharding.assignment import assign
from jobs.sharding.blocks import TreeSum, numbers

WORKERS = 5


def _tasks(branch: Branch) -> Iterator[tuple[int, str, WorkerTask]]:
    """Yield (level, address, task) of a branch and all below it."""
    task: WorkerTask = pickle.loads(branch.task)
    yield 1, branch.address, task
    for below in task.branches:
        yield from ((level + 1, address, one) for level, address, one in _tasks(below))


def _shares(workers: int, blocks: int) -> dict[str, list[tuple[int, int]]]:
    return assign(blocks, {f"w{number:04d}": 1 for number in range(workers)}, {})


@pytest.mark.parametrize("shape", [Shape(1, 1), Shape(1, 2), Shape(4, 4), Shape(7, 3), Shape(300, 300)])
@pytest.mark.parametrize(("workers", "blocks"), [(1, 1), (2, 9), (9, 9), (100, 1000), (300, 4099)])
def test_each_worker_is_in_one_place(shape: Shape, workers: int, blocks: int) -> None:
    """Each gets its task once, none sends to more than the shape says, and all blocks are asked for once."""
    shares = _shares(workers, blocks)
    roots = tree.roots(shares, [(0, blocks)], shape)
    found = [one for root in roots for one in _tasks(root.branch)]
    assert len(roots) <= shape.roots
    assert all(len(task.branches) <= shape.branches for _, _, task in found)
    assert sorted(address for _, address, _ in found) == sorted(shares)
    assert {address: list(task.keep) for _, address, task in found} == shares
    assert sorted(block for _, _, task in found for block in numbers(task.compute)) == list(range(blocks))
    assert [root.addresses for root in roots] == [{address for _, address, _ in _tasks(r.branch)} for r in roots]
    assert all(list(numbers(root.blocks)) == _blocks(root) for root in roots)


def _blocks(root: Root) -> list[int]:
    return sorted(block for _, _, task in _tasks(root.branch) for block in numbers(task.compute))


def test_a_worker_that_is_asked_straight() -> None:
    """It is a root of its own, with nobody below it; all blocks are asked for once."""
    shares = _shares(9, 40)
    roots = tree.roots(shares, [(0, 40)], Shape(1, 2), {"w0003", "w0000"})
    assert [len(root.addresses) for root in roots] == [1, 1, 7]
    assert sorted(block for root in roots for block in numbers(root.blocks)) == list(range(40))


@pytest.mark.parametrize("width", [2, 4, 12])
def test_its_levels_are_few_and_its_answers_short(width: int) -> None:
    """1,000 workers are as few levels deep as the width allows, and one more; a branch makes few nodes of the sum."""
    roots = tree.roots(_shares(1000, 8000), [(0, 8000)], Shape(width, width))
    depth = max(level for root in roots for level, _, _ in _tasks(root.branch))
    assert depth <= tree._levels(1000, width) + 1
    for root in roots:
        total = TreeSum(8000)
        for block in numbers(root.blocks):
            total.add(0, block, np.zeros(1))
        assert len(total.nodes()) <= 8


def test_only_what_is_missing_is_asked_for() -> None:
    """After a loss only the missing blocks are summed, while all that a worker holds is kept."""
    shares = assign(100, dict.fromkeys("ab", 1), {})
    (root,) = tree.roots(shares, [(10, 20)], Shape(2, 2))
    (_, address, task) = next(_tasks(root.branch))
    assert (address, task.compute, root.blocks) == ("a", ((10, 20),), ((10, 20),))
    assert task.keep == tuple(shares["a"])


def test_a_tree_is_used_where_it_is_cheaper() -> None:
    """Few workers answer straight; many, or large sums, by a tree; the longer they compute, the flatter it is."""
    assert all(tree.shape(workers, 8, 16, 0.0) == (workers, workers) for workers in range(1, 9))
    assert tree.shape(1000, 62_800, 62_808, 0.0).branches < 10
    assert 10 < tree.shape(1000, 62_800, 62_808, 1.0).branches < 100
    assert tree.shape(200, 800, 808, 60.0) == (200, 200)
    assert tree.shape(10_000, 800, 808, float("inf")).branches == tree.MOST
    # One sum for the driver, two at most for a worker, however large they are.
    assert tree.shape(3, 10**9, 10**9, float("inf")) == (1, 2)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Yield the client of a cluster whose workers' processes a test may kill: they are started again."""
    with (
        dask.config.set({"distributed.scheduler.worker-ttl": "10s"}),
        local_cluster(WORKERS, 1) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(params=[Shape(1, 1), Shape(2, 2)], ids=["chain", "tree"])
def _shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    """Have all requests go by one shape, with all workers there."""
    monkeypatch.setattr(tree, "shape", lambda *_: request.param)
    client.wait_for_workers(WORKERS)


def _in_order(folder: Path) -> list[int]:
    """Return the workers' processes in the order of the blocks that they have loaded, which is the tree's."""
    loads = sorted(
        (int(start), int(process)) for _, start, process in (p.name.split("-") for p in folder.glob("load-*"))
    )
    return list(dict.fromkeys(process for _, process in loads))


@pytest.mark.usefixtures("_shape")
@pytest.mark.parametrize("place", [0, 2, WORKERS - 1], ids=["first", "middle", "last"])
def test_a_worker_in_it_is_killed(place: int, client: Client, tmp_path: Path) -> None:
    """kill -9 in mid-evaluation: the serial bits, one lost worker, and those below it load nothing anew."""
    problem = Watched(folder=str(tmp_path))
    theta = np.ones(3)
    expected = serial(problem, theta)
    with Objective(client, problem) as objective:
        objective(objective.x0())
        victim = _in_order(tmp_path)[place]
        own = len(list(tmp_path.glob(f"load-*-{victim}")))
        before = len(list(tmp_path.glob("load-*")))
        for trace in tmp_path.glob("pass-*"):
            trace.unlink()
        (tmp_path / "slow").touch()

        def kill() -> None:
            until((tmp_path / f"pass-{victim}").exists)
            os.kill(victim, signal.SIGKILL)
            (tmp_path / "slow").unlink()

        killer = threading.Thread(target=kill)
        killer.start()
        loss, grad = objective(theta)
        killer.join()
        assert (loss, grad.tobytes()) == expected
        assert objective.sum.timings.lost_workers == 1
        assert len(list(tmp_path.glob("load-*"))) == before + own


@pytest.mark.usefixtures("_shape")
def test_a_worker_in_it_hangs(client: Client, tmp_path: Path) -> None:
    """All that is above it waits for its answer; the driver asks the others anew once the scheduler has removed it."""
    problem = Watched(folder=str(tmp_path))
    theta = np.ones(3)
    expected = serial(problem, theta)
    with Objective(client, problem) as objective:
        objective(objective.x0())
        victim = _in_order(tmp_path)[2]
        with frozen(victim):
            loss, grad = objective(theta)
        assert (loss, grad.tobytes()) == expected
        assert objective.sum.timings.lost_workers == 1


def _cut() -> None:
    """Have this worker reach no other one."""
    from jobs.minimize.evaluate.by_messages import worker

    async def unreachable(*_: object) -> None:
        raise OSError("no route to host")

    vars(worker)["reaching"], vars(worker)["evaluate"] = worker.evaluate, unreachable


def _mend() -> None:
    from jobs.minimize.evaluate.by_messages import worker

    vars(worker)["evaluate"] = vars(worker).pop("reaching")


@pytest.mark.usefixtures("_shape")
def test_workers_that_do_not_reach_each_other(client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The driver asks them itself: none is lost, nothing is loaded anew; each is found once."""
    problem = Watched(folder=str(tmp_path))
    thetas = [np.full(3, 1.0 + number) for number in range(WORKERS)]  # of one that it had, an objective asks nobody
    expected = [serial(problem, theta) for theta in thetas]
    with Objective(client, problem) as objective:
        objective(objective.x0())
        loads = len(list(tmp_path.glob("load-*")))
        client.run(_cut)
        try:
            for theta, (loss, grad) in zip(thetas, expected, strict=True):
                found = objective(theta)
                assert (found[0], found[1].tobytes()) == (loss, grad)
        finally:
            client.run(_mend)
        assert (objective.sum.timings.lost_workers, objective.sum.workers) == (0, WORKERS)
        assert len(list(tmp_path.glob("load-*"))) == loads
    said = [record.args for record in caplog.records if "another worker did not reach it" in record.msg]
    assert len(said) == len({*said}) == WORKERS - tree.shape(0, 0, 0, 0).roots


@pytest.mark.usefixtures("_shape")
def test_an_error_in_it_reaches_the_driver(client: Client) -> None:
    """What a block of a worker below another one raises is told as any other."""
    with (
        Objective(client, Bad(how="raise")) as objective,
        pytest.raises(UserCodeError, match="value_and_grad on block 3 .*a bug of mine"),
    ):
        objective(np.ones(3))
