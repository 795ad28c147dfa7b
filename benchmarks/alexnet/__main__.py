"""`python -m benchmarks.alexnet`: measure the alexnet job, print the tables, and write benchmarks/ALEXNET.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from benchmarks import ray_environment
from benchmarks.alexnet import decode, loading, memory, shuffle, steps
from benchmarks.arguments import parsed
from benchmarks.report import Table, document
from jobs.alexnet.images import decoder_version

SUBJECTS = ("decode", "loading", "shuffle", "steps", "memory")
Subjects = Mapping[str, Callable[[], list[Table]]]


def main() -> None:
    """Measure, print and write."""
    arguments = parsed("benchmarks.alexnet", __doc__, "ALEXNET.md", quick="few and small images", subjects=SUBJECTS)
    ray = None if arguments.without_ray else ray_environment.python("data")
    tables = []
    load = [os.getloadavg()[0]]
    subjects = _subjects(ray, quick=arguments.quick)
    for name in arguments.only:
        for table in subjects[name]():
            print(table.markdown(), flush=True)
            tables.append(table)
        load.append(os.getloadavg()[0])
    notes = [decoder_version(), f"Ray {ray_environment.RAY}" if ray else "without Ray (--without-ray)"]
    notes.append(f"load average of the last minute: {min(load):.1f} .. {max(load):.1f}, at the ends of subjects")
    if arguments.quick:
        notes.append("a quick run of few and small images (--quick): it shows that everything works, no figures")
    arguments.output.write_text(document(tables, notes, "make bench-alexnet"))


def _subjects(ray: str | None, *, quick: bool) -> Subjects:
    decoded, loaded, shuffled, stepped, remembered = (
        module.QUICK if quick else module.Extent() for module in (decode, loading, shuffle, steps, memory)
    )
    return {
        "decode": lambda: decode.run(decoded),
        "loading": lambda: [loading.run(loaded)],
        "shuffle": lambda: [shuffle.run(shuffled, ray)],
        "steps": lambda: steps.run(stepped),
        "memory": lambda: [memory.run(remembered)],
    }


if __name__ == "__main__":
    main()
