"""The shape of a step: its parts, and the images of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.alexnet.options import Options
from jobs.errors import InputError, argument
from jobs.formatting import plural
from jobs.runs.attempt import Attempt
from jobs.train.attempt import check_parts, resolved_parts
from jobs.train.data.order import Order

if TYPE_CHECKING:
    from distributed import Client

CPU_IMAGES, GPU_IMAGES = 20, 128
"""Images of a part of a step where nothing is said."""


@dataclass(frozen=True)
class Shape:
    """The parts of a step.

    Attributes:
        parts: their number.
        minibatch: images of each.
    """

    parts: int
    minibatch: int

    @property
    def identity(self) -> dict[str, str]:
        """What makes the run this run, as `train` compares it."""
        return {"parts": str(self.parts), "batch_size": str(self.parts * self.minibatch)}

    def check(self, images: int, validation: float) -> None:
        """Check that there are images for a step.

        Raises:
            InputError: there are not.
        """
        if images * (1 - validation) < self.parts * self.minibatch:
            raise InputError(
                f"there are {plural(images, 'image')}, fewer than a step of {self.parts} parts with "
                f"{argument('minibatch')} {self.minibatch} needs beside {argument('validation')}"
            )
        Order(images, self.parts, self.parts * self.minibatch, 0, 1, validation).check_held_out()


def shape_of(options: Options, attempt: Attempt, client: Client | None) -> Shape:
    """Return the shape of this attempt's steps; GPUs take larger parts.

    Raises:
        InputError: there are more workers than parts.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"].values() if client else []
    gpus = bool(workers) and all(worker["resources"].get("GPU", 0) for worker in workers)
    parts = resolved_parts(options, attempt.folder, len(workers))
    check_parts(parts, len(workers))
    return Shape(parts, options.minibatch or (GPU_IMAGES if gpus else CPU_IMAGES))
