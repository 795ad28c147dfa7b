"""The driver's memory, which is to depend neither on the network nor on the images."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.alexnet.peers.networks import NARROW_WIDTH, WHOLE_MEGABYTES
from benchmarks.alexnet.photos import photos, tar
from benchmarks.processes import ROOT, environment
from benchmarks.report import Table, Target, spread
from jobs.alexnet.network import CLASSES, IMAGE_SIZE, SMALLEST_IMAGE

LIMIT, GROWTH = 500.0, 20.0
"""Megabytes: at most, and from the least to the most."""
PIXELS, TAR_IMAGES = 32, 1000
"""Of the images that are read, and images of one tar."""
TEXT = """\
The largest resident memory (VmHWM) of the driver's process, the cluster's scheduler included, of `dask-jobs alexnet`
with an epoch on {workers} workers, from its start to the files of the finished network; {rounds} runs of each. The
classic structure's driver has the weights and the gradients of each worker, by arithmetic."""


@dataclass(frozen=True)
class Case:
    """A run of the command.

    Attributes:
        images: number of them.
        minibatch: images of each worker in a step.
        width: of the network.
        image_size: pixels of a side of its crops.
        classes: of its labels.
    """

    images: int
    minibatch: int
    width: float = NARROW_WIDTH
    image_size: int = SMALLEST_IMAGE
    classes: int = CLASSES

    @property
    def name(self) -> str:
        """What is compared."""
        network = "the whole network" if self.width == 1 else f"a network of width 1/{1 / self.width:g}"
        return f"{network}, {self.images:,} images"


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        cases: what is run; the first takes least.
        workers: number of worker processes.
        rounds: runs of each.
    """

    cases: tuple[Case, ...] = (Case(80, 20), Case(20_000, 500), Case(80, 20, 1.0, IMAGE_SIZE))
    workers: int = 2
    rounds: int = 2


QUICK = Extent(cases=(Case(8, 4, classes=8),), workers=1, rounds=1)


def run(extent: Extent) -> Table:
    """Measure."""
    taken: dict[Case, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in extent.cases * extent.rounds:
            taken.setdefault(case, []).append(_megabytes(Path(folder), case, extent.workers))
    text = TEXT.format(workers=extent.workers, rounds=extent.rounds)
    classic = (extent.workers + 1) * WHOLE_MEGABYTES
    rows = [(case.name, spread(megabytes, 0)) for case, megabytes in taken.items()]
    rows.append((f"classic structure, whole network: {extent.workers + 1} times its weights", f"{classic:,.0f}"))
    return Table("Memory of the driver", text, ("", "MB"), rows, _targets(taken))


def _targets(taken: Mapping[Case, list[float]]) -> list[Target]:
    medians = [statistics.median(megabytes) for megabytes in taken.values()]
    largest = max(max(megabytes) for megabytes in taken.values())
    targets = [Target(f"driver memory: at most {LIMIT:g} MB", f"{largest:,.0f} MB", largest <= LIMIT)]
    if len(taken) > 1:
        growth = max(medians) - medians[0]
        wanted = f"driver memory: grows by under {GROWTH:g} MB with the network and with the images"
        targets.append(Target(wanted, f"{growth:,.0f} MB", growth < GROWTH))
    return targets


def _megabytes(folder: Path, case: Case, workers: int) -> float:
    """Run this project's command; return the driver's megabytes.

    Raises:
        RuntimeError: it failed.
    """
    data, labels = _data(folder, case)
    with tempfile.TemporaryDirectory() as run:
        arguments = {
            "--data": data,
            "--label-file": labels,
            "--workers": workers,
            "--epochs": 1,
            "--minibatch": case.minibatch,
            "--width": case.width,
            "--image-size": case.image_size,
            "--validation": 0,
            "--run": run,
        }
        words = [str(word) for pair in arguments.items() for word in pair]
        line = [sys.executable, "-m", "benchmarks.peers.command", "alexnet", *words]
        done = subprocess.run(line, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"code": done.returncode}
    if answer["code"]:
        raise RuntimeError(f"dask-jobs alexnet ended with exit code {answer['code']}: {done.stderr}")
    return float(answer["megabytes"])


def _data(folder: Path, case: Case) -> tuple[Path, Path]:
    """Return a folder with tars of so many images, and a label file in which each class has an image."""
    data, labels = folder / str(case.images), folder / f"{case.images}.txt"
    if not data.exists():
        data.mkdir()
        jpegs = photos(PIXELS, PIXELS)
        for first in range(0, case.images, TAR_IMAGES):
            count = min(TAR_IMAGES, case.images - first)
            (data / f"{first:06}.tar").write_bytes(tar(jpegs, count, first))
        # Counted from the last class down: the network has as many classes as the largest label says.
        numbers = range(max(case.images, case.classes))
        labels.write_text("".join(f"{one}.JPEG {case.classes - 1 - one % case.classes}\n" for one in numbers))
    return data, labels
