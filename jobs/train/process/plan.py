"""What every process of a run must know: settings that decide the result's bits, and how workers exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jobs.errors import InputError, argument
from jobs.train.data.open import Data
from jobs.train.exchange.wire import Wire
from jobs.train.replica.local import Slots

OnNan = Literal["fail", "skip"]
PARTS = 8
"""Default number of logical parts: the largest number of workers that all have work."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings of one fit.

    Attributes:
        data: what is trained on.
        validation: a fraction of the rows, other data, or None.
        batch_size: rows of a step over all parts.
        parts: logical parts of a step.
        every: local steps of a round of parameter averaging; 0: gradients are averaged.
        slots: what parameter averaging does with the optimizer's slots.
        seed: of shuffles and random layers.
        wire: precision of gradients between workers.
        on_nan: what a loss of NaN or infinity does.
        step_timeout: seconds that a step may wait for a worker.
        sources: digests of the user's code as the driver has it, with which each worker's is compared; none: it is not.
    """

    data: Data
    validation: float | Data | None = None
    batch_size: int = 256
    parts: int = PARTS
    every: int = 0
    slots: Slots = "mean"
    seed: int = 0
    wire: Wire = "full"
    on_nan: OnNan = "fail"
    step_timeout: float = 600.0
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch_size % self.parts:
            low = self.batch_size // self.parts * self.parts
            near = f"{low} or {low + self.parts}" if low else f"{self.parts}"
            raise InputError(
                f"{argument('batch_size')} is {self.batch_size}, but must be a multiple of {argument('parts')}, "
                f"{self.parts}: {near}"
            )
        if isinstance(self.validation, float) and not 0 < self.validation < 1:
            raise InputError(f"{argument('validation')} is {self.validation}, but must be between 0 and 1, or data")

    @property
    def held_out(self) -> float:
        """The fraction of the rows that is held out."""
        return self.validation if isinstance(self.validation, float) else 0.0

    def steps_of(self, step: int, epoch_steps: int) -> int:
        """Return how many steps are taken before the next exchange; a round ends with its epoch."""
        return min(self.every, epoch_steps - step % epoch_steps) if self.every else 1


def as_dict(plan: Plan) -> dict[str, Any]:
    """Return what decides a run's result, name -> value, for its identity."""
    names = ("batch_size", "parts", "every", "seed", "wire", "on_nan")
    validation = plan.validation.text if isinstance(plan.validation, Data) else plan.validation
    found = {name: getattr(plan, name) for name in names} | {"validation": validation}
    return found | ({"slots": plan.slots} if plan.every else {})
