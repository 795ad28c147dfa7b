"""What the journal costs an evaluation, and how fast a resumed run is answered from it."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.report import Table, spread
from benchmarks.workload.data import theta
from benchmarks.workload.nothing import Nothing
from jobs.minimize import Objective
from jobs.minimize.journal import Journal
from jobs.storage import Storage, open_storage

LIMIT = 1 << 40
TEXT = """\
Evaluations of a problem that computes nothing, in one process, the run folder on the local disk: milliseconds each
without and with a journal, in turns; beside it the same bytes appended to a plain file. Replay is a new attempt that is
answered from the journal; beside it the same bytes read back from the plain file, neither checked nor compared."""


def run(sizes: dict[int, int], repeats: int) -> Table:
    """Measure for each number of parameters -> number of evaluations."""
    rows = [_row(n, evaluations, repeats) for n, evaluations in sizes.items()]
    header = ("n", "without ms", "with ms", "cost ms", "plain file ms", "replayed / s", "plain file / s")
    return Table("Journal", TEXT, header, rows)


def _row(n: int, evaluations: int, repeats: int) -> tuple[str, ...]:
    turns = [_turn(n, evaluations) for _ in range(repeats)]
    without, with_journal, plain, replay, read = zip(*turns, strict=True)
    cost = [1e3 * (more - less) for more, less in zip(with_journal, without, strict=True)]
    return (
        f"{n:,}",
        f"{1e3 * statistics.median(without):.3f}",
        f"{1e3 * statistics.median(with_journal):.3f}",
        spread(cost, 3),
        spread([1e3 * seconds for seconds in plain], 3),
        spread([1 / seconds for seconds in replay], 0),
        spread([1 / seconds for seconds in read], 0),
    )


def _turn(n: int, evaluations: int) -> tuple[float, ...]:
    """Return seconds an evaluation: without journal, with it, plain file written, replayed, plain file read."""
    record = np.zeros(1 + n)

    def per_evaluation(evaluate: Callable[[np.ndarray], object]) -> float:
        began = time.perf_counter()
        for number in range(evaluations):
            evaluate(points[number % len(points)])
        return (time.perf_counter() - began) / evaluations

    points = [theta(number, n) for number in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        path, storage = Path(folder) / "plain", open_storage(Path(folder) / "run")
        without = per_evaluation(Objective(None, Nothing(1, n)))
        with _journaled(storage, 1, n) as objective:
            with_journal = per_evaluation(objective)
        with path.open("wb", buffering=0) as file:
            plain = per_evaluation(lambda _: file.write(record.data))
        with _journaled(storage, 2, n) as objective:
            replay = per_evaluation(objective)
        with path.open("rb", buffering=0) as file:
            read = per_evaluation(lambda _: file.readinto(record.data))
    return without, with_journal, plain, replay, read


@contextlib.contextmanager
def _journaled(storage: Storage, attempt: int, n: int) -> Iterator[Objective]:
    """Yield an objective that replays the attempts before this one and records."""
    with Objective(None, Nothing(1, n)) as objective:
        objective.journal = Journal(storage, attempt, {}, LIMIT)
        with contextlib.closing(objective.journal):
            yield objective
