"""Objectives that raise what is no `Exception`."""

from __future__ import annotations

import asyncio


class Leave(BaseException):
    """Is no `Exception`."""

    def __str__(self) -> str:
        raise SystemExit(0)


class Secretive:
    """An objective that does not let itself be asked what it takes."""

    @property
    def __signature__(self):
        raise Leave

    def __call__(self, params):
        return 0.0


def goes(params):
    """Raise what is no `Exception`, as `x` says."""
    raise {
        "exit": SystemExit(0),
        "interrupt": KeyboardInterrupt(),
        "generator": GeneratorExit(),
        "cancelled": asyncio.CancelledError(),
        "own": Leave(),
    }[params["x"]]


def of_two_kinds(params, trial):
    """Raise one exception or another."""
    raise KeyError("b") if trial.number % 2 else ValueError(params["x"])
