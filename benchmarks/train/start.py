"""From the command to the first step, and the driver's memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.processes import ROOT, environment, wait_until_quiet
from benchmarks.report import Table, Target, spread
from benchmarks.train.peers import networks
from benchmarks.train.restart import MIRRORED, RAY, by_hand, ray_train

NETWORKS = "benchmarks.train.peers.networks"
EPOCH = "train: epoch 1: "
OURS = "ours: dask-jobs train"
START_TEXT = """\
Seconds from the start of a command to the end of the first step of a network of 10,666 parameters on {workers} workers,
all of whose processes are started by it, {rounds} rounds in which all take their turns."""
MEMORY_TEXT = """\
The largest resident memory (VmHWM) of the driver's process, the cluster's scheduler included, of `dask-jobs train` with
one step on {workers} workers, from its start to the files of the finished network."""
GROWTH_MEGABYTES = 20.0


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        workers: number of worker processes.
        rounds: turns of each.
        large: the network whose driver is compared with that of the small one.
        patience: seconds that a turn waits for other programs to rest.
        peers: whether MultiWorkerMirroredStrategy takes part.
    """

    workers: int = 2
    rounds: int = 2
    large: str = networks.large.__name__
    patience: float = 2.0
    peers: bool = True


QUICK = Extent(workers=1, rounds=1, large=networks.small.__name__, patience=0.0, peers=False)


@dataclass
class Seen:
    """What was measured: seconds by way, the driver's megabytes by network."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    megabytes: dict[str, list[float]] = field(default_factory=dict)


def run(extent: Extent, ray: str | None = None) -> list[Table]:
    """Measure; `ray` is the interpreter that has Ray Train, if it takes part."""
    seen, small = Seen(), networks.small.__name__
    for _ in range(extent.rounds):
        wait_until_quiet(extent.patience)
        first, megabytes = command(small, extent.workers)
        seen.seconds.setdefault(OURS, []).append(first)
        seen.megabytes.setdefault(small, []).append(megabytes)
        if extent.peers:
            peer = MIRRORED.format(workers=extent.workers)
            seen.seconds.setdefault(peer, []).append(by_hand(small, extent.workers, networks.BATCH))
        if ray:
            seen.seconds.setdefault(RAY, []).append(ray_train(ray, small, networks.BATCH)["start"])
        if extent.large != small:
            seen.megabytes.setdefault(extent.large, []).append(command(extent.large, extent.workers)[1])
    return [_start(extent, seen.seconds), _memory(extent, seen.megabytes)]


def command(network: str, workers: int) -> tuple[float, float]:
    """Train for one step by this project's command; return seconds to its end, and the driver's megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = {
            "--model": f"{NETWORKS}:{network}",
            "--data": f"{NETWORKS}:one_batch",
            "--batch-size": str(networks.BATCH),
            "--epochs": "1",
            "--workers": str(workers),
            "--run": folder,
        }
        line = [
            sys.executable,
            "-m",
            "benchmarks.peers.command",
            "train",
            *(one for pair in arguments.items() for one in pair),
        ]
        began, first, text = time.monotonic(), 0.0, ""
        with subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment()
        ) as process:
            assert process.stdout
            for text in process.stdout:
                first = first or (time.monotonic() - began if EPOCH in text else 0.0)
        if not first:
            raise RuntimeError(f"dask-jobs train ended with exit code {process.returncode}: {text}")
    return first, float(json.loads(text)["megabytes"])


def _start(extent: Extent, taken: Mapping[str, Sequence[float]]) -> Table:
    rows = [
        (name, f"{min(seconds):.1f}", spread(seconds, 1), spread(_ratios(taken, name)))
        for name, seconds in taken.items()
    ]
    targets = []
    if RAY in taken:
        ours = [1 / one for one in _ratios(taken, RAY)]
        wanted = "command to first step: at most half of Ray Train's time"
        targets.append(Target(wanted, spread(ours), statistics.median(ours) <= 0.5))
    text = START_TEXT.format(workers=extent.workers, rounds=extent.rounds)
    return Table("From the command to the first step", text, ("", "best s", "seconds", "times ours"), rows, targets)


def _ratios(taken: Mapping[str, Sequence[float]], name: str) -> list[float]:
    return [one / ours for one, ours in zip(taken[name], taken[OURS], strict=True)]


def _memory(extent: Extent, taken: Mapping[str, Sequence[float]]) -> Table:
    rows = [(getattr(networks, name).__doc__[9:-1], spread(megabytes, 0)) for name, megabytes in taken.items()]
    targets = []
    if len(taken) > 1:
        small, large = (statistics.median(megabytes) for megabytes in taken.values())
        wanted = f"driver memory: grows by under {GROWTH_MEGABYTES:g} MB from the small network to the large one"
        targets.append(Target(wanted, f"{large - small:,.0f} MB", large - small < GROWTH_MEGABYTES))
    return Table("Memory of the driver", MEMORY_TEXT.format(workers=extent.workers), ("", "MB"), rows, targets)
