"""The estimate of a tune job in `dask-jobs plan`: trials at once, and the search space."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.errors import JobError
from jobs.formatting import plural
from jobs.tune.options import Options
from jobs.tune.plan import plan
from jobs.tune.search.placement import Slots, Worker


def rows(options: Options, workers: int, threads: int, gpus: float) -> Iterator[tuple[str, str]]:
    """Yield (name, text), for so many workers with so many compute threads and GPUs each."""
    place = Slots(options.threads_per_trial, options.gpus_per_trial).capacity(Worker(threads, gpus))
    yield "at once", f"{plural(workers * place, 'trial')}, {place} on each of {workers} workers"
    if workers * place > options.trials:
        yield "", f"more places than trials ({options.trials:,}): some workers will have no work"
    try:
        checked = plan(options)
    except JobError as error:
        yield "search", f"not known here: {error.command_line_text}"
        return
    trials = plural(checked.trials, "trial")
    yield "search", f"{trials} of {options.objective}, {options.sampler}, pruner {options.prunes}"
    yield "space", ", ".join(checked.space) or "what the objective asks for as it runs"
