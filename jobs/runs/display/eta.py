"""A job's ETA: the present rate of its steps, and the seconds for the rest at that rate."""

from __future__ import annotations

from collections import deque

WINDOW = 64
"""Steps in the moving window of the rate, or twice as many as run at once if that is more."""
MAX_NOTES = 8192
"""Capacity of the history of moments."""


class EtaEstimator:
    """Estimates a job's remaining seconds from the times of its steps, in seconds on any one clock.

    Args:
        began: when the first step was started, or when `done` steps were done.
        done: steps that were done then.
    """

    def __init__(self, began: float, done: int = 0) -> None:
        self._notes: deque[tuple[int, float]] = deque([(done, began)], maxlen=MAX_NOTES)

    def note(self, done: int, moment: float) -> None:
        """Record that `done` steps, more than at the last call, are done at a time."""
        self._notes.append((done, moment))

    def remaining(self, steps: int, now: float, running: int = 0) -> float | None:
        """Return the estimated seconds that some steps take from now on; None before the first one is done.

        The rate is that of the last steps up to now, so that it falls while none is done.

        Args:
            steps: steps that are not done.
            now: the present moment.
            running: number of them that run; they count as half done.
        """
        last, _ = self._notes[-1]
        window = max(WINDOW, 2 * running)
        done, since = next((note for note in reversed(self._notes) if last - note[0] >= window), self._notes[0])
        if last == done or now <= since:  # no step yet, or a clock of days that was set back
            return None
        return max(0.0, steps - running / 2) * (now - since) / (last - done)
