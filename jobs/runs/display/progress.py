"""A job's progress as labelled numbers: the same texts on a terminal, in a notebook and in a log."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.formatting import clock, number, printable, short

SHORT = {"gradient_norm": "max |g|"}
"""Short names of metrics."""
PER_SECOND = "_per_second"
"""End of the name of a metric that is a rate."""
SHARE = "_share"
"""End of the name of a metric that is a share of the time, 0 .. 1."""
DIRECTION = "direction"
"""The metric that is the direction of a search; not a number."""
TOLERANCE = "gradient_tolerance"
"""The metric at which the optimizer ends, if the largest gradient entry falls to it; shown beside that."""
CHANGE = "loss_change"
"""The metric by which the loss has changed in the last iteration; shown beside the loss, without a name."""
MAX_NUMBER = 1e300
"""More than all metrics of real lines."""
EXTREMES = {"maximize": "largest", "minimize": "smallest"}
"""Which extreme value is the best one, by direction."""


@dataclass(frozen=True)
class Progress:
    """The progress of a job at one moment.

    Attributes:
        done: steps that are done.
        total: steps in all; 0 if not known yet.
        steps: the noun of a step, in the plural.
        at_most: whether `total` is a limit that a run seldom comes to, so that no share and no ETA follow from it.
        metrics: name -> number; NaN and infinity may be texts, as in JSON.
        seconds: since the attempt began.
        eta: seconds to the end, if known; NaN: it has ended.
    """

    done: int = 0
    total: int = 0
    steps: str = "steps"
    at_most: bool = False
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    eta: float | None = None

    def course(self) -> list[str]:
        """Return how far the job is: steps, ETA, elapsed time, rates, workers; the most important first."""
        if self.at_most:
            count = f"{self.steps.removesuffix('s')} {self.done:,} of at most {self.total:,}"
        else:
            count = f"{self.done:,} of {self.total:,} {self.steps}"
        rates = {name: value for name, value in self.metrics.items() if _is_rate(name)}
        return [printable(count), *self._left(), f"elapsed {clock(self.seconds)}", *metric_texts(rates)]

    def _left(self) -> list[str]:
        if self.at_most or (self.eta is not None and math.isnan(self.eta)):
            return []
        return [f"ETA {'-:--:--' if self.eta is None else clock(self.eta)}"]

    def values(self) -> list[str]:
        """Return the metrics that are no rates."""
        return metric_texts({name: value for name, value in self.metrics.items() if not _is_rate(name)})

    def line(self) -> str:
        """Return all in one line."""
        return "  ".join([*self.course(), *self.values()])


def counted(done: int, total: int, steps: str, *, at_most: bool) -> str:
    """Return steps in words: 12 of 100 trials (12%), or 12 of at most 100 iterations."""
    share = "" if at_most else f" ({done / total if total else 0.0:.0%})"
    return f"{done:,} of {'at most ' if at_most else ''}{total:,} {steps}".rstrip() + share


def _is_rate(name: str) -> bool:
    return name.endswith(PER_SECOND) or name == "workers"


def metric_texts(metrics: Mapping[str, Any]) -> list[str]:
    """Return each metric in short with its name; NaN and infinity may be texts, as in JSON.

    A search's `direction` is part of the name of its `best`, the change of a loss stands beside it, and the tolerance
    of the gradient beside its largest entry.
    """
    return list(_metric_texts(metrics))


def metrics_text(metrics: Mapping[str, Any]) -> str:
    """Return all metrics in short, see `metric_texts`."""
    return "  ".join(metric_texts(metrics))


def _metric_texts(metrics: Mapping[str, Any]) -> Iterator[str]:
    names = SHORT | {"best": best_name(metrics.get(DIRECTION))}
    for name, value in metrics.items():
        if name.endswith(SHARE) and _is_number(value) and 0 <= value < 100:
            yield f"{value:.0%} {printable(name.removesuffix(SHARE))}"
        elif name.endswith(PER_SECOND):
            yield f"{_metric(value)} {printable(name.removesuffix(PER_SECOND).replace('_', ' '))}/s"
        elif name == "workers":
            yield f"{_metric(value)} worker{'' if value == 1 else 's'}"
        elif name == "loss" and _is_number(metrics.get(CHANGE)):
            yield f"loss {number(float(value), 10) if _is_number(value) else _metric(value)}"
            yield _change(float(metrics[CHANGE]))
        elif name == "gradient_norm" and _is_number(metrics.get(TOLERANCE)):
            yield f"{names[name]} {_metric(value)} (ends at {short(float(metrics[TOLERANCE]), 2)})"
        elif name not in (DIRECTION, CHANGE, TOLERANCE):
            yield f"{printable(names.get(name, name))} {_metric(value)}"


def _is_number(value: Any) -> bool:
    # Compared: an integer of a damaged line may be too large for a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and -MAX_NUMBER < value < MAX_NUMBER


def _change(value: float) -> str:
    """Return a change with its sign, in two digits: -3.1e-04."""
    return f"{value:+.1e}" if value else "unchanged"


def _metric(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else short(value, 4)


def best_name(direction: Any) -> str:
    """Return the name of the best value of a search: best (largest), best (smallest)."""
    extreme = EXTREMES.get(direction) if isinstance(direction, str) else None
    return f"best ({extreme})" if extreme else "best"
