"""`python -m benchmarks.train`: measure the train job, print the tables, and write benchmarks/TRAIN.md."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import ray_environment, train_exchange, train_losses, train_start, train_steps
from benchmarks.report import Table, document
from benchmarks.rounds import ROOT

SUBJECTS = ("exchange", "steps", "losses", "start")
Subjects = Mapping[str, Callable[[], list[Table]]]


def main() -> None:
    """Measure, print and write."""
    arguments = _arguments()
    ray = None if arguments.without_ray else ray_environment.python("train")
    tables = []
    load = [_load()]
    for table in _tables(_subjects(ray, quick=arguments.quick), arguments.only):
        print(table.markdown(), flush=True)
        tables.append(table)
        load.append(_load())
    notes = [f"Ray {ray_environment.RAY}" if ray else "without Ray (--without-ray)"]
    notes.append(f"load average of the last minute: {min(load):.1f} .. {max(load):.1f}, at the ends of tables")
    if arguments.quick:
        notes.append("a quick run of few and small steps (--quick): it shows that everything works, no figures")
    arguments.output.write_text(document(tables, notes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and small steps: does everything run?")
    parser.add_argument("--without-ray", action="store_true", help="leave Ray out, which is installed into build/ else")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=SUBJECTS, help="measure these subjects")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "TRAIN.md", help="file to write")
    return parser.parse_args()


def _load() -> float:
    return os.getloadavg()[0]


def _subjects(ray: str | None, *, quick: bool) -> Subjects:
    exchange, steps, losses, start = (
        module.QUICK if quick else module.Extent()
        for module in (train_exchange, train_steps, train_losses, train_start)
    )
    return {
        "exchange": lambda: train_exchange.run(exchange),
        "steps": lambda: [train_steps.run(steps, ray)],
        "losses": lambda: [train_losses.run(losses, ray)],
        "start": lambda: train_start.run(start, ray),
    }


def _tables(subjects: Subjects, only: Sequence[str]) -> Iterator[Table]:
    for name, measure in subjects.items():
        if name in only:
            yield from measure()


if __name__ == "__main__":
    main()
