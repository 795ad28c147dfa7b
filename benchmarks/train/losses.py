"""A worker that is killed, and the one that takes its place: how long the others wait."""

from __future__ import annotations

import itertools
import os
import signal
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from distributed import Client

from benchmarks.report import Table, Target, spread
from benchmarks.train.peers import networks
from benchmarks.train.peers.ours import Ours
from benchmarks.train.restart import MIRRORED, RAY, by_hand, ray_train
from jobs import connect

FREEZE_SECONDS = 0.5
"""A worker is stopped so long before it is killed: the other then waits for it in the exchange, at a known step."""
POLL_SECONDS = 0.004
PATIENCE_SECONDS = 300.0
WORKERS, PARTS = 2, 2
OURS = "ours: the other goes on"
RESTART = "restart of everybody: "
TEXT = """\
{workers} workers; one is killed (SIGKILL) while the other waits for it in the exchange; seconds until the other has
finished its next step, alone. Then Dask starts a new worker process, which builds the model while the other trains:
"joins" is from when it has built the model and opened the data to the end of the first step that it took part in, the
state's transfer included; "others wait" is the longest time between two steps of the other meanwhile. Who restarts
everybody needs, by hand, at least the time from the start of the processes to the end of their first step; by Ray Train
it is from the SIGKILL on; neither reads a checkpoint, in their favour."""
LOSS_LIMITS, JOIN_LIMIT = {"small": 1.0, "large": 5.0}, 5.0


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        networks: functions of `networks`.
        rounds: kills of each.
        restarts: starts of everybody.
    """

    networks: tuple[Callable[[], Any], ...] = (networks.small, networks.large)
    rounds: int = 2
    restarts: int = 2


QUICK = Extent(networks=(networks.small,), rounds=1, restarts=0)


@dataclass
class Seen:
    """Seconds that were measured for one network."""

    next_step: list[float] = field(default_factory=list)
    joins: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    restarts: dict[str, list[float]] = field(default_factory=dict)


def run(extent: Extent, ray: str | None = None) -> Table:
    """Measure each network, on one cluster; `ray` is the interpreter that has Ray Train, if it takes part."""
    seen = {network.__name__: Seen() for network in extent.networks}
    with connect(workers=WORKERS) as client:
        for network in extent.networks:
            with Ours(client, network, networks.few, parts=PARTS, batch=2 * PARTS) as ours:
                ours.begin()
                for _ in range(extent.rounds):
                    _round(client, ours, seen[network.__name__])
    for name, one in seen.items():
        one.restarts = _restarts(name, extent.restarts, ray)
    return _table(seen)


def _restarts(network: str, times: int, ray: str | None) -> dict[str, list[float]]:
    """Return way -> seconds from the loss of a worker to the end of the next step, where all start again."""
    found: dict[str, list[float]] = {}
    for _ in range(times):
        by = RESTART + MIRRORED.format(workers=WORKERS)
        found.setdefault(by, []).append(by_hand(network, WORKERS, 2 * PARTS))
        if ray:
            answer = ray_train(ray, network, 2 * PARTS, kill=True)
            found.setdefault(RESTART + RAY, []).append(answer["recovery"])
    return found


def _round(client: Client, ours: Ours, seen: Seen) -> None:
    """Kill a worker, see the other go on, and a new one join."""
    processes = client.run(os.getpid)
    stays, victim = list(processes)
    _until(lambda: ours.step(stays) > 2 and ours.step(victim) > 2)
    os.kill(processes[victim], signal.SIGSTOP)
    time.sleep(FREEZE_SECONDS)
    step, began = ours.step(stays), time.monotonic()
    os.kill(processes[victim], signal.SIGKILL)
    _until(lambda: ours.step(stays) > step)
    seen.next_step.append(time.monotonic() - began)
    joins, waits = _join(client, ours, stays)
    seen.joins.append(joins)
    seen.waits.append(waits)


def _join(client: Client, ours: Ours, stays: str) -> tuple[float, float]:
    """Return seconds from when a new worker is ready to its first step, and the longest step of the other meanwhile."""
    joiner = _until(lambda: next((one for one in client.scheduler_info(n_workers=-1)["workers"] if one != stays), None))
    _until(lambda: ours.is_set_up(joiner))
    ready, copied, done = 0.0, -1, [(time.monotonic(), ours.step(stays))]

    def joined() -> bool:
        nonlocal ready, copied
        _note(done, ours.step(stays))
        status = ours.status(joiner)
        if status is None or not status["sums"]:
            return False
        ready = ready or time.monotonic()
        copied = status["step"] if copied < 0 else copied
        return copied >= 0 and status["step"] > copied

    _until(joined)
    ended = time.monotonic()
    _note(done, ours.step(stays))
    waits = [after - before for (before, _), (after, _) in itertools.pairwise(done) if after > ready]
    return ended - ready, max([*waits, 0.0])


def _note(done: list[tuple[float, int]], step: int) -> None:
    if step > done[-1][1]:
        done.append((time.monotonic(), step))


def _until(found: Callable[[], Any]) -> Any:
    """Return what a function gives, once that is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := found()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing in {PATIENCE_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    return value


def _table(measured: Mapping[str, Seen]) -> Table:
    rows, targets = [], []
    for name, seen in measured.items():
        network = getattr(networks, name).__doc__.partition(" of ")[2].rstrip(".")
        rows.append((network, OURS, *(spread(one) for one in (seen.next_step, seen.joins, seen.waits))))
        limit = LOSS_LIMITS[name]
        wanted = f"next step after SIGKILL, {network}: at most {limit:g} s"
        targets.append(Target(wanted, f"{spread(seen.next_step)} s", statistics.median(seen.next_step) <= limit))
        for way, seconds in seen.restarts.items():
            rows.append((network, way, spread(seconds), "", ""))
            ahead = statistics.median(seconds) / statistics.median(seen.next_step)
            targets.append(Target(f"next step, {network}: before a {way}", f"{ahead:.0f} x", ahead > 1))
        if name == networks.large.__name__:
            met = statistics.median(seen.joins) <= JOIN_LIMIT
            targets.append(
                Target(f"joiner, {network}: at most {JOIN_LIMIT:g} s after its build", f"{spread(seen.joins)} s", met)
            )
    header = ("network", "", "next step s", "joins s", "others wait s")
    return Table("A lost worker, and a new one", TEXT.format(workers=WORKERS), header, rows, targets)
