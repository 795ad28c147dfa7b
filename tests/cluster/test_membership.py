"""Who takes part: workers that join, leave, fail and come back, and schedulers that have forgotten the driver."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import dask
import pytest
from calls import Calls
from distributed import Client, LocalCluster
from waiting import until

from jobs import connect
from jobs.cluster import admission, membership
from jobs.cluster.membership import Member, Membership
from jobs.cluster.plugin import call
from jobs.errors import ClusterError, InputError


def _registered(cluster: LocalCluster) -> set[str]:
    """Return the names of the driver's plugin on the scheduler, beside Dask's own."""
    return {name for name in cluster.scheduler.worker_plugins if name.startswith("here-")}


async def _prepared(_: str) -> None:
    await asyncio.sleep(0)


class Driver:
    """A driver with a membership that admits workers which have the plugin."""

    def __init__(self, client: Client, **options: Any) -> None:
        self.client = client
        given = {"prepare": _prepared, "refresh_seconds": 0.0, "timeout": 30.0, **options}
        self.membership = Membership(client, Calls("here"), **given)

    def current(self) -> Mapping[str, Member]:
        """Return who takes part."""
        members: Mapping[str, Member] = self.client.sync(self.membership.current)
        return members

    def fail(self, address: str) -> None:
        """Note on the event loop that a worker did not answer."""

        async def fail() -> None:
            self.membership.fail(address)

        self.client.sync(fail)

    def add(self, address: str) -> int:
        """Call the plugin on a worker."""
        result: int = self.client.sync(call, self.client.rpc, "here", address, Calls.add, a=1, b=2)
        return result


def test_generation_grows_with_each_change(cluster: LocalCluster, client: Client) -> None:
    """It stays while nothing changes, and grows when a worker joins, and when one leaves."""
    driver = Driver(client)
    first = driver.current()
    assert (len(first), {member.threads for member in first.values()}) == (2, {1})
    assert all(driver.add(address) == 3 for address in first)
    generation = driver.membership.generation
    assert generation > 0
    assert driver.current().keys() == first.keys()
    assert driver.membership.generation == generation
    cluster.scale(3)
    until(lambda: len(driver.current()) == 3)
    assert all(driver.add(address) == 3 for address in driver.current())
    assert driver.membership.generation > generation
    generation = driver.membership.generation
    cluster.scale(1)
    until(lambda: len(driver.current()) == 1)
    assert driver.membership.generation > generation


def test_a_worker_that_failed_is_left_out_for_a_while(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also though the scheduler lists it; it comes back when that time is over. Each is a change."""
    monkeypatch.setattr(membership, "COOLDOWN_SECONDS", 1000.0)
    driver = Driver(client, refresh_seconds=1000.0)
    first, *rest = driver.current()
    generation = driver.membership.generation
    driver.fail(first)
    assert driver.membership.generation == generation + 1
    assert list(driver.current()) == rest
    monkeypatch.setattr(membership, "COOLDOWN_SECONDS", 0.0)
    driver.fail(rest[0])
    assert driver.current().keys() == {first, *rest}
    assert driver.membership.generation > generation + 2


def test_a_paused_worker_stays_a_member(cluster: LocalCluster, client: Client) -> None:
    """It keeps what it has, so nobody has to divide work anew; its status is known."""
    driver = Driver(client)
    driver.current()
    generation = driver.membership.generation
    worker = next(iter(cluster.workers.values()))
    cluster.loop.add_callback(setattr, worker, "status", type(worker.status).paused)
    until(lambda: driver.current()[worker.address].status == "paused")
    assert driver.membership.generation == generation
    cluster.loop.add_callback(setattr, worker, "status", type(worker.status).running)


async def _declare(dask_worker: Any) -> None:
    await dask_worker.set_resources(GPU=2)


def test_gpus_that_are_declared_later(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are seen when the full list is asked for again, though nobody came or left; it is a change."""
    monkeypatch.setattr(membership, "LIST_SECONDS", 0.1)
    driver = Driver(client)
    address, *_ = driver.current()
    generation = driver.membership.generation
    client.run(_declare, workers=[address])
    until(lambda: driver.current()[address].gpus == 2)
    assert driver.membership.generation > generation


def test_no_worker_for_too_long(cluster: LocalCluster, client: Client) -> None:
    """Without any worker the wait ends in time; an absence that nobody waited through does not count."""
    driver = Driver(client, timeout=0.5)
    driver.current()
    cluster.scale(0)
    until(lambda: not client.scheduler_info()["workers"])
    text = r"no worker for 0.5 s \(workers_timeout\)"
    with pytest.raises(ClusterError, match=text):
        driver.current()
    with pytest.raises(ClusterError, match=text):
        driver.membership.check()
    driver.membership.check(since=time.monotonic())
    cluster.scale(1)
    until(lambda: client.scheduler_info()["workers"])
    assert len(driver.current()) == 1
    driver.membership.check()


def test_prepare_decides_who_is_admitted(client: Client) -> None:
    """What it raises is raised; a worker that goes meanwhile is left out, the others take part."""
    lost = min(client.scheduler_info()["workers"])

    async def prepare(address: str) -> None:
        if address == lost:
            raise OSError("gone")

    assert lost not in Driver(client, prepare=prepare).current()

    async def refuse(address: str) -> None:
        raise InputError("not here")

    with pytest.raises(InputError, match="not here"):
        Driver(client, prepare=refuse).current()


def test_nobody_waits_for_a_worker_that_is_prepared(cluster: LocalCluster, client: Client) -> None:
    """The members go on while another is prepared, once; it is a member at the first look after that."""
    prepared: list[str] = []
    is_open = asyncio.Event()
    is_open.set()

    async def prepare(address: str) -> None:
        prepared.append(address)
        await is_open.wait()

    driver = Driver(client, prepare=prepare)
    first = set(driver.current())
    client.loop.add_callback(is_open.clear)
    cluster.scale(3)
    until(lambda: (driver.current(), len(prepared) == 3)[1])
    assert driver.current().keys() == first
    client.loop.add_callback(is_open.set)
    until(lambda: len(driver.current()) == 3)
    assert len(prepared) == 3
    cluster.scale(2)


def test_a_member_that_fails_while_another_is_prepared_is_no_member(client: Client) -> None:
    """The list of members is that after the wait."""
    lost, other = sorted(client.scheduler_info()["workers"])
    driver = Driver(client)
    assert len(driver.current()) == 2

    async def listed_and_failed() -> set[str]:
        listed = driver.membership.listed

        async def fail() -> dict[str, Member]:
            found = await listed()
            driver.membership.fail(lost)
            return found

        driver.membership.listed = fail  # type: ignore[method-assign]  # as if it failed just then
        return set(await driver.membership.refresh())

    assert client.sync(listed_and_failed) == {other}


def test_a_client_that_connects_again_registers_again(cluster: LocalCluster, client: Client) -> None:
    """The scheduler took it for gone and its plugin from the workers; all are members anew, with the plugin."""
    registered: list[str] = []

    async def register() -> None:
        registered.append("x")

    driver = Driver(client, refresh_seconds=1000.0, on_register=register)
    before = driver.current().keys()
    generation, connection = driver.membership.generation, client.scheduler_comm
    client.loop.add_callback(connection.comm.abort)
    until(lambda: client.scheduler_comm is not connection and client.status == "running")
    assert driver.current().keys() == before
    assert driver.membership.generation > generation
    assert len(registered) == 2
    for address in before:
        assert driver.add(address) == 3
    until(lambda: _registered(cluster) == {driver.membership._registration.name})


@pytest.mark.parametrize("how", ["close", "client"])
def test_a_driver_that_leaves_takes_all_along(how: str, cluster: LocalCluster) -> None:
    """When it closes, and when its client is gone: no plugin stays on scheduler or workers."""
    with Client(cluster) as client:
        client.wait_for_workers(2)
        driver = Driver(client)
        driver.current()
        names = _registered(cluster)
        assert names == {driver.membership._registration.name}
        assert names < cluster.scheduler.plugins.keys()
        if how == "close":
            client.sync(driver.membership.close)

    def gone() -> bool:
        there = [cluster.scheduler.worker_plugins, cluster.scheduler.plugins]
        there += [worker.plugins for worker in cluster.workers.values()]
        return not any(names & plugins.keys() for plugins in there)

    until(gone)


def test_an_admission_ends_before_the_plugin_goes(cluster: LocalCluster, client: Client) -> None:
    """A driver that closes while a worker is prepared makes no call that finds no handler."""
    registered: list[bool] = []
    begun = threading.Event()

    async def prepare(_: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            registered.append(bool(_registered(cluster)))

    driver = Driver(client)
    driver.current()
    driver.membership._admissions._prepare = prepare
    cluster.scale(3)
    until(lambda: (driver.current(), begun.is_set())[1])
    client.sync(driver.membership.close)
    assert registered == [True]
    assert not _registered(cluster)


class Unwelcome(Calls):
    """A plugin that cannot be set up."""

    def setup(self, worker: Any) -> None:
        """Fail."""
        raise ModuleNotFoundError("No module named 'jobs'")


def test_a_worker_that_cannot_take_the_plugin(client: Client) -> None:
    """It is an input error that says what the worker cannot do, and what may be missing there."""
    with pytest.raises(InputError, match=r"worker .* cannot add \(No module named 'jobs'\); is dask-jobs installed"):
        client.sync(Membership(client, Unwelcome("here"), 1.0).current)


def test_a_client_that_gave_up_is_a_scheduler_that_is_gone(cluster: LocalCluster) -> None:
    """It has closed its connections, for which Dask raises what is no OSError."""
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        driver = Driver(client)
        assert driver.current()
        client.sync(client.rpc.close)
        with pytest.raises(ClusterError, match="scheduler"):
            driver.current()


def test_a_worker_that_is_frozen_before_it_is_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are members without it; nobody waits for it again."""
    monkeypatch.setattr(admission, "PLUGIN_SECONDS", 1.0)
    with connect(workers=2) as client:
        frozen, process = next(iter(client.run(os.getpid).items()))
        os.kill(process, signal.SIGSTOP)
        try:
            driver = Driver(client)
            assert driver.current().keys() == client.scheduler_info()["workers"].keys() - {frozen}
            assert frozen in driver.membership._excluded
        finally:
            os.kill(process, signal.SIGCONT)


def test_a_worker_that_dies_before_it_has_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are members at once, also where Dask would try to connect to it for ever."""
    monkeypatch.setattr(admission, "PLUGIN_SECONDS", 1000.0)
    with dask.config.set({"distributed.comm.timeouts.connect": "1000s"}), connect(workers=2) as client:
        processes = client.run(os.getpid)
        lost = min(processes)
        driver = Driver(client)
        listed = driver.membership.listed
        before = [client.sync(listed)]
        os.kill(processes[lost], signal.SIGKILL)
        until(lambda: lost not in client.nthreads())

        async def outdated() -> dict[str, Member]:
            return before.pop() if before else await listed()

        driver.membership.listed = outdated  # type: ignore[method-assign]  # as if it died just after the first one
        assert lost not in driver.current()
        assert lost not in driver.membership._excluded
