"""The estimate of a minimize job for `dask-jobs plan`: the problem's size, and the bytes that an evaluation moves."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.errors import JobError
from jobs.formatting import decimal_bytes
from jobs.minimize.evaluate.by_messages.tree import shape
from jobs.minimize.job import problem_of
from jobs.minimize.options import Options
from jobs.minimize.problems.base import CheckedProblem, block_rows


def rows(options: Options, workers: int, threads: int, gpus: float) -> Iterator[tuple[str, str]]:  # noqa: ARG001  no GPUs are used here
    """Yield (name, text), for so many workers with so many compute threads each."""
    try:
        made = problem_of(options)
    except JobError as error:
        yield "problem", f"not known here, so neither are an evaluation's bytes: {error.command_line_text}"
        return
    blocks = -(-made.problem.rows // block_rows(made.problem))
    yield "problem", f"{made.x0.size:,} parameters, {made.problem.rows:,} rows in {blocks:,} blocks"
    if blocks < workers * threads:
        yield "", f"fewer blocks than threads ({workers * threads}): some workers will have no work"
    yield "evaluation", _evaluation(made, workers)


def _evaluation(made: CheckedProblem, workers: int) -> str:
    """Return the bytes that one evaluation moves: per worker 8 for each parameter, and 8 for the loss, each way."""
    one = 8 * (made.x0.size + 1)
    width = shape(workers, one, one, 0.0).branches
    way = "straight" if width >= workers else f"by a tree of the workers, each with up to {width} below it"
    total, each = decimal_bytes(workers * one), decimal_bytes(one)
    return f"{total} each way ({each} for each of {workers} workers), {way}"
