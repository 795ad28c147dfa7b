"""The trial as a user's function gets it, on the worker; independent of Dask and Optuna."""

from __future__ import annotations

import math
import numbers
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from jobs.tune.space.dimensions import Value
from jobs.tune.trials.attribute import attribute
from jobs.tune.trials.checkpoint import Checkpoint
from jobs.tune.trials.messages import Reply, Report, StopReason
from jobs.tune.trials.score import number

WAIT_SHARE = 0.1
"""A report waits for the driver's answer for at most this share of the time since the last report."""
WAIT_SECONDS = 1.0
"""Maximum wait of a report, however long its step took."""
MIN_WAIT_SECONDS = 0.002
"""A shorter wait would end before any answer: such a report requests none."""
REPORTS, REPORTS_PER_SECOND = 100, 10
"""Reports that a trial sends without waiting: so many at once, and so many more per second. The driver has one thread
for all trials, and recording a report takes longer the more a trial has."""
ORDER = "the order is trial.report(value, step)"


class Stop(Exception):
    """Ends a trial early; raised by `trial.report`, not to be caught by the user's function."""


Answer: TypeAlias = tuple[Literal["answer"], int, StopReason | None] | tuple[Literal["reply"], int, Reply]
"""What the driver answers: its decision on a step, or the reply to a request."""


class Link(Protocol):
    """How a trial's messages reach the driver."""

    def send(self, **message: Any) -> None:
        """Send the fields of a `TrialMessage`, from any thread."""


class Signal:
    """The driver's answers to one execution; created on the worker, set on its event loop, awaited by the trial."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._answered = -1
        self._replies: dict[int, Reply] = {}
        self._listener: Callable[[Answer], None] | None = None
        self.reason: StopReason | None = None

    def answer(self, step: int, reason: StopReason | None) -> None:
        """Set the driver's decision on a step; a reason is the decision to stop."""
        with self._changed:
            # Answers may overtake each other, and the first reason stays: a timeout after it changes nothing.
            self._answered = max(self._answered, step)
            self.reason = self.reason or reason
            self._changed.notify_all()
            if self._listener:
                self._listener(("answer", step, reason))

    def reply(self, request: int, reply: Reply) -> None:
        """Set the driver's reply to a request."""
        with self._changed:
            self._replies[request] = reply
            self._changed.notify_all()
            if self._listener:
                self._listener(("reply", request, reply))

    def take(self, answer: Answer) -> None:
        """Set what another signal has forwarded."""
        if answer[0] == "answer":
            self.answer(answer[1], answer[2])
        else:
            self.reply(answer[1], answer[2])

    def follow(self, listener: Callable[[Answer], None] | None) -> None:
        """Forward all answers, the decisions before this call as one; None ends that."""
        with self._changed:
            # Called under the lock, so that no answer falls between those before and those after.
            self._listener = listener
            if listener and (self.reason or self._answered >= 0):
                listener(("answer", self._answered, self.reason))

    def wait(self, step: int, seconds: float) -> None:
        """Wait until the step is decided on, or the trial is to stop, or so many seconds have passed."""
        with self._changed:
            self._changed.wait_for(lambda: self.reason or self._answered >= step, timeout=seconds)

    def wait_for_reply(self, request: int, seconds: float) -> Reply | None:
        """Return the reply to a request; None if the trial is to stop, or so many seconds have passed."""
        with self._changed:
            self._changed.wait_for(lambda: self.reason or request in self._replies, timeout=seconds)
            return self._replies.pop(request, None)


class Trial:
    """One trial, as a function `train(parameters, trial)` gets it.

    Attributes:
        number: the trial's number in its study, from 0.
        params: name -> value, the same as the function's first argument.
        seed: an integer in 0 .. 2**32 - 1 that depends on the study's seed and the number alone.
        workers: addresses of the Dask workers that it runs on.
        threads: compute threads that it may use there.
        Stop: what `report` raises, for functions that must let it pass: `except trial.Stop: raise`.
    """

    Stop: ClassVar[type[Exception]] = Stop
    diverged = False

    def __init__(
        self,
        number: int,
        params: dict[str, Value],
        *,
        seed: int,
        workers: tuple[str, ...],
        threads: int,
        link: Link,
        signal: Signal,
        checkpoint: Callable[[], Checkpoint],
        prunes: bool = True,
    ) -> None:
        self.number, self.params, self.seed, self.workers, self.threads = number, params, seed, workers, threads
        self._link, self._signal, self._open = link, signal, checkpoint
        self._checkpoint: Checkpoint | None = None
        self._prunes = prunes
        self._reported = time.monotonic()
        self._allowance, self._allowed_at = float(REPORTS), self._reported
        self._held: tuple[int, float] | None = None
        self._step: int | None = None
        self.ended: StopReason | Literal["diverged"] | None = None
        self._attributes: dict[str, Any] = {}

    @property
    def checkpoint(self) -> Path:
        """A folder on this machine for the trial's state, from which it resumes after its worker was lost.

        It holds what was there at the last `report` or `save` of an earlier execution. What the function puts there is
        stored in the run folder by the next `report` or `save`, completely or not at all.

        Raises:
            ClusterError: the run folder cannot be read.
        """
        self._checkpoint = self._checkpoint or self._open()
        return self._checkpoint.folder

    def save(self) -> None:
        """Store what is in the folder `checkpoint` now; `report` does it too.

        Raises:
            ClusterError: the run folder cannot be written.
        """
        if self._checkpoint:
            self._checkpoint.save()

    @property
    def last_step(self) -> int | None:
        """The last step that this execution has reported; None if it has reported nothing yet."""
        return self._step

    @property
    def user_attrs(self) -> dict[str, Any]:
        """What `set_user_attr` has set in this execution."""
        return dict(self._attributes)

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep a value with the trial, as a column `user_attrs_KEY` of the tables.

        Raises:
            TypeError: `key` is not a text, or JSON cannot hold `value`.
            ValueError: `key` is one of this package's own, or they are too large.
        """
        self._link.send(**attribute(key, value))
        self._attributes[key] = value

    def should_prune(self) -> bool:
        """Return False: the report that stops this trial raises `Stop`."""
        return False

    def report(self, value: float, step: int) -> None:
        """Send the driver a score so far, after `step` steps: 1, 2, 3, ... of whatever is the same for all trials.

        Steps must grow. A trial that is resumed after a lost worker may report steps again: that changes nothing.

        Raises:
            Stop: the trial is hopeless, diverged (`value` is NaN or infinite), or out of time; or was stopped before.
            TypeError: `step` is not an integer >= 0, or `value` is not a number.
            ValueError: `step` is not larger than the last one of this execution.
        """
        if self.ended is not None:
            self._end(self.ended)
        value, step = _check(value, step)
        if self._step is not None and step <= self._step:
            raise ValueError(
                f"trial.report: step is {step}, but must be larger than the last one, {self._step}; {ORDER}"
            )
        self._step = step
        self.save()
        if not math.isfinite(value):
            self._end("diverged")
        seconds = min((time.monotonic() - self._reported) * WAIT_SHARE, WAIT_SECONDS)
        waits = self._prunes and seconds >= MIN_WAIT_SECONDS
        self._held = (step, value)
        if waits or self._may_send():
            self.send_held(waits=waits)
        if waits and self._signal.reason is None:
            self._signal.wait(step, seconds)
        self._reported = time.monotonic()  # after the wait, which is not a part of the next step's time
        if self._signal.reason is not None:
            self._end(self._signal.reason)

    def _may_send(self) -> bool:
        """Return whether a report that is not waited for is sent, and count it if it is."""
        now = time.monotonic()
        more = (now - self._allowed_at) * REPORTS_PER_SECOND
        self._allowance, self._allowed_at = min(self._allowance + more, REPORTS), now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def send_held(self, *, waits: bool = False) -> None:
        """Send the last report if it was not sent; the trial's end calls it."""
        if self._held and self._signal.reason is None:
            step, value = self._held
            self._link.send(**Report(kind="report", step=step, value=value, waits=waits))
        self._held = None

    def _end(self, reason: StopReason | Literal["diverged"]) -> None:
        self.ended = reason
        raise Stop(f"trial {self.number} is ended: {reason}")

    def close(self, *, keep: bool) -> None:
        """Remove the local folder; also from the run folder, unless it is to be kept."""
        if self._checkpoint:
            self._checkpoint.close(keep=keep)


def _check(value: Any, step: Any) -> tuple[float, int]:
    if isinstance(step, bool) or not isinstance(step, numbers.Integral) or step < 0:
        raise TypeError(f"trial.report: step is {step!r}, but must be an integer >= 0; {ORDER}")
    return number(value, "trial.report: value is", "be a number", f"; {ORDER}"), int(step)
