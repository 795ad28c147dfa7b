"""`python -m benchmarks.minimize`: measure everything, print the tables, and write benchmarks/RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from threadpoolctl import threadpool_limits

from benchmarks import ray_environment
from benchmarks.arguments import parsed
from benchmarks.minimize import evaluation, fitting, journal, kernel, memory, overhead, portable
from benchmarks.report import Table, Target, document
from benchmarks.workload.data import Generated


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        data: rows of the evaluations.
        dtypes: what they are kept in.
        rounds: turns of each peer, of about `seconds`.
        patience: seconds that a turn waits for other programs to rest.
        workers: numbers of workers whose overhead is measured by so many `evaluations`.
        drivers: the two numbers of rows, of 64 features, that the driver's memory is compared at.
        footprints: how often memory is measured.
        journals: number of parameters -> number of evaluations.
        replays: how often each journal is written and replayed.
        fitted: rows of the logistic model that is fitted, each time by all peers.
        fits: how often.
    """

    data: Generated = field(default_factory=lambda: Generated(55_000, 784))
    dtypes: tuple[str, ...] = ("float64", "float32")
    rounds: int = 9
    seconds: float = 0.4
    patience: float = 5.0
    workers: tuple[int, ...] = (2, 4, 16, 64)
    evaluations: int = 300
    drivers: tuple[int, int] = (10_000, 1_000_000)
    footprints: int = 2
    journals: dict[int, int] = field(default_factory=lambda: {7_850: 500, 1_000_000: 20})
    replays: int = 5
    fitted: int = 10_000_000
    fits: int = 3


QUICK = Extent(
    data=Generated(2_000, 64),
    dtypes=("float64",),
    rounds=1,
    seconds=0.01,
    patience=0.0,
    workers=(2, 5),
    evaluations=25,
    drivers=(1_000, 2_000),
    footprints=1,
    journals={7_850: 20},
    replays=1,
    fitted=20_000,
    fits=1,
)


def main() -> None:
    """Measure, print and write."""
    arguments = parsed("benchmarks", __doc__, "RESULTS.md", quick="small data, few repetitions")
    extent = QUICK if arguments.quick else Extent()
    ray = None if arguments.without_ray else ray_environment.python()
    tables = []
    with threadpool_limits(limits=1):
        for table in _tables(extent, ray):
            print(table.markdown(), flush=True)
            tables.append(table)
    notes = [f"Ray {ray_environment.RAY}" if ray else "without Ray (--without-ray)"]
    if arguments.quick:
        notes.append("a quick run on small data (--quick): it shows that everything works, its figures mean nothing")
    text = document(tables, notes)
    print(text.partition("\n## ")[0])
    arguments.output.write_text(text)


def _tables(extent: Extent, ray: str | None) -> Iterator[Table]:
    turns = {"rounds": extent.rounds, "seconds": extent.seconds, "patience": extent.patience}
    for dtype in extent.dtypes:
        yield evaluation.run(extent.data, dtype, ray=ray, **turns)
    yield overhead.run(extent.workers, extent.evaluations, extent.patience)
    yield from memory.run(extent.data, extent.dtypes, extent.drivers, 64, extent.footprints)
    yield _kernel(1 if extent is QUICK else 10)
    yield portable.run(("float64", "float32", "keras"), 2 if extent is QUICK else 30)
    yield journal.run(extent.journals, extent.replays)
    yield fitting.run(extent.fitted, extent.fits)


def _kernel(repeats: int) -> Table:
    """Return the table of `benchmarks.minimize.kernel`, which also runs by itself."""
    measured = kernel.run(repeats)
    rows, targets = [], []
    for one in measured:
        ratio = f"{one['ratio']:.2f} ({one['ratio_min']:.2f} .. {one['ratio_max']:.2f})"
        milliseconds = (f"{one['plain_ms']:.1f}", f"{one['kernel_ms']:.1f}")
        rows.append((one["dtype"], *milliseconds, ratio, f"{one['deviation']:.0e}"))
        wanted = f"kernel, {one['dtype']}: at least 1.25 x as fast as plain NumPy"
        targets.append(Target(wanted, ratio, one["ratio"] >= 1.25))
    text = (
        f"{kernel.ROWS:,} x {kernel.FEATURES} rows, {kernel.CLASSES} classes, loss and gradient, on one core, in turns."
    )
    header = ("", "plain NumPy ms", "our kernel ms", "plain / ours", "largest deviation of the gradient")
    return Table("Softmax kernel", text, header, rows, targets)


if __name__ == "__main__":
    main()
