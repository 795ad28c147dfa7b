"""Steps of a small convolutional network: what parts cost, and what a second worker gains."""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil
from distributed import Client

from benchmarks.processes import wait_until_quiet
from benchmarks.report import Table, Target, spread
from benchmarks.train.exchange import Taken, ratios
from benchmarks.train.peers import networks
from benchmarks.train.peers.exchange import Exchange
from benchmarks.train.peers.fit import fit
from benchmarks.train.peers.networks import BATCH
from benchmarks.train.peers.ours import Ours
from benchmarks.train.restart import RAY, ray_train
from benchmarks.train.team import Team
from jobs import connect

FIT = "plain Keras fit, in the process of the 1 worker"
APART = "plain Keras fit in 2 workers at once, half a batch each, which share nothing"
ONE, ONE_8 = "ours: 1 worker, 1 part", "ours: 1 worker, 8 parts"
TWO, TWO_8 = "ours: 2 workers, 2 parts", "ours: 2 workers, 8 parts"
MIRRORED = "MultiWorkerMirroredStrategy, 2 processes, custom loop"
PARAMETERS = 70_762
TEXT = """\
A convolutional network of width 64 ({parameters:,} parameters), batches of {batch}, one thread a worker, on {cores}
cores; turns of {steps} steps, {rounds} rounds in which all take their turns. What shares nothing is the most that two
workers can reach here. "exchange" is the share of the first worker's time in which it sends, waits for the other, and
adds; CPU is that of all workers. The target on the exchange's CPU compares what sums of as many numbers cost both
workers, where nothing is computed, with whole steps of theirs."""
RAY_ROUNDS = 2
"""Turns beside Ray Train, which starts anew for each."""
SPEED_UP, PART_COST, EXCHANGE_PERCENT = 1.4, 1.3, 10.0


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        steps: of one turn.
        rounds: turns of each.
        patience: seconds that a turn waits for other programs to rest.
        peers: whether MultiWorkerMirroredStrategy takes part.
    """

    steps: int = 20
    rounds: int = 5
    patience: float = 2.0
    peers: bool = True


QUICK = Extent(steps=2, rounds=1, patience=0.0, peers=False)
Way = Callable[[int], float]


@dataclass
class Measured:
    """What the rounds gave.

    Attributes:
        seconds: way -> seconds a step of each round.
        exchange: one of our ways -> percent of its first worker's time in the exchange.
        cpu: way -> CPU seconds a step of each round, of all workers.
        shares: percent of the CPU of a step of `TWO` that the exchange takes.
        ray: the same as `seconds`, of rounds of `TWO` and Ray Train.
    """

    seconds: Taken
    exchange: dict[str, list[float]]
    cpu: Taken = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    ray: Taken = field(default_factory=dict)

    def note(self, name: str, seconds: float, cpu: float, ours: Ours | None) -> None:
        """Note the seconds of a step, and those of CPU, and of one of ours its share of the exchange."""
        self.seconds[name].append(seconds)
        if name != MIRRORED:  # whose processes are not Dask's
            self.cpu.setdefault(name, []).append(cpu)
        if ours:
            self.exchange[name].append(ours.percent("exchange"))


def run(extent: Extent, ray: str | None = None) -> Table:
    """Measure all ways; `ray` is the interpreter that has Ray Train, if it takes part."""
    with contextlib.ExitStack() as stack:
        one, two = (stack.enter_context(connect(workers=workers)) for workers in (1, 2))
        ours = _ours(stack, one, two)
        ways = _ways(stack, one, two, ours, peers=extent.peers)
        measured = Measured({name: [] for name in ways}, {name: [] for name in ours})
        exchange = Exchange(two)
        for turn in range(extent.rounds + 1):
            for name, way in ways.items():
                wait_until_quiet(extent.patience)
                before = _cpu(one) + _cpu(two)
                seconds = way(extent.steps) / extent.steps
                cpu = (_cpu(one) + _cpu(two) - before) / extent.steps
                if turn:
                    measured.note(name, seconds, cpu, ours.get(name))
                if turn and name == TWO:
                    alone = sum(answer["cpu"] for answer in exchange(PARAMETERS, extent.steps)) / extent.steps
                    measured.shares.append(100 * alone / cpu)
        for _ in range(RAY_ROUNDS if ray else 0):
            measured.ray.setdefault(TWO, []).append(ours[TWO](extent.steps) / extent.steps)
            answer = ray_train(str(ray), networks.convolutional.__name__, BATCH, steps=extent.steps)
            measured.ray.setdefault(RAY, []).append(answer["seconds"])
    return _table(extent, measured)


def _cpu(client: Client) -> float:
    """Return the CPU seconds of all workers so far."""
    return sum(client.run(time.process_time).values())


def _ours(stack: contextlib.ExitStack, one: Client, two: Client) -> dict[str, Ours]:
    made = functools.partial(Ours, network=networks.convolutional, data=networks.rows)
    places = {ONE: (one, 1), ONE_8: (one, 8), TWO: (two, 2), TWO_8: (two, 8)}
    return {name: stack.enter_context(made(client, parts=parts)) for name, (client, parts) in places.items()}


def _ways(
    stack: contextlib.ExitStack, one: Client, two: Client, ours: Mapping[str, Way], *, peers: bool
) -> dict[str, Way]:
    """Return name -> seconds of so many steps."""
    network = networks.convolutional.__name__

    def apart(steps: int) -> float:
        return max(two.run(fit, network, steps, BATCH // 2).values())

    ways = {FIT: lambda steps: one.submit(fit, network, steps, pure=False).result(), APART: apart, **ours}
    if peers:
        team = stack.enter_context(Team("tensorflow", 2))
        ways[MIRRORED] = lambda steps: team.seconds(network=network, batch=BATCH, steps=steps)
    return ways


def _table(extent: Extent, measured: Measured) -> Table:
    taken = measured.seconds
    rows = [_row(name, taken, measured) for name in taken]
    if measured.ray:
        rows.append(_row(RAY, measured.ray, measured))
    text = TEXT.format(
        parameters=PARAMETERS, batch=BATCH, cores=psutil.cpu_count(), steps=extent.steps, rounds=extent.rounds
    )
    header = ("", "best samples/s", "samples/s", "times 2 workers, 2 parts", "CPU ms a step", "exchange %")
    return Table("Steps of a convolutional network", text, header, rows, _targets(measured))


def _row(name: str, taken: Taken, measured: Measured) -> tuple[str, ...]:
    rates = [BATCH / seconds for seconds in taken[name]]
    cpu, exchange = (
        [factor * one for one in found.get(name, [])]
        for factor, found in (
            (1e3, measured.cpu),
            (1, measured.exchange),
        )
    )
    shown = (spread(found, digits) if found else "" for found, digits in ((cpu, 1), (exchange, 0)))
    return name, f"{max(rates):,.0f}", spread(rates, 0), spread(ratios(taken, TWO, name)), *shown


def _targets(measured: Measured) -> list[Target]:
    taken, shares = measured.seconds, measured.shares
    cost, cpu = ratios(taken, ONE_8, FIT), ratios(measured.cpu, ONE_8, FIT)
    wanted = f"CNN, 1 worker, 8 parts: at most {PART_COST} x the time of plain fit"
    targets = [Target(wanted, f"{spread(cost)}; CPU {spread(cpu)}", statistics.median(cost) <= PART_COST)]
    for more, less in ((TWO, ONE), (TWO_8, ONE_8)):
        best = min(taken[less]) / min(taken[more])
        wanted = f"CNN, {more.partition(': ')[2]}: best at least {SPEED_UP} x that of {less.partition(': ')[2]}"
        targets.append(Target(wanted, f"{best:.2f} best, {spread(ratios(taken, less, more))}", best >= SPEED_UP))
    for peer, both in ((MIRRORED, taken), (RAY, measured.ray)):
        if peer in both:
            ahead = ratios(both, peer, TWO)
            wanted = f"CNN, 2 workers, 2 parts: ahead of {peer.partition(',')[0]}"
            targets.append(Target(wanted, f"{spread(ahead)} x", statistics.median(ahead) > 1))
    wanted = f"CNN, 2 workers, 2 parts: exchange at most {EXCHANGE_PERCENT:g} % of the CPU of a step"
    return [*targets, Target(wanted, f"{spread(shares, 1)} %", statistics.median(shares) <= EXCHANGE_PERCENT)]
