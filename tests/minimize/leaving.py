"""Problems whose code raises what is no `Exception`, where and what a test asks for."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import numpy as np
from problems import LeastSquares


class Own(BaseException):
    """An exception that `except Exception` lets through."""


RAISED = {
    "SystemExit": SystemExit(0),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "GeneratorExit": GeneratorExit(),
    "CancelledError": asyncio.CancelledError(),
    "Own": Own("mine"),
}


@dataclass(frozen=True)
class Leaving(LeastSquares):
    """Least squares with a constraint that always holds; `where` its code raises `what`."""

    where: str = ""
    what: str = "SystemExit"

    def _at(self, where: str) -> None:
        if self.where == where:
            raise RAISED[self.what]

    @property
    def bounds(self):
        self._at("bounds")

    @property
    def constraints(self):
        return [{"type": "ineq", "fun": self._room}] if self.where == "constraint" else ()

    def _room(self, theta):
        self._at("constraint")
        return 100.0 - float(theta @ theta)

    def x0(self) -> np.ndarray:
        self._at("x0")
        return super().x0()

    def names(self):
        self._at("names")
        return ["a", "b", "c"]

    def penalized(self):
        self._at("penalized")
        return [True, True, True]

    def load(self, start: int, stop: int):
        self._at("load")
        return super().load(start, stop)

    def value_and_grad(self, theta, data):
        self._at("value_and_grad")
        return super().value_and_grad(theta, data)


def problem():
    """Return what the environment asks for, or leave at once."""
    where = os.environ["LEAVE"]
    if where == "factory":
        raise SystemExit(0)
    return Leaving(where=where)


if os.environ.get("LEAVE") == "import":
    raise SystemExit(0)
