"""Steps of the whole network: what a second worker gains, beside gradients that travel through the driver."""

from __future__ import annotations

import contextlib
import functools
import statistics
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psutil
from distributed import Client

from benchmarks.alexnet.clock import clock
from benchmarks.alexnet.peers import networks
from benchmarks.alexnet.peers.classic_steps import Classic
from benchmarks.processes import wait_until_quiet
from benchmarks.report import Table, Target, spread
from benchmarks.train.exchange import Taken, ratios
from benchmarks.train.peers.ours import Ours
from jobs import connect

ONE, TWO = "ours: 1 worker", "ours: 2 workers"
APART = "ours: 2 clusters of 1 worker at once, which share nothing"
CLASSIC_ONE, CLASSIC = "classic: 1 worker", "classic: 2 workers"
WORKERS = {ONE: 1, TWO: 2, APART: 2, CLASSIC_ONE: 1, CLASSIC: 2}
PRELOAD = ("jobs.keras.preload", "jobs.alexnet.job")
TEXT = """\
AlexNet of {parameters}, random crops of uint8 images, {batch} images a step on each worker of one thread, on {cores}
cores; turns of {steps} steps, {rounds} rounds in which all take their turns, after one that warms up. In the classic
structure the driver gathers the 16 gradient arrays of each worker, applies their mean by SGD with momentum in NumPy,
and scatters the weights. What shares nothing is the most that two workers can reach here. "exchange" is the share of
the first worker's time in which it sends, waits for the other, and adds; CPU is that of driver and workers."""
WHOLE = f"{networks.PARAMETERS:,} parameters"


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        network: a function of `networks`.
        batches: images of each worker in a step -> times the images/s of 1 worker that 2 are to reach.
        classic: of these, those at which the classic structure takes part.
        apart: whether two clusters of 1 worker take part.
        steps: of one turn.
        rounds: turns of each.
        patience: seconds that a turn waits for other programs to rest.
    """

    network: str = networks.whole.__name__
    batches: Mapping[int, float] = field(default_factory=lambda: {20: 1.4, 80: 1.5})
    classic: tuple[int, ...] = (20,)
    apart: bool = True
    steps: int = 2
    rounds: int = 5
    patience: float = 2.0


QUICK = Extent(networks.narrow.__name__, {4: 1.4}, (4,), apart=False, steps=2, rounds=1, patience=0.0)
Way = Callable[[int], object]


@dataclass
class Measured:
    """What the rounds gave, of each: seconds and CPU seconds of a step, and percent of it in the exchange."""

    seconds: Taken = field(default_factory=dict)
    cpu: Taken = field(default_factory=dict)
    exchange: Taken = field(default_factory=dict)


def run(extent: Extent) -> list[Table]:
    """Measure each batch, on clusters of its own: each has the network's memory many times."""
    return [_table(extent, batch, _measured(extent, batch)) for batch in extent.batches]


def _measured(extent: Extent, batch: int) -> Measured:
    measured = Measured()
    with contextlib.ExitStack() as stack:
        workers = (1, 2, 1) if extent.apart else (1, 2)
        clients = [stack.enter_context(connect(workers=count, preload=PRELOAD)) for count in workers]
        ways = _ways(stack, extent, batch, clients)
        for turn in range(extent.rounds + 1):
            for name, way in ways.items():
                wait_until_quiet(extent.patience)
                with clock(*clients) as spent:
                    way(extent.steps)
                if not turn:
                    continue
                measured.seconds.setdefault(name, []).append(spent.seconds / extent.steps)
                measured.cpu.setdefault(name, []).append(spent.cpu / extent.steps)
                if isinstance(way, Ours):
                    measured.exchange.setdefault(name, []).append(way.percent("exchange"))
    return measured


def _ways(stack: contextlib.ExitStack, extent: Extent, batch: int, clients: list[Client]) -> dict[str, Way]:
    """Return name -> what takes so many steps."""
    network, data = (getattr(networks, name) for name in (extent.network, f"{extent.network}_images"))
    made = functools.partial(Ours, network=network, data=data)
    one, two, *other = (
        stack.enter_context(made(client, parts=count, batch=count * batch))
        for client, count in zip(clients, (1, 2, 1), strict=False)
    )
    ways: dict[str, Way] = {ONE: one, TWO: two}
    if other:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        ways[APART] = lambda steps: list(pool.map(lambda ours: ours(steps), (one, *other)))
    if batch in extent.classic:
        ways[CLASSIC_ONE] = Classic(clients[0], extent.network, batch)
        ways[CLASSIC] = Classic(clients[1], extent.network, batch)
    return ways


def _table(extent: Extent, batch: int, measured: Measured) -> Table:
    text = TEXT.format(
        parameters=WHOLE if extent.network == networks.whole.__name__ else "a 16th of the width",
        batch=batch,
        cores=psutil.cpu_count(),
        steps=extent.steps,
        rounds=extent.rounds,
    )
    rows = []
    for name in measured.seconds:
        rates = _rates(measured, name, batch)
        exchange = measured.exchange.get(name)
        shown = spread(exchange, 0) if exchange else ""
        gains = _gains(measured, name, ONE)
        rows.append((name, f"{max(rates):.1f}", spread(rates, 1), spread(gains), spread(measured.cpu[name]), shown))
    header = ("", "best images/s", "images/s", "times one worker", "CPU s a step", "exchange %")
    title = f"Steps of AlexNet, {batch} images a worker"
    return Table(title, text, header, rows, _targets(measured, batch, extent.batches[batch]))


def _rates(measured: Measured, name: str, batch: int) -> list[float]:
    return [WORKERS[name] * batch / seconds for seconds in measured.seconds[name]]


def _gains(measured: Measured, name: str, base: str) -> list[float]:
    """Return how many times the images/s of another one has, of each round."""
    return [WORKERS[name] / WORKERS[base] * one for one in ratios(measured.seconds, base, name)]


def _targets(measured: Measured, batch: int, wanted: float) -> list[Target]:
    best = max(_rates(measured, TWO, batch)) / max(_rates(measured, ONE, batch))
    what = f"AlexNet, {batch} images a worker: best of 2 workers at least {wanted:g} x the images/s of 1"
    targets = [Target(what, f"{best:.2f} best, {spread(_gains(measured, TWO, ONE))}", best >= wanted)]
    if CLASSIC in measured.seconds:
        ahead = _gains(measured, TWO, CLASSIC)
        what = f"AlexNet, {batch} images a worker: 2 workers ahead of the classic structure's"
        targets.append(Target(what, f"{spread(ahead)} x", statistics.median(ahead) > 1))
    return targets
