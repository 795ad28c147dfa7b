"""`python -m benchmarks.scale`: measure drivers and schedulers of many workers, and write benchmarks/SCALE.md."""

from __future__ import annotations

from threadpoolctl import threadpool_limits

from benchmarks.arguments import parsed
from benchmarks.report import document
from benchmarks.scale import evaluation, joining, search


def main() -> None:
    """Measure, print and write."""
    arguments = parsed("benchmarks.scale", __doc__, "SCALE.md", quick="few workers, few repetitions")
    quick = arguments.quick
    tables = []
    with threadpool_limits(limits=1):
        for table in (
            lambda: evaluation.run((2, 9) if quick else (2, 16, 64, 256, 1_000), 5 if quick else 20, 2 if quick else 5),
            lambda: search.run((2,) if quick else (2, 1_000), 5 if quick else 500, 1 if quick else 3),
            lambda: joining.run((3,) if quick else (100, 1_000)),
        ):
            tables.append(table())
            print(tables[-1].markdown(), flush=True)
    notes = ["a quick run (--quick): it shows that everything works, its figures mean nothing"] if quick else []
    text = document(tables, notes)
    print(text.partition("\n## ")[0])
    arguments.output.write_text(text)


if __name__ == "__main__":
    main()
