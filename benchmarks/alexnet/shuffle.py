"""Seconds and memory of a shuffle of decoded images on two workers."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from benchmarks.alexnet.peers.phases import PARTITION
from benchmarks.processes import ROOT, environment, wait_until_quiet
from benchmarks.report import Table, Target, spread

OURS, RAY = "ours: 5 rounds", "Ray Data: random_shuffle"
MODULES = {OURS: "shuffle_ours", RAY: "shuffle_ray"}
TEXT = """\
{images:,} images of {side} x {side} x 3 uint8 ({megabytes:,.0f} MB), in partitions of {partition:,}, on two workers of
one thread each; {rounds} rounds, in each of which both start anew and take their turns. Memory is the sum of the
proportional set sizes (PSS) of all processes, driver and shared memory included, beyond that before the images were
there; the peak is the largest of samples every {period:g} s, from then to the end of the shuffle."""
PERIOD = 0.2
"""Seconds between two samples of memory."""
BEYOND = 4
"""Partitions that a shuffle may take beyond the images."""


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        images: number of them.
        side: pixels.
        rounds: turns of each.
        patience: seconds that a turn waits for other programs to rest.
    """

    images: int = 20_000
    side: int = 256
    rounds: int = 2
    patience: float = 5.0

    @property
    def megabytes(self) -> float:
        """Of all images."""
        return self.images * self.side**2 * 3 / 1e6


QUICK = Extent(images=4_000, side=8, rounds=1, patience=0.0)


@dataclass
class Taken:
    """What one of both took, of each round: seconds, those of CPU, megabytes with the images, and at most."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)


def run(extent: Extent, ray: str | None = None) -> Table:
    """Measure; `ray` is the interpreter that has Ray Data, if it takes part."""
    interpreters = {OURS: sys.executable} | ({RAY: ray} if ray else {})
    taken = {name: Taken() for name in interpreters}
    for _ in range(extent.rounds):
        for name, python in interpreters.items():
            wait_until_quiet(extent.patience)
            _turn(extent, [python, "-m", f"benchmarks.alexnet.peers.{MODULES[name]}"], taken[name])
    return _table(extent, taken)


def _turn(extent: Extent, command: list[str], taken: Taken) -> None:
    """Start one, and let it load and shuffle."""
    with subprocess.Popen(
        [*command, str(extent.images), str(extent.side)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    ) as process:
        try:
            _next(process)
            before = _megabytes(process.pid)
            with _sampled(process.pid) as samples:
                _next(process, goes_on=True)
                taken.held.append(_megabytes(process.pid) - before)
                began = _cpu_seconds(process.pid)
                answer = _next(process, goes_on=True)
                taken.cpu.append(_cpu_seconds(process.pid) - began)
            taken.seconds.append(answer["seconds"])
            taken.peak.append(max(samples) - before)
        finally:
            process.communicate()  # the end of its input ends it


def _next(process: subprocess.Popen[str], *, goes_on: bool = False) -> dict[str, Any]:
    """Return the answer of the next phase.

    Raises:
        RuntimeError: the process ended.
    """
    assert process.stdin
    assert process.stdout
    if goes_on:
        print(file=process.stdin, flush=True)
    if not (line := process.stdout.readline()):
        raise RuntimeError(f"{process.args!r} ended with exit code {process.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextlib.contextmanager
def _sampled(pid: int) -> Iterator[list[float]]:
    """Yield a list to which the memory of a process and its descendants is appended until the end."""
    samples, end = [_megabytes(pid)], threading.Event()

    def sample() -> None:
        while not end.wait(PERIOD):
            samples.append(_megabytes(pid))

    thread = threading.Thread(target=sample, name="samples memory")
    thread.start()
    try:
        yield samples
    finally:
        end.set()
        thread.join()


def _megabytes(pid: int) -> float:
    """Return the memory of a process and its descendants, MB (10^6 bytes)."""
    return _total(pid, lambda process: process.memory_full_info().pss / 1e6)


def _cpu_seconds(pid: int) -> float:
    """Return the CPU seconds so far of a process and its descendants that are there."""
    return _total(pid, lambda process: sum(process.cpu_times()[:2]))


def _total(pid: int, of: Callable[[psutil.Process], float]) -> float:
    total, process = 0.0, psutil.Process(pid)
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += of(one)
    return total


def _columns(taken: Taken) -> list[tuple[list[float], int]]:
    """Return the figures of each column, and how many digits they have."""
    return [(taken.seconds, 1), (taken.cpu, 1), (taken.held, 0), (taken.peak, 0)]


def _table(extent: Extent, taken: Mapping[str, Taken]) -> Table:
    rows = [
        (name, f"{min(one.seconds):.1f}", *(spread(figures, digits) for figures, digits in _columns(one)))
        for name, one in taken.items()
    ]
    targets, count = [], f"{extent.images:,} images"
    if RAY in taken:
        pairs = zip(taken[RAY].seconds, taken[OURS].seconds, strict=True)
        ahead = [other / ours for other, ours in pairs]
        wanted = f"shuffle of {count}: ahead of Ray Data's random_shuffle"
        targets.append(Target(wanted, f"{spread(ahead)} x", statistics.median(ahead) > 1))
    limit = extent.megabytes * (1 + BEYOND * PARTITION / extent.images)
    peak = taken[OURS].peak
    wanted = f"shuffle of {count}: at most the memory of the images and {BEYOND} partitions, {limit:,.0f} MB"
    targets.append(Target(wanted, f"{spread(peak, 0)} MB", statistics.median(peak) <= limit))
    text = TEXT.format(
        images=extent.images,
        side=extent.side,
        megabytes=extent.megabytes,
        partition=PARTITION,
        rounds=extent.rounds,
        period=PERIOD,
    )
    return Table(
        "Shuffling", text, ("", "best s", "seconds", "CPU s", "MB with the images", "MB at most"), rows, targets
    )
