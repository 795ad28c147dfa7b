"""Which worker took part when, with how many parts, and where its time went."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict

MIN_PARTS, MIN_SECONDS = 20, 1.0
"""A worker is compared once it has computed so many parts, and is the slowest if that took so long."""
NOTABLE = 1.25
"""A worker is slow if a part takes so many times as long on it as on the others."""
MAX_RECORDS = 500
"""How many are kept, the newest."""


class Slow(TypedDict):
    """The slowest worker.

    Attributes:
        worker: its address.
        seconds: of a part on it.
        others: the median of the same on the other workers.
    """

    worker: str
    seconds: float
    others: float


@dataclass
class Record:
    """A worker's part in one attempt.

    Attributes:
        worker: its address.
        attempt: those of the run that have trained, from 1.
        joined: whether it came later than the attempt's first workers.
        gone: whether it was lost, or has left.
        spans: [begin, end, parts], in seconds of the run's training, one after another.
        spent: its seconds by activity, and its parts, see `messages.Status`; empty if it never ended a group's steps.
    """

    worker: str
    attempt: int
    joined: bool = False
    gone: bool = False
    spans: list[list[float]] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    @property
    def busy(self) -> float:
        """Seconds of parts, their rows and computing."""
        return self.spent.get("data", 0.0) + self.spent.get("compute", 0.0)


class Timeline:
    """The records of a run's workers, as its driver writes them.

    Attributes:
        records: of all attempts, in the order in which they began.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._began, self._seconds, self._attempt = time.monotonic(), 0.0, 1
        self._live: dict[str, Record] = {}

    def begin(self, before: Sequence[Record], seconds: float) -> None:
        """Begin an attempt.

        Args:
            before: records of earlier ones.
            seconds: of training so far.
        """
        self.records, self._live = list(before), {}
        self._began, self._seconds = time.monotonic(), seconds
        self._attempt = max((record.attempt for record in before), default=0) + 1

    def _now(self) -> float:
        return round(self._seconds + time.monotonic() - self._began, 3)

    def group(self, parts: Mapping[str, int]) -> None:
        """Note that a group begins, address -> its parts; 0: a spare. Who is lost by then is `gone`."""
        now, first = self._now(), all(record.attempt != self._attempt for record in self.records)
        for address, count in parts.items():
            if address not in self._live:
                self._live[address] = Record(address, self._attempt, joined=not first)
                self.records = [*self.records, self._live[address]][-MAX_RECORDS:]
            spans = self._live[address].spans
            if not spans or spans[-1][2] != count:
                spans.append([now, now, count])

    def ended(self, spent: Mapping[str, Mapping[str, float]]) -> None:
        """Note that a group has ended, address -> where the time of each worker went that is still there."""
        now = self._now()
        for address, record in self._live.items():
            record.spans[-1][1] = now
            record.spent = dict(spent.get(address, record.spent))

    def gone(self, address: str) -> None:
        """Note that a worker is lost, or has left."""
        if record := self._live.pop(address, None):
            record.gone = True

    def as_json(self) -> list[dict[str, Any]]:
        """Return the records as JSON has them."""
        return [asdict(record) for record in self.records]


def latest(records: Sequence[Record]) -> list[Record]:
    """Return the records of the last attempt."""
    last = max((record.attempt for record in records), default=0)
    return [record for record in records if record.attempt == last]


def slowest(records: Sequence[Record]) -> Slow | None:
    """Return the slowest worker of the last attempt; None where there are not two to be compared."""
    mine = [one for one in latest(records) if one.spent.get("parts", 0) >= MIN_PARTS]
    mine.sort(key=lambda one: one.busy / one.spent["parts"], reverse=True)
    if len(mine) < 2 or mine[0].busy < MIN_SECONDS:
        return None
    seconds, *others = (one.busy / one.spent["parts"] for one in mine)
    return {"worker": mine[0].worker, "seconds": seconds, "others": statistics.median(others)}


def notable(slow: Slow | None) -> bool:
    """Return whether the others wait for the slowest worker so long that it is worth a look."""
    return slow is not None and slow["seconds"] >= NOTABLE * slow["others"]


def slow_text(slow: Slow) -> str:
    """Return the slowest worker as a sentence."""
    times = slow["seconds"] / slow["others"]
    return (
        f"the slowest worker is {slow['worker']}: a part takes {1000 * slow['seconds']:.3g} ms on it, "
        f"{times:.3g} times the {1000 * slow['others']:.3g} ms on the others"
    )
