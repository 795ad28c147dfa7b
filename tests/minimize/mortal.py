"""A problem whose process dies by kill -9 in a chosen pass over the data; its passes are counted in a file."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from problems import LeastSquares, SmallSoftmax


@dataclass(frozen=True)
class Mortal(SmallSoftmax):
    """Softmax regression that counts passes over block 0 in a file, and dies in pass number `dies_at`."""

    counter: str = ""
    dies_at: int = 0

    def load(self, start: int, stop: int):
        return start, self.softmax.load(start, stop)

    def _count(self, start: int) -> None:
        if start:
            return
        with Path(self.counter).open("a+") as file:
            file.write("x")
            passes = file.tell()
        if passes == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def value_and_grad(self, theta, data):
        self._count(data[0])
        return self.softmax.value_and_grad(theta, data[1])

    def hessp(self, theta, v, data):
        self._count(data[0])
        return self.softmax.hessp(theta, v, data[1])

    def hess(self, theta, data):
        self._count(data[0])
        return self.softmax.hess(theta, data[1])

    def fingerprint(self) -> str:
        return "mortal"


def problem() -> Mortal:
    """Return the problem that the environment describes."""
    return Mortal(counter=os.environ["COUNTER"], dies_at=int(os.environ.get("DIES_AT", "0")))


@dataclass(frozen=True)
class Slow(LeastSquares):
    """Badly scaled least squares whose passes take long enough to be interrupted from outside."""

    n: int = 6

    def load(self, start: int, stop: int):
        x, y = super().load(start, stop)
        return x * 10.0 ** (0.5 * __import__("numpy").arange(self.n)), y

    def value_and_grad(self, theta, data):
        __import__("time").sleep(0.004)
        return super().value_and_grad(theta, data)


def slow() -> Slow:
    """Return the slow problem."""
    return Slow()
