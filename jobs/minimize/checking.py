"""The command `check`: a problem tried on its first block in this process, what a block costs, and good sizes of it."""

from __future__ import annotations

import contextlib
import math
import pickle
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from dask.sizeof import sizeof
from pydantic import BaseModel, ConfigDict, create_model
from rich.console import Console
from threadpoolctl import threadpool_limits

from jobs.errors import InputError
from jobs.formatting import decimal_bytes
from jobs.minimize.evaluate.check import Verdict, findings
from jobs.minimize.evaluate.request import Request, answer
from jobs.minimize.job import problem_of
from jobs.minimize.options import Options
from jobs.minimize.problems.base import CheckedProblem, block_rows, has, rows
from jobs.options import parse, validated
from jobs.runs.display.console import print_rows
from jobs.usercode import call

NAMES = ("problem", "data", "model", "classes", "dtype", "label", "features", "weight")
"""Options of the job that name a problem."""
ABOUT = """Try a problem's contract on its first block, in this process, before a run is begun with it.

    Losses must be sums over rows, rows and losses the same each time, and derivatives right. Every run of minimize
    tries that on some of these rows at its start, too.

    Examples:
      dask-jobs check --problem my_model:problem
      dask-jobs check --data idx:/data/mnist
    """
WIDTH = 140
GOOD_SECONDS, GOOD_BYTES = (0.001, 0.05), 8_000_000
"""Of a block: below, its own overhead counts, above, few blocks are left for the workers, and caches are too small."""
AIM_SECONDS = 0.005
TURNS = 3


def check(arguments: Sequence[str]) -> None:
    """Print what is found of the problem that the arguments name.

    Raises:
        InputError: an option is wrong, or the problem breaks its contract.
        DataError, UserCodeError: it fails.
    """
    known = Options.model_fields
    fields: dict[str, Any] = {name: (known[name].annotation, known[name]) for name in NAMES}
    config = ConfigDict(extra="forbid", frozen=True)
    model: type[BaseModel] = create_model("CheckOptions", __config__=config, __doc__=ABOUT, **fields)
    given = parse(model, "dask-jobs check", arguments)
    made = problem_of(validated(Options, given.model_dump()))
    with threadpool_limits(limits=1):
        wrong = _print(made)
    if wrong:
        raise InputError(wrong)


def _print(made: CheckedProblem) -> str:
    """Print the findings, and what a block costs; return what is wrong."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    count = min(block_rows(made.problem), rows(made.problem))
    marks: dict[Verdict, str] = {"right": "", "doubtful": "doubtful: ", "wrong": "wrong: "}
    wrong = ""
    for finding in findings(made.problem, made.x0, count):
        print_rows(console, [(f"{finding.what:<36}", marks[finding.verdict] + finding.text)])
        wrong = finding.text if finding.verdict == "wrong" else wrong
    print_rows(console, [(f"{name:<36}", text) for name, text in _costs(made, count)])
    return wrong


def _costs(made: CheckedProblem, count: int) -> list[tuple[str, str]]:
    """Return what the first block costs, and what size is good."""
    problem, kind = made.problem, "value_and_grad" if has(made.problem, "value_and_grad") else "value"
    began = time.perf_counter()
    data = call(f"load(0, {count})", problem.load, 0, count)
    load = time.perf_counter() - began
    seconds = statistics.median(_seconds(problem, Request(kind, made.x0[None].copy()), data) for _ in range(TURNS))  # type: ignore[arg-type]
    size = _bytes(data)
    blocks = math.ceil(rows(problem) / block_rows(problem))
    milliseconds = f"{1e3 * load:.3g} ms to load, {1e3 * seconds:.3g} ms to evaluate"
    return [
        ("block", f"{count:,} rows, {decimal_bytes(size)}, {milliseconds}"),
        ("blocks", f"{blocks:,}, so no more than {blocks:,} worker threads have something to do"),
        ("block_rows", _advice(count, seconds, size, rows(problem))),
    ]


def _bytes(data: Any) -> int:
    """Return the size of a block's data: as Dask has it, or pickled, since Dask does not look into all objects."""
    with contextlib.suppress(Exception):  # what cannot be pickled need not be
        return max(int(sizeof(data)), len(pickle.dumps(data, protocol=5)))
    return int(call("the size of a block", sizeof, data))


def _seconds(problem: Any, request: Request, data: Any) -> float:
    began = time.perf_counter()
    answer(problem, request, data, "the first block", "inf")
    return time.perf_counter() - began


def _advice(count: int, seconds: float, size: int, total: int) -> str:
    """Return whether the rows of a block are good, or how many would be: a power of two."""
    if GOOD_SECONDS[0] <= seconds <= GOOD_SECONDS[1] and size <= GOOD_BYTES:
        return f"{count:,} is good"
    best = min(AIM_SECONDS / (seconds / count), GOOD_BYTES / max(size / count, 1e-9))
    better = 2 ** max(0, round(float(np.log2(best))))
    if better >= total:
        return f"{count:,} is good: all rows together take {1e3 * seconds * total / count:.3g} ms"
    why = "takes little"
    if size > GOOD_BYTES or seconds > AIM_SECONDS:
        why = "is large for a core's cache" if size > GOOD_BYTES else "takes long"
    return f"a block {why}: {better:,} would take about {1e3 * seconds * better / count:.3g} ms each"
