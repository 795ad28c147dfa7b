"""Pi by Monte Carlo: each step is a task that draws points; the run folder keeps the counts of all steps."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from bokeh.plotting import figure
from distributed import Future, wait
from pydantic import Field, NonNegativeInt, PositiveInt

from jobs.cluster.arrival import versions
from jobs.command_line.option_help import COMPUTE, END, OptionHelp
from jobs.errors import argument
from jobs.options import JobOptions
from jobs.report.content import Content
from jobs.report.page import Plot, Section
from jobs.report.theme import set_ticks
from jobs.runs.attempt import Attempt, attempt_on
from jobs.runs.display.console import Reporter
from jobs.runs.display.eta import EtaEstimator
from jobs.runs.folder import RunFolder, readable
from jobs.runs.identity import another, differences
from jobs.storage import Storage


class Options(JobOptions):
    """Estimate pi from random points.

    Examples:
      dask-jobs pi --steps 20 --run runs/pi
    """

    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("steps",)

    steps: Annotated[PositiveInt, OptionHelp(END)] = Field(default=100, description="steps; a run may be given more")
    points: Annotated[PositiveInt, OptionHelp(COMPUTE)] = Field(default=1_000_000, description="points of each step")
    seed: Annotated[NonNegativeInt, OptionHelp(COMPUTE)] = Field(default=0, description="seed of the points")


def run(options: Options) -> dict[str, Any]:
    """Run the job on its run folder until it ends, and return the content of result.json."""
    with attempt_on("pi", options) as attempt:
        ended = attempt.ended(lambda result: bool(result["steps"] >= options.steps))
        return ended or _attempt(options, attempt)


def _attempt(options: Options, attempt: Attempt) -> dict[str, Any]:
    folder, reporter = attempt.folder, attempt.show(Reporter("pi", options.steps))
    identity = {"points": options.points, "seed": options.seed}
    inside = _saved(folder.storage, identity)
    client = attempt.connect()
    attempt.start()
    eta = EtaEstimator(time.monotonic(), len(inside))
    save = functools.partial(_save, folder.storage, identity, inside)
    with attempt.saving(save):
        while len(inside) < options.steps:
            task = client.submit(draw, options.seed, len(inside), options.points)
            inside.append(_result(task, folder.poll))
            save()
            eta.note(len(inside), time.monotonic())
            left = eta.remaining(options.steps - len(inside), time.monotonic())
            reporter.update(len(inside), {"pi": _pi(inside, options.points)}, left)
            share = {"done": len(inside), "total": options.steps, "fraction": len(inside) / options.steps, "eta": left}
            folder.status("running", progress=share)
    reporter.record("done", steps=len(inside))
    outcome = {"success": True, "pi": _pi(inside, options.points), "steps": len(inside)}
    return folder.finish(outcome | {"attempt": folder.attempt, "versions": versions()})


def _result(task: Future, poll: Callable[[], None]) -> int:
    """Return a task's result; `poll` is called at least twice per second meanwhile."""
    while not task.done():
        poll()
        with contextlib.suppress(TimeoutError):
            wait(task, timeout=0.4)
    return int(task.result())


def draw(seed: int, step: int, points: int) -> int:
    """Return the number of a step's random points in the unit square that are within the circle."""
    x, y = np.random.default_rng((seed, step)).random((2, points))
    return int(np.count_nonzero(x * x + y * y <= 1))


def _saved(storage: Storage, identity: Mapping[str, Any] | None = None) -> list[int]:
    """Return the counts of earlier steps; InputError if they are not of this identity."""
    if not storage.exists("steps.json"):
        return []
    with readable(storage.url, "steps.json"):
        saved = json.loads(storage.read("steps.json"))
        before, inside = dict(saved["identity"]), list(saved["inside"])
    if identity and (changes := differences(before, identity)):
        raise another(storage.address("steps.json"), "run", changes.values(), f"choose another {argument('run')}")
    return inside


def _save(storage: Storage, identity: Mapping[str, Any], inside: list[int]) -> None:
    storage.write("steps.json", json.dumps({"identity": identity, "inside": inside}).encode())


def _pi(inside: list[int], points: int) -> float:
    return 4 * sum(inside) / (len(inside) * points)


def show(result: Mapping[str, Any], run: str) -> None:
    """Print a result; `already` is set if this command computed nothing, since the run had ended before."""
    earlier = " (earlier; nothing was done)" if result.get("already") else ""
    sys.stdout.write(f"pi is about {result['pi']:.6g}, after {result['steps']} steps{earlier}; run folder {run}\n")


def content(run: RunFolder, storage: Storage) -> Content:
    """Return the job's own part of a report."""
    inside = _saved(storage)
    plot = figure(width=545, height=250, x_axis_label="step", y_axis_label="points within the circle")
    set_ticks(plot, whole=True)
    plot.line(list(range(len(inside))), inside)
    summary = f"Pi is about {run.result['pi']:.6g}." if run.result else "No result yet."
    texts = {"notes": [f"Of {run.options['points']:,} points."], "key": {"dots": []}}
    drawn = Section("Points within the circle", "report/plots.html", texts, [Plot("Points by step", plot)])
    return Content("pi", summary, [drawn])


def estimate(options: Options, workers: int, threads: int, gpus: float) -> Iterator[tuple[str, str]]:
    """Yield the job's lines of `dask-jobs plan`."""
    yield "points", f"{options.steps * options.points:,}"
