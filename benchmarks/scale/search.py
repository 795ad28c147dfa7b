"""What a trial costs the driver and the scheduler, by the number of workers."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import optuna

from benchmarks.report import Table, Target, spread
from benchmarks.scale.cluster import Simulated, simulated
from benchmarks.workload.nothing import objective
from jobs.tune import Study, space

LIMITS = {1_000: 3.0}
"""Workers -> milliseconds of the driver's CPU that a trial may take."""
TEXT = """\
A trial that returns at once, of a random search: milliseconds that the driver and the scheduler compute for it, from
asking to telling (CPU time of their processes, in rounds that go on with one study). The peer is Optuna in one process,
with its journal on disk: no trial leaves the process."""


def run(counts: Sequence[int], trials: int, rounds: int) -> Table:
    """Measure so many trials a round, and at least one for each worker."""
    theirs = _optuna(trials, rounds)
    rows, targets = [("Optuna, in one process", spread(theirs), "", "")], []
    for workers in counts:
        with simulated(workers) as (cluster, client), tempfile.TemporaryDirectory() as folder:
            study = Study(client, "benchmarks.workload.nothing:objective", {"x": space.uniform(0.0, 1.0)}, seed=0,
                          run=str(Path(folder, "run")), sampler="random", direction="minimize")  # fmt: skip
            ours, scheduler = _ours(cluster, study, max(trials, workers), rounds)
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        rows.append((f"ours, {workers:,} workers", spread(ours), f"{scheduler:.2f}", spread(ratios, 1)))
        if workers in LIMITS:
            wanted = f"driver's CPU of an empty trial, {workers:,} workers: at most {LIMITS[workers]:g} ms"
            targets.append(Target(wanted, f"{spread(ours)} ms", statistics.median(ours) <= LIMITS[workers]))
    return Table("A trial", TEXT, ("", "driver ms", "scheduler ms", "times Optuna's"), rows, targets)


def _ours(cluster: Simulated, study: Study, trials: int, rounds: int) -> tuple[list[float], float]:
    study.run(trials)  # the first loads the objective on each worker
    mine, scheduler = [], cluster.scheduler_seconds
    for number in range(rounds):
        began = time.process_time()
        study.run((number + 2) * trials)
        mine.append(1e3 * (time.process_time() - began) / trials)
    return mine, 1e3 * (cluster.scheduler_seconds - scheduler) / trials / rounds


def _optuna(trials: int, rounds: int) -> list[float]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        backend = optuna.storages.journal.JournalFileBackend(str(Path(folder, "journal.log")))
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend), sampler=optuna.samplers.RandomSampler(0)
        )
        taken = []
        for _ in range(rounds + 1):
            began = time.process_time()
            study.optimize(lambda trial: objective({"x": trial.suggest_float("x", 0.0, 1.0)}), n_trials=trials)
            taken.append(1e3 * (time.process_time() - began) / trials)
        return taken[1:]
