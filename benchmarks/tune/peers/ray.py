"""A random search of trials that only sleep, by Ray Tune on two cores; runs in Ray's own environment."""

from __future__ import annotations

import tempfile
import time
from typing import Any

from ray import tune

from benchmarks.peers.ray_session import session
from benchmarks.tune.peers.arguments import HIGH, LOW, WORKERS, serve


def search(trials: int, sleep: float) -> float:
    """Return the seconds of a search; Ray is there before."""

    def trial(config: dict[str, Any]) -> dict[str, float]:
        time.sleep(sleep)
        return {"score": config["x"]}

    with tempfile.TemporaryDirectory() as folder, session():
        space = {"x": tune.uniform(0, 1), "y": tune.loguniform(LOW, HIGH), "z": tune.randint(30, 101)}
        search_ = tune.TuneConfig(num_samples=trials, max_concurrent_trials=WORKERS, metric="score", mode="max")
        run = tune.RunConfig(storage_path=folder, verbose=0)
        tuner = tune.Tuner(trial, param_space=space, tune_config=search_, run_config=run)
        began = time.perf_counter()
        tuner.fit()
        return time.perf_counter() - began


if __name__ == "__main__":
    serve(search)
