"""`python -m benchmarks.tune`: measure the tune job, print the tables, and write benchmarks/TUNE.md."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import ray_environment
from benchmarks.arguments import parsed
from benchmarks.report import Table, document
from benchmarks.tune import cnn, resume, search


def main() -> None:
    """Measure, print and write."""
    arguments = parsed("benchmarks.tune", __doc__, "TUNE.md", quick="few and small trials")
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
    yield from search.run(search.QUICK if quick else search.FULL, ray)
    yield resume.run(50 if quick else 10_000, 1 if quick else 3)
    yield from cnn.run(cnn.QUICK if quick else cnn.Extent())


if __name__ == "__main__":
    main()
