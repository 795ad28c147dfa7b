"""The shipped network: trials a minute with and without the shared compiled step, and the work that ASHA saves."""

from __future__ import annotations

import functools
import itertools
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client

from benchmarks.processes import wait_until_quiet
from benchmarks.report import Table, Target, spread
from benchmarks.tune.peers import cnn_ways
from benchmarks.tune.peers.cnn_ways import PLAIN, SHARED, WAYS
from jobs import connect
from jobs.tune import Study, cnn
from jobs.tune.cnn.images import images_of
from jobs.tune.cnn.objective import Settings

FULL = Settings.model_fields["epochs"].default
SPEED = """\
The shipped network on the shipped digits, {rounds} rounds in which all take their turns on the same workers; each has
run some trials there before. "one trial" has so many epochs and runs in one process; its hyperparameters change with
the round. "a search" is `dask-jobs tune` as it is by default: {trials} random trials of up to {full} epochs on 2
workers, stopped by ASHA, which ends most of them after 1 or 4 epochs; all ways get the same hyperparameters."""
WORK = """\
{searched} random trials of {full} epochs run to the end (`--pruner none`), and the same hyperparameters with ASHA as it
is by default, on 2 workers. Epochs are counted where they are trained, also those that a trial trained before it heard
that it was stopped. Trials that diverge end early in both. Then ASHA goes on with more trials, at most {most} in all,
until one that was trained to its end is as good as the best of the full search: exactly, or but for one of the {rows}
validation images ({image:.4f})."""
WANTED = (
    "times fewer epochs for the same trials",
    "times fewer until as good but for one image",
    "times fewer until exactly as good",
)

Turn = Callable[[str, int], float]


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        rounds: turns of each way.
        epochs: of the single trials.
        full: epochs of a trial that is not stopped.
        trials: of a search whose speed is measured.
        seeds: of the searches whose work is counted.
        searched: trials of these.
        most: trials that ASHA may take to become as good.
        patience: seconds that a turn waits for other programs to rest.
    """

    rounds: int = 3
    epochs: tuple[int, ...] = (1, 4, FULL)
    full: int = FULL
    trials: int = 40
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    searched: int = 100
    most: int = 400
    patience: float = 5.0


QUICK = Extent(rounds=1, epochs=(1, 2), full=2, trials=2, seeds=(0,), searched=4, most=5, patience=0.0)


def run(extent: Extent) -> Iterator[Table]:
    """Measure all, on 2 worker processes."""
    with connect(workers=2) as client, tempfile.TemporaryDirectory() as folder:
        yield speed(client, Path(folder), extent)
        yield work(client, Path(folder), extent)


def speed(client: Client, folder: Path, extent: Extent) -> Table:
    """Return seconds a trial and trials a minute of each way."""
    for way in WAYS:
        _study(client, folder / f"warm {way}", way, 2, pruner="none").run(trials=4)
    worker = min(client.scheduler_info(n_workers=-1)["workers"])

    def one(epochs: int, way: str, turn: int) -> float:
        parameters = {"learning_rate": 0.02, "batch_size": 64 + turn, "dropout": 0.3, "stddev": 0.1, "epochs": epochs}
        return client.submit(cnn_ways.seconds, way, parameters, turn, workers=[worker], pure=False).result()

    def search(way: str, turn: int) -> float:
        study = _study(client, folder / f"speed {turn} {way}", way, extent.full, seed=turn)
        return study.run(trials=extent.trials)["seconds"] / extent.trials

    subjects: dict[str, Turn] = {f"one trial, epochs: {n}": functools.partial(one, n) for n in extent.epochs}
    measured = {subject: _turns(turn, extent) for subject, turn in {**subjects, "a search": search}.items()}
    rows = [_row(subject, way, times) for subject, times in measured.items() for way in WAYS]
    ratios = _ratios(measured["a search"], PLAIN)
    wanted = "CNN: at least 3 x the trials/min of a fresh model for each trial"
    text = SPEED.format(rounds=extent.rounds, trials=extent.trials, full=extent.full)
    header = ("", "way", "s per trial", "trials/min", "times ours")
    target = Target(wanted, spread(ratios, 1), statistics.median(ratios) >= 3)
    return Table("Shared training step", text, header, rows, [target])


def _study(client: Client, run: Path, way: str, epochs: int, **options: Any) -> Study:
    return Study(client, WAYS[way], cnn.SPACE, run=str(run), fixed={"epochs": epochs}, **options)


def _turns(turn: Turn, extent: Extent) -> dict[str, list[float]]:
    """Return way -> seconds a trial of each round."""
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for number, way in itertools.product(range(extent.rounds), WAYS):
        wait_until_quiet(extent.patience)
        times[way].append(turn(way, number))
    return times


def _ratios(times: dict[str, list[float]], way: str) -> list[float]:
    return [theirs / ours for theirs, ours in zip(times[way], times[SHARED], strict=True)]


def _row(subject: str, way: str, times: dict[str, list[float]]) -> tuple[str, ...]:
    minute = [60 / seconds for seconds in times[way]]
    return subject, way, spread(times[way], 3), spread(minute, 0), spread(_ratios(times, way), 1)


class Searched:
    """A search with the shipped network whose epochs are counted where they are trained.

    Attributes:
        best: accuracy of the best trial that was trained to its end, in its best epoch.
        trials: how many there are.
    """

    def __init__(self, client: Client, run: Path, full: int, **options: Any) -> None:
        self._notes, self._full = run.with_name(f"{run.name} notes"), full
        self._notes.mkdir()
        fixed = {"epochs": full, "notes": str(self._notes)}
        self._study = Study(client, cnn_ways.noted, cnn.SPACE, run=str(run), fixed=fixed, **options)

    def run(self, trials: int, **limits: Any) -> None:
        """Search until there are so many trials, or a limit ends it."""
        result = self._study.run(trials=trials, **limits)
        self.best = result["best"]["value"] if result["best"] else 0.0
        self.trials = sum(result["trials"].values())

    def epochs(self, wanted: float = math.inf) -> int:
        """Return how many epochs were trained until a trial was at its end and as good as wanted, or in all."""
        best: dict[int, float] = {}
        trained = 0
        for trial, step, value in cnn_ways.notes(self._notes):
            trained += 1
            best[trial] = max(best.get(trial, 0.0), value)
            if step == self._full and best[trial] >= wanted:
                break
        return trained


def work(client: Client, folder: Path, extent: Extent) -> Table:
    """Return the epochs that searches with and without ASHA train."""
    image = 1 / len(images_of("digits").validation_y)
    rows, ratios = [], []
    for seed in extent.seeds:
        full = Searched(client, folder / f"full {seed}", extent.full, seed=seed, pruner="none")
        full.run(extent.searched)
        asha = Searched(client, folder / f"asha {seed}", extent.full, seed=seed)
        asha.run(extent.searched)
        cells = [str(seed), f"{full.epochs():,}", f"{full.best:.4f}", f"{asha.epochs():,}", f"{asha.best:.4f}"]
        same = full.epochs() / asha.epochs()
        if asha.best < full.best:
            asha.run(extent.most, target=full.best)
        near, exact = (_fewer(full, asha, wanted) for wanted in (full.best - 1.01 * image, full.best))
        rows.append((*cells, *map(_times, (same, near, exact))))
        ratios.append((same, near, exact))
    header = ("seed", "full: epochs", "best", "ASHA: epochs", "best", *WANTED)
    text = WORK.format(**vars(extent), rows=round(1 / image), image=image)
    return Table("Work that ASHA saves", text, header, rows, _targets(ratios))


def _fewer(full: Searched, asha: Searched, wanted: float) -> float:
    """Return how many times fewer epochs ASHA took until it was as good as wanted; 0 if it never was."""
    return full.epochs() / asha.epochs(wanted) if asha.best >= wanted else 0.0


def _times(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio else "not reached"


def _targets(ratios: list[tuple[float, ...]]) -> list[Target]:
    targets = []
    for what, values in zip(WANTED, zip(*ratios, strict=True), strict=True):
        reached = f"; reached by {sum(map(bool, values))} of {len(values)} seeds"
        wanted = f"CNN with ASHA, {what}: at least 5"
        targets.append(Target(wanted, spread(values, 1) + reached, statistics.median(values) >= 5))
    return targets
