"""`python -m benchmarks.tune`: measure the tune job, print the tables, and write benchmarks/TUNE.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from benchmarks import ray_environment, tune_cnn, tune_resume, tune_search
from benchmarks.report import Table, document
from benchmarks.rounds import ROOT


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tune", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and small trials: does everything run?")
    parser.add_argument("--without-ray", action="store_true", help="leave Ray out, which is installed into build/ else")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "TUNE.md", help="file to write")
    arguments = parser.parse_args()
    ray = None if arguments.without_ray else ray_environment.python()
    tables = []
    for table in _tables(ray, quick=arguments.quick):
        print(table.markdown(), flush=True)
        tables.append(table)
    notes = [f"Ray {ray_environment.RAY}" if ray else "without Ray (--without-ray)"]
    if arguments.quick:
        notes.append("a quick run of few trials (--quick): it shows that everything works, its figures mean nothing")
    arguments.output.write_text(document(tables, notes))


def _tables(ray: str | None, *, quick: bool) -> Iterator[Table]:
    yield from tune_search.run(tune_search.QUICK if quick else tune_search.FULL, ray)
    yield tune_resume.run(50 if quick else 10_000, 1 if quick else 3)
    yield from tune_cnn.run(tune_cnn.QUICK if quick else tune_cnn.Extent())


if __name__ == "__main__":
    main()
