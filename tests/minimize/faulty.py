"""Problems that misbehave on demand, and leave traces: files in a folder say what to do and what was done."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from problems import LeastSquares


@dataclass(frozen=True)
class Watched(LeastSquares):
    """Least squares that notes each load as `load-<first row>-<process>` and each pass as `pass-<process>`.

    While there is a file `slow`, a block takes 0.2 s; while there is a file `stuck`, a block does not end; while there
    is a file `kill`, a block kills its process.
    """

    folder: str = ""

    def load(self, start: int, stop: int):
        Path(self.folder, f"load-{start}-{os.getpid()}").touch()
        return super().load(start, stop)

    def value_and_grad(self, theta, data):
        Path(self.folder, f"pass-{os.getpid()}").touch()
        if Path(self.folder, "slow").exists():
            time.sleep(0.2)
        while Path(self.folder, "stuck").exists():
            time.sleep(0.02)
        if Path(self.folder, "kill").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().value_and_grad(theta, data)


@dataclass(frozen=True)
class Bad(LeastSquares):
    """Least squares whose block 3 goes wrong in a chosen way, away from the start."""

    how: str = ""

    def load(self, start: int, stop: int):
        if self.how == "load" and start == 24:
            raise OSError("disk on fire")
        return (*super().load(start, stop), start == 24)

    def value_and_grad(self, theta, data):
        x, y, marked = data
        loss, grad = super().value_and_grad(theta, (x, y))
        if marked and self.how == "nan" and np.abs(theta).max() > 0.5:
            return np.nan, grad
        if marked and self.how == "gradient nan":
            return loss, np.full_like(grad, np.nan)
        if marked and self.how == "raise":
            raise ZeroDivisionError("a bug of mine")
        wrong = {"shape": (loss, grad[:-1]), "not a pair": loss, "no number": ("much", grad), "text": (loss, "up")}
        return wrong.get(self.how, (loss, grad)) if marked else (loss, grad)


@dataclass(frozen=True)
class Wide:
    """So many parameters that sums come back by a tree: a quadratic with rows that pull at different strengths."""

    rows: int = 12
    block_rows: int = 1
    n: int = 800_000

    def x0(self) -> np.ndarray:
        return np.zeros(self.n)

    def load(self, start: int, stop: int) -> float:
        return 0.1 * (start + 1)

    def value_and_grad(self, theta, pull):
        difference = theta - pull
        return 0.5 * difference @ difference, difference


class Data:
    """Loaded rows, which can be counted as long as something holds them."""

    def __init__(self, rows: tuple[np.ndarray, np.ndarray]) -> None:
        self.rows = rows
        _alive.add(self)


_alive: weakref.WeakSet[Data] = weakref.WeakSet()


def alive() -> int:
    """Return how many blocks' data this process holds."""
    return len(_alive)


@dataclass(frozen=True)
class Counted(LeastSquares):
    """Least squares whose loaded data can be counted by `alive`."""

    def load(self, start: int, stop: int):
        return Data(super().load(start, stop))

    def value_and_grad(self, theta, data):
        return super().value_and_grad(theta, data.rows)


class Travelling(LeastSquares):
    """Least squares that notes in a folder the processes and threads that unpickle it, as `at-PROCESS-THREAD`."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.__dict__["folder"] = folder

    def __reduce__(self):
        return _arrived, (self.folder,)


def _arrived(folder: str) -> Travelling:
    Path(folder, f"at-{os.getpid()}-{threading.current_thread().name.replace('-', '_')}").touch()
    return Travelling(folder)
