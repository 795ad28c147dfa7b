"""What the running of trials costs: empty ones, and how busy trials of two seconds keep the workers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.processes import ROOT, environment, wait_until_quiet
from benchmarks.report import Table, Target, spread
from benchmarks.tune.peers.arguments import WORKERS

OURS = "ours"
PEERS = {
    OURS: ("ours: dask-jobs tune, 2 worker processes, journal on disk", "ours"),
    "optuna": ("Optuna, 2 threads (n_jobs), its journal on disk", "optuna"),
    "ray": ("Ray Tune, 2 cores", "ray"),
}


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        empty: trials that do nothing, for each peer.
        slow: trials that sleep.
        sleep: seconds that they sleep.
        rounds: turns of each.
        patience: seconds that a turn waits for other programs to rest.
    """

    empty: Mapping[str, int]
    slow: int
    sleep: float
    rounds: int
    patience: float


FULL = Extent({OURS: 1_000, "optuna": 1_000, "ray": 30}, slow=30, sleep=2.0, rounds=3, patience=5.0)
QUICK = Extent({OURS: 10, "optuna": 10, "ray": 2}, slow=4, sleep=0.1, rounds=1, patience=0.0)


def run(extent: Extent, ray: str | None) -> list[Table]:
    """Measure; `ray` is the interpreter that has Ray, if it takes part."""
    pythons = {OURS: sys.executable, "optuna": sys.executable, **({"ray": ray} if ray else {})}
    empty: dict[str, list[float]] = {name: [] for name in pythons}
    slow: dict[str, list[float]] = {name: [] for name in pythons}
    for _ in range(extent.rounds):
        for name, python in pythons.items():
            wait_until_quiet(extent.patience)
            empty[name].append(1e3 * _seconds(python, name, extent.empty[name], 0.0) / extent.empty[name])
            seconds = _seconds(python, name, extent.slow, extent.sleep)
            slow[name].append(100 * extent.slow * extent.sleep / WORKERS / seconds)
    return [_empty(extent, empty), _busy(extent, slow)]


def _seconds(python: str, name: str, trials: int, sleep: float) -> float:
    command = [python, "-m", f"benchmarks.tune.peers.{PEERS[name][1]}", "--trials", str(trials), "--sleep", str(sleep)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"benchmarks.tune.peers.{PEERS[name][1]} ended with exit code {done.returncode}:\n{done.stderr}"
        )
    seconds: float = json.loads(done.stdout.splitlines()[-1])["seconds"]
    return seconds


def _empty(extent: Extent, taken: Mapping[str, Sequence[float]]) -> Table:
    rows = [
        (PEERS[name][0], f"{extent.empty[name]:,}", spread(times, 1), spread(_ratios(taken, name), 1))
        for name, times in taken.items()
    ]
    ours = spread(taken[OURS], 1)
    met = float(ours.split()[0]) <= 10
    text = (
        "Milliseconds a trial of a random search over three hyperparameters whose trials return at once: what a search "
        f"costs beside its trials, from its begin to its end, in {extent.rounds} rounds."
    )
    targets = [Target(f"a trial that does nothing, {extent.empty[OURS]:,} of them: at most 10 ms", f"{ours} ms", met)]
    return Table("Overhead of a trial", text, ("", "trials", "ms a trial", "times ours"), rows, targets)


def _ratios(taken: Mapping[str, Sequence[float]], name: str) -> list[float]:
    return [theirs / ours for theirs, ours in zip(taken[name], taken[OURS], strict=True)]


def _busy(extent: Extent, taken: Mapping[str, Sequence[float]]) -> Table:
    rows = [(PEERS[name][0], spread(shares, 1)) for name, shares in taken.items()]
    ours = spread(taken[OURS], 1)
    met = float(ours.split()[0]) >= 95
    text = (
        f"Share of the time that {WORKERS} workers are in trials, of a search of {extent.slow} trials that sleep for "
        f"{extent.sleep:g} s, from its begin to its end, in the same rounds."
    )
    target = Target(f"workers busy with trials of {extent.sleep:g} s: at least 95 %", f"{ours} %", met)
    return Table("Busy workers", text, ("", "% of the time in trials"), rows, [target])
