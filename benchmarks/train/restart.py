"""The starts of peers, all processes of which are started, and start again, together."""

from __future__ import annotations

import json
import subprocess
import time

from benchmarks.processes import ROOT, environment
from benchmarks.train.team import Team

MIRRORED = "MultiWorkerMirroredStrategy, {workers} processes by hand"
RAY = "Ray Train, TensorflowTrainer"


def by_hand(network: str, workers: int, batch: int) -> float:
    """Return seconds from the start of processes with MultiWorkerMirroredStrategy to the end of their first step."""
    began = time.monotonic()
    with Team("tensorflow", workers) as team:
        return max(one["end"] for one in team.ask(network=network, batch=batch, steps=1)) - began


def ray_train(python: str, network: str, batch: int, *, steps: int = 1, kill: bool = False) -> dict[str, float]:
    """Train by Ray Train; return seconds from its start to the end of the first step, and what `peers.ray` says.

    Args:
        python: the interpreter that has Ray Train.
        network: a function of `networks`.
        batch: rows of a step.
        steps: that are timed.
        kill: whether a worker is killed, and all start again.

    Raises:
        RuntimeError: it failed.
    """
    began = time.time()
    command = [python, "-m", "benchmarks.train.peers.ray", network, str(batch), str(steps), str(int(kill))]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(TF_CPP_MIN_LOG_LEVEL="3"), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"benchmarks.train.peers.ray ended with exit code {done.returncode}:\n{done.stderr}")
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer | {"start": answer["first"] - began}
