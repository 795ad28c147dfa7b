"""A large study that goes on: how long its driver needs, and how much memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.processes import ROOT, environment
from benchmarks.report import Table, Target, spread
from benchmarks.tune.peers.writes import STEPS


def run(trials: int, rounds: int) -> Table:
    """Measure a study of so many trials of four reports each."""
    taken: dict[str, list[dict[str, float]]] = {"ours": [], "optuna": []}
    with tempfile.TemporaryDirectory() as folder:
        _peer("writes", folder, str(trials))
        for number in range(rounds):
            taken["optuna"].append(_peer("loads", folder, str(number)))
            taken["ours"].append(_peer("goes_on", folder, str(trials + 2 * (number + 1))))
    names = {
        "ours": "ours: the driver goes on and runs two trials more",
        "optuna": "Optuna loads the same journal",
    }
    rows = [
        (names[name], spread([one["seconds"] for one in ones]), spread([one["megabytes"] for one in ones], 0))
        for name, ones in taken.items()
    ]
    text = f"""\
A study of {trials:,} trials with {STEPS} reports each, killed and started again, {rounds} times: seconds from reading
the journal to the end of two more trials that do nothing (trials.csv and result.json are written, too; the cluster is
there before), and the most memory that the driver's process, which has the scheduler in it, ever took."""
    seconds, megabytes = rows[0][1], rows[0][2]
    targets = [
        Target(f"a study of {trials:,} trials goes on in at most 10 s", f"{seconds} s", _first(seconds) <= 10),
        Target(
            f"its driver stays under 500 MB of memory ({trials:,} trials)", f"{megabytes} MB", _first(megabytes) < 500
        ),
    ]
    return Table("A large study goes on", text, ("", "seconds", "MB"), rows, targets)


def _first(text: str) -> float:
    return float(text.split(maxsplit=1)[0].replace(",", ""))


def _peer(module: str, folder: str, argument: str) -> dict[str, float]:
    command = [sys.executable, "-m", f"benchmarks.tune.peers.{module}", folder, argument]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"benchmarks.tune.peers.{module} ended with exit code {done.returncode}:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
