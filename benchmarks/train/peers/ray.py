"""Ray Train's TensorflowTrainer on two cores, in Ray's own environment: `ray NETWORK BATCH STEPS KILL`.

Prints one line of JSON: `first`, the moment (seconds since 1970) when the first step had ended; `seconds`, the mean of
a step; and with KILL 1 `recovery`, from SIGKILL of a worker to the end of the next step, without reading a checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray.train
from ray.train.tensorflow import TensorflowTrainer

from benchmarks.peers.ray_session import session
from benchmarks.train.peers.tensorflow import trainer as trainer_of

WORKERS, WARM = 2, 3


def loop(settings: dict[str, Any]) -> None:
    """Train in one worker, and note when steps ended."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    folder = Path(settings["folder"])
    steps = trainer_of(tf.distribute.MultiWorkerMirroredStrategy(), settings["network"], settings["batch"])
    again = (folder / "killed").exists()
    rank, times = ray.train.get_context().get_world_rank(), []
    for number in range(1 if again else settings["steps"] + WARM):
        steps(1)
        times.append(time.time())
        if number == 0 and rank == 0:
            (folder / ("again" if again else "first")).write_text(repr(times[0]))
    if rank == 0 and not again:
        (folder / "times").write_text(json.dumps(times))
    ray.train.report({})
    if settings["kill"] and rank == 1 and not again:
        (folder / "killed").write_text(repr(time.time()))
        os.kill(os.getpid(), signal.SIGKILL)
    if settings["kill"] and not again:
        steps(1)  # waits for the other in vain


def main(network: str, batch: int, steps: int, *, kill: bool) -> dict[str, float]:
    """Train, and return what was measured."""
    with tempfile.TemporaryDirectory() as folder, session():
        settings = {"network": network, "batch": batch, "steps": steps, "kill": kill, "folder": folder}
        failures = ray.train.FailureConfig(max_failures=1 if kill else 0)
        run = ray.train.RunConfig(storage_path=folder, failure_config=failures)
        scaling = ray.train.ScalingConfig(num_workers=WORKERS)
        TensorflowTrainer(loop, train_loop_config=settings, scaling_config=scaling, run_config=run).fit()
        found = {name: (Path(folder) / name) for name in ("first", "again", "killed")}
        moments = {name: float(path.read_text()) for name, path in found.items() if path.exists()}
        times = json.loads((Path(folder) / "times").read_text())
    result = {"first": moments["first"], "seconds": (times[-1] - times[WARM - 1]) / steps}
    return result | ({"recovery": moments["again"] - moments["killed"]} if kill else {})


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr
    network, batch, steps, kill = sys.argv[1:]
    print(json.dumps(main(network, int(batch), int(steps), kill=kill == "1")), file=answers, flush=True)
