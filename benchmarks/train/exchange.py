"""What the exchange of train costs: a small vector's sum and a large one's, beside other ways."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil

from benchmarks.processes import wait_until_quiet
from benchmarks.report import Table, Target, spread
from benchmarks.train.peers.exchange import Exchange, Futures
from benchmarks.train.team import Team, together
from jobs import connect

OURS = "ours: worker to worker, Dask's connections"
FUTURES = "futures, through the driver"
COLLECTIVE = "TensorFlow's collective (ring)"
TCP, UNIX = "raw TCP", "Unix sockets, for information"
SMALL_TEXT = """\
Milliseconds a step of workers that compute nothing and add vectors of {size:,} float32, in turns of {steps} steps,
{rounds} rounds in which all take their turns. {machine}"""
LARGE_TEXT = """\
Seconds for the sum of a vector of {size:,} float32 ({megabytes:,.0f} MB) of each worker, on each worker, {rounds}
rounds. Ours and the sockets send the same bytes; the sockets add what arrives at once, into buffers that are kept,
which is the floor of any exchange by TCP here. CPU is that of all our workers together. {machine}"""
LARGE_RATIO, LIMITS = 2.2, {2: 3.0, 4: 6.0}
"""What is wanted: ours at most so many times raw TCP; milliseconds a small step by number of workers."""


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        workers: numbers of workers.
        small: numbers in a small vector.
        steps: of one turn with it.
        large: numbers in a large one.
        rounds: turns of each.
        patience: seconds that a turn waits for other programs to rest.
        peers: whether TensorFlow's collective takes part.
    """

    workers: tuple[int, ...] = (2, 4)
    small: int = 10_000
    steps: int = 100
    large: int = 61_100_840
    rounds: int = 5
    patience: float = 2.0
    peers: bool = True


QUICK = Extent(workers=(2,), steps=5, large=400_000, rounds=1, patience=0.0, peers=False)

Way = Callable[[int, int], float]
Taken = dict[str, list[float]]


def run(extent: Extent) -> list[Table]:
    """Measure both sizes at each number of workers."""
    small: dict[int, Taken] = {}
    large: dict[int, Taken] = {}
    cpu: dict[int, list[float]] = {}
    for workers in extent.workers:
        with contextlib.ExitStack() as stack:
            ways, spent = _ways(stack, workers, extent)
            few = {name: way for name, way in ways.items() if name in (OURS, FUTURES, COLLECTIVE)}
            small[workers] = _turns(few, extent.small, extent.steps, extent)
            spent.clear()
            large[workers] = _turns(ways, extent.large, 1, extent)
            cpu[workers] = spent[1:]
    return [_small(extent, small), _large(extent, large, cpu)]


def _ways(stack: contextlib.ExitStack, workers: int, extent: Extent) -> tuple[dict[str, Way], list[float]]:
    """Start all ways; return name -> seconds of so many sums of so many numbers, and a list of our CPU seconds."""
    client = stack.enter_context(connect(workers=workers))
    exchange, futures = Exchange(client), Futures(client, scattered=False)
    scattering, spent = Futures(client, scattered=True), []

    def ours(size: int, steps: int) -> float:
        answers = exchange(size, steps)
        spent.append(sum(one["cpu"] for one in answers))
        return together(answers)

    def by_futures(size: int, steps: int) -> float:
        return (scattering if size == extent.large else futures)(size, steps)

    ways: dict[str, Way] = {OURS: ours, FUTURES: by_futures}
    if extent.peers:
        ways[COLLECTIVE] = _way(stack.enter_context(Team("tensorflow", workers)))
    for name, family in ((TCP, "tcp"), (UNIX, "unix")):
        ways[name] = _way(stack.enter_context(Team("sockets", workers, family)))
    return ways, spent


def _way(team: Team) -> Way:
    return lambda size, steps: team.seconds(size=size, steps=steps)


def _turns(ways: Mapping[str, Way], size: int, steps: int, extent: Extent) -> Taken:
    """Return for each way the seconds of one sum in each round; the first round warms up and is left out."""
    taken: Taken = {name: [] for name in ways}
    for turn in range(extent.rounds + 1):
        for name, way in ways.items():
            wait_until_quiet(extent.patience)
            seconds = way(size, steps) / steps
            if turn:
                taken[name].append(seconds)
    return taken


def ratios(taken: Taken, name: str, base: str) -> list[float]:
    """Return how many times the seconds of `base` another way took, for each round."""
    return [one / other for one, other in zip(taken[name], taken[base], strict=True)]


def _machine() -> str:
    return f"The machine has {psutil.cpu_count()} cores, which driver, scheduler and workers share."


def _small(extent: Extent, measured: Mapping[int, Taken]) -> Table:
    rows, targets = [], []
    for workers, taken in measured.items():
        for name, seconds in taken.items():
            times = [1e3 * one for one in seconds]
            rows.append((str(workers), name, f"{min(times):.2f}", spread(times), spread(ratios(taken, name, OURS), 1)))
        ours = [1e3 * one for one in taken[OURS]]
        limit = LIMITS[workers]
        wanted = f"exchange of {extent.small:,} parameters, {workers} workers: at most {limit:g} ms a step"
        targets.append(Target(wanted, f"{spread(ours)} ms", statistics.median(ours) <= limit))
    text = SMALL_TEXT.format(size=extent.small, steps=extent.steps, rounds=extent.rounds, machine=_machine())
    return Table(
        "Exchange of a small vector", text, ("workers", "", "best ms", "ms a step", "times ours"), rows, targets
    )


def _large(extent: Extent, measured: Mapping[int, Taken], cpu: Mapping[int, Sequence[float]]) -> Table:
    rows, targets = [], []
    for workers, taken in measured.items():
        for name, seconds in taken.items():
            used = spread(cpu[workers]) if name == OURS else ""
            row = (str(workers), name, f"{min(seconds):.3f}", spread(seconds, 3), spread(ratios(taken, name, TCP), 1))
            rows.append((*row, used))
        targets += _large_targets(extent, workers, taken)
    megabytes = 4e-6 * extent.large
    text = LARGE_TEXT.format(size=extent.large, megabytes=megabytes, rounds=extent.rounds, machine=_machine())
    header = ("workers", "", "best s", "seconds", "times raw TCP", "CPU s")
    return Table(f"Exchange of {megabytes:,.0f} MB", text, header, rows, targets)


def _large_targets(extent: Extent, workers: int, taken: Taken) -> list[Target]:
    what, found = f"exchange of {4e-6 * extent.large:,.0f} MB, {workers} workers", ratios(taken, OURS, TCP)
    wanted = f"{what}: at most {LARGE_RATIO} x raw TCP"
    targets = [Target(wanted, spread(found), statistics.median(found) <= LARGE_RATIO)]
    for peer in (FUTURES, COLLECTIVE):
        if peer in taken:
            found = ratios(taken, peer, OURS)
            targets.append(Target(f"{what}: ahead of {peer}", f"{spread(found)} x", statistics.median(found) > 1))
    return targets
