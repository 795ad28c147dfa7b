"""`python -m benchmarks.train`: measure the train job, print the tables, and write benchmarks/TRAIN.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks import ray_environment
from benchmarks.arguments import parsed
from benchmarks.report import Table, document
from benchmarks.train import exchange, losses, start, steps

SUBJECTS = ("exchange", "steps", "losses", "start")
Subjects = Mapping[str, Callable[[], list[Table]]]


def main() -> None:
    """Measure, print and write."""
    arguments = parsed("benchmarks.train", __doc__, "TRAIN.md", quick="few and small steps", subjects=SUBJECTS)
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


def _load() -> float:
    return os.getloadavg()[0]


def _subjects(ray: str | None, *, quick: bool) -> Subjects:
    exchanged, stepped, lost, started = (
        module.QUICK if quick else module.Extent() for module in (exchange, steps, losses, start)
    )
    return {
        "exchange": lambda: exchange.run(exchanged),
        "steps": lambda: [steps.run(stepped, ray)],
        "losses": lambda: [losses.run(lost, ray)],
        "start": lambda: start.run(started, ray),
    }


def _tables(subjects: Subjects, only: Sequence[str]) -> Iterator[Table]:
    for name, measure in subjects.items():
        if name in only:
            yield from measure()


if __name__ == "__main__":
    main()
