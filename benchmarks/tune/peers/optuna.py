"""A random search of trials that only sleep, by Optuna's own `n_jobs` threads, with its journal in a file."""

from __future__ import annotations

import tempfile
import time

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks.tune.peers.arguments import HIGH, LOW, WORKERS, serve


def search(trials: int, sleep: float) -> float:
    """Return the seconds of a search."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        trial.suggest_float("y", LOW, HIGH, log=True)
        trial.suggest_int("z", 30, 100)
        time.sleep(sleep)
        return x

    with tempfile.TemporaryDirectory() as folder:
        storage = JournalStorage(JournalFileBackend(f"{folder}/journal.log"))
        sampler = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(storage=storage, sampler=sampler, direction="maximize")
        began = time.perf_counter()
        study.optimize(objective, n_trials=trials, n_jobs=WORKERS)
        return time.perf_counter() - began


if __name__ == "__main__":
    serve(search)
