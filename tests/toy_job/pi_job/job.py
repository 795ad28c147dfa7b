"""Pi by Monte Carlo: each step is a task that draws points, and is saved in the run folder."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from jobs.cluster.connect import connect, versions
from jobs.options import JobOptions
from jobs.report.content import Content
from jobs.report.page import Section
from jobs.runs.console import Reporter
from jobs.runs.eta import EtaEstimator
from jobs.runs.folder import RunFolder
from jobs.runs.run import Run
from jobs.storage import Storage


class Options(JobOptions):
    """Estimate pi from random points.

    examples:
      dask-jobs pi --steps 20 --run runs/pi
    """

    MAY_CHANGE = ("steps",)

    steps: PositiveInt = Field(default=100, description="how many steps; a run may be given more")
    points: PositiveInt = Field(default=1_000_000, description="points of each step")
    seed: NonNegativeInt = Field(default=0, description="of the points")


def run(options: Options) -> dict[str, Any]:
    """Run the job on its run folder until it ends, and return what is in result.json."""
    folder = Run(str(options.run), "pi", options)
    with folder.signals():
        try:
            if (result := folder.result()) and result["steps"] >= options.steps:
                return result | {"already": True}
            return _attempt(options, folder)
        except BaseException as error:
            if folder.attempt:
                folder.fail(error)
            raise


def _attempt(options: Options, folder: Run) -> dict[str, Any]:
    with connect(options.scheduler, workers=options.workers) as client, Reporter("pi", options.steps) as reporter:
        folder.start()
        reporter.record("attempt", attempt=folder.attempt, run=folder.url)
        inside = _saved(folder.storage)
        eta = EtaEstimator(time.monotonic(), len(inside))
        while len(inside) < options.steps:
            folder.poll()
            inside.append(client.submit(draw, options.seed, len(inside), options.points).result())
            folder.storage.write("steps.json", json.dumps(inside).encode())
            eta.note(len(inside), time.monotonic())
            left = eta.remaining(options.steps - len(inside), time.monotonic())
            reporter.update(len(inside), {"pi": _pi(inside, options.points)}, left)
            share = {"done": len(inside), "total": options.steps, "fraction": len(inside) / options.steps}
            folder.status("running", progress=share)
        pi = _pi(inside, options.points)
        reporter.log("done", steps=len(inside))
        outcome = {"success": True, "pi": pi, "steps": len(inside), "attempt": folder.attempt, "versions": versions()}
        return folder.finish(outcome)


def draw(seed: int, step: int, points: int) -> int:
    """Return how many of the step's random points in the unit square are within the circle."""
    x, y = np.random.default_rng((seed, step)).random((2, points))
    return int(np.count_nonzero(x * x + y * y <= 1))


def _saved(storage: Storage) -> list[int]:
    return list(json.loads(storage.read("steps.json"))) if storage.exists("steps.json") else []


def _pi(inside: list[int], points: int) -> float:
    return 4 * sum(inside) / (len(inside) * points)


def show(result: Mapping[str, Any], run: str) -> None:
    """Print a result."""
    sys.stdout.write(f"pi is about {result['pi']:.6g}, after {result['steps']} steps; run folder {run}\n")


def content(run: RunFolder, storage: Storage) -> Content:
    """Return what a report says about the job."""
    rows = list(enumerate(_saved(storage)))
    summary = f"Pi is about {run.result['pi']:.6g}." if run.result else "No result yet."
    return Content(
        "pi",
        summary,
        [Section("Points within the circle", "report/table.html", {"head": ("Step", "Points"), "rows": rows})],
    )


def estimate(options: Options, workers: int, threads: int, gpus: float) -> Iterator[tuple[str, str]]:
    """Yield what `dask-jobs plan` says of the job."""
    yield "points", f"{options.steps * options.points:,}"
