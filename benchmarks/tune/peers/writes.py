"""Writes FOLDER/run, as a driver that was killed after TRIALS trials has left it."""

from __future__ import annotations

import sys

from jobs.runs.run import Run
from jobs.tune.job import open_recorder, plan, read
from jobs.tune.options import Options
from jobs.tune.records.outcome import Outcome

OBJECTIVE = "benchmarks.tune.peers.goes_on:trial"
SPACE = {"x": {"uniform": [0, 1]}, "y": {"log": [1e-6, 10]}, "z": {"integer": [30, 100]}}
STEPS = 4
"""Reports of a trial that is not stopped."""


def options(folder: str, trials: int) -> Options:
    """Return the options of the study with so many trials."""
    return Options(objective=OBJECTIVE, space=SPACE, run=f"{folder}/run", trials=trials)


def main() -> None:
    """Write it."""
    folder, trials = sys.argv[1], int(sys.argv[2])
    study = options(folder, trials + 1)
    checked, run = plan(study), Run(str(study.run), "tune", study)
    recorded = read(checked, run)
    run.start()
    with open_recorder(checked, run, recorded) as recorder:
        for number in range(trials):
            ticket = recorder.ask()
            value = float(ticket.params["x"])
            stop = any(recorder.report(number, step, value * step) for step in range(1, STEPS + 1))
            end = Outcome("pruned") if stop else Outcome("complete", (value,), worker="tcp://127.0.0.1:12345")
            recorder.tell(number, end, number / 10)
    print("{}")


if __name__ == "__main__":
    main()
