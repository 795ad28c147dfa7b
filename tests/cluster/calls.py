"""A plugin whose calls tests make."""

from __future__ import annotations

import threading
from typing import NoReturn

from jobs.cluster.plugin import CallPlugin
from jobs.errors import DataError


class Mine(DataError):
    """A user's subclass of one of our errors, with more in it than we know of."""

    def __init__(self, message: str, details: str = "", extra: object = None) -> None:
        super().__init__(message, details)
        self.extra = extra or threading.Lock()  # cannot be pickled


class Calls(CallPlugin):
    """Adds, fails, and leaves."""

    purpose = "add"

    async def add(self, *, a: int, b: int) -> int:
        """Return a + b."""
        return a + b

    async def fail(self, *, mine: bool) -> NoReturn:
        """Raise a JobError."""
        raise (Mine if mine else DataError)("row 7 is bad", "the details")

    async def leave(self) -> None:
        """Raise SystemExit beside the event loop."""
        await self._in_thread(exit, 0)

    async def break_down(self) -> None:
        """Raise what is not a JobError."""
        raise ZeroDivisionError

    async def close_and_fail(self) -> NoReturn:
        """Raise a JobError as the plugin goes."""
        self.teardown(self.worker)
        raise DataError("the rows were let go")

    async def _private(self) -> None:
        """Not a call."""

    def plain(self) -> None:
        """Not a call either."""
