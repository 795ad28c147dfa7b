"""Requests to stop a job: signals, and its deadline."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType

from jobs.errors import ClusterError, Stopped, UserCodeError
from jobs.formatting import error_line
from jobs.storage import haste
from jobs.usercode import describe

SAVED = "all is saved: "


def unsaved(error: BaseException, reason: BaseException) -> BaseException:
    """Return the error that a job ends with, in the place of this one, where saving failed for a reason."""
    if type(error) is not Stopped or SAVED not in str(error):
        return error
    stopped, _, _ = str(error).partition(SAVED)
    return Stopped(f"{stopped}the same command goes on from what was saved before ({error_line(reason)})")


class StopRequest:
    """A recorded signal, and the deadline; the job checks both by `poll`.

    Args:
        deadline: seconds from now on, if limited.
    """

    def __init__(self, deadline: float | None) -> None:
        self._deadline, self._began = deadline, time.monotonic()
        self._signal: int | None = None

    def poll(self) -> None:
        """Check for a signal and the deadline.

        Raises:
            Stopped: a signal came, or the deadline has passed.
        """
        if self._signal is not None:
            raise self._stopped(self._signal)
        if self._deadline is not None and time.monotonic() - self._began > self._deadline:
            raise Stopped(f"stopped by the deadline of {self._deadline:g} s; {SAVED}the same command goes on")

    def explained(self, error: BaseException) -> BaseException:
        """Return the error that a job ends with: after a signal a storage that fails is no reason to try again."""
        failed = isinstance(error, ClusterError) or (isinstance(error, Stopped) and haste.given_up())
        if self._signal is None or not failed:
            return error
        reason = "the store does not answer" if haste.given_up() else str(error)
        name = signal.Signals(self._signal).name
        return Stopped(f"stopped by {name}; the same command goes on from what was saved before ({reason})")

    @staticmethod
    def _stopped(number: int) -> Stopped:
        return Stopped(f"stopped by {signal.Signals(number).name}; {SAVED}the same command goes on")

    @contextlib.contextmanager
    def signals(self, started: Callable[[], bool]) -> Iterator[None]:
        """Record SIGTERM and SIGINT within the context, in the main thread; a second one has its former handler.

        Args:
            started: whether there is something to save; if not, a signal ends the job at once.

        Raises:
            Stopped: a signal came before work began.
            UserCodeError: the user's code raised KeyboardInterrupt, without a signal.
        """

        def note(number: int, _frame: FrameType | None) -> None:
            # Only noted, for the next `poll`: an exception from here could interrupt a write to the run folder.
            self._signal = number
            signal.signal(number, old[number])  # so that a second Ctrl-C ends a job that does not poll
            if not started():
                begun = f"stopped by {signal.Signals(number).name} before work began; the same command starts it"
                haste.begin(Stopped(begun))
                raise Stopped(begun)
            haste.begin(self._stopped(number))  # raises, but nowhere else than in a request to a store

        # Python lets no other thread set them: there a job is stopped by its deadline alone.
        numbers = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
        old = {int(number): signal.getsignal(number) for number in numbers}
        for number in old:
            signal.signal(number, note)
        try:
            yield
        except KeyboardInterrupt as error:
            # Without a signal the user's code raised it; Python's own handler raises only at the second SIGINT.
            if self._signal is None:
                raise UserCodeError(describe(error), traceback.format_exc()) from error
            raise
        finally:
            haste.end()
            for number, handler in old.items():
                signal.signal(number, handler)
