"""The messages between driver and workers in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

BATCH_STEPS = 10
"""Period of the steps whose own loss and metrics are kept."""


@dataclass
class Spent:
    """Seconds of a process in the steps of an attempt, without its first; and how many parts it has computed."""

    data: float = 0.0
    compute: float = 0.0
    exchange: float = 0.0
    apply: float = 0.0
    parts: int = 0


class Built(TypedDict):
    """A worker's model, once it is built.

    Attributes:
        structure: digest of names, shapes and types of all variables; '' of a model without shapes yet.
        fingerprint: what decides the bits of its arithmetic, name -> value.
    """

    structure: str
    fingerprint: dict[str, str]


class Facts(TypedDict):
    """What the data turned out to be.

    Attributes:
        steps: of an epoch.
        samples: rows that are trained on in an epoch; 0: not known.
        held_out: rows of validation; 0: not known, or none.
        structure: digest of names, shapes and types of all variables.
        means: of the metrics that are means, name -> where in `Status.sums` their total lies; the count follows it.
    """

    steps: int
    samples: int
    held_out: int
    structure: str
    means: dict[str, int]


class Status(TypedDict):
    """How far a worker is.

    Attributes:
        step: steps that are done; -1 without a state.
        sums: of the epoch so far: loss times rows, rows, metrics.
        batch: the same of the last step alone that is a multiple of `BATCH_STEPS`; empty before the first.
        skipped: steps that were skipped for a loss that is not finite.
        spent: seconds by activity: data, compute, exchange, apply; and the number of parts that were computed.
    """

    step: int
    sums: list[float]
    batch: list[float]
    skipped: int
    spent: dict[str, float]


class Outcome(TypedDict):
    """How a worker's steps with a group ended.

    Attributes:
        ended: done, aborted (by the driver), late (others did not send), or lost (one could not be sent to).
        late: the addresses of those.
        spent: as in `Status`.
    """

    ended: Literal["done", "aborted", "late", "lost"]
    late: list[str]
    spent: dict[str, float]


class Exported(TypedDict):
    """What was written as the run's model.

    Attributes:
        parameters: numbers of weights and statistics.
    """

    parameters: int
