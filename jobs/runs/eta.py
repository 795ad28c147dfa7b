"""How fast a job's steps are done at present, and how long the rest takes at that rate."""

from __future__ import annotations

from collections import deque

WINDOW = 64
"""So many last steps give the rate, or twice as many as run at once: that of the start is forgotten."""
NOTES = 8192
"""Moments that are kept at most."""


class EtaEstimator:
    """Estimates how long a job goes on, by when its steps were done; moments are seconds on any one clock.

    Args:
        began: when the first step was started, or when `done` steps were done.
        done: steps that were done then.
    """

    def __init__(self, began: float, done: int = 0) -> None:
        self._notes: deque[tuple[int, float]] = deque([(done, began)], maxlen=NOTES)

    def note(self, done: int, moment: float) -> None:
        """Note that `done` steps, more than the last time, are done at a moment."""
        self._notes.append((done, moment))

    def remaining(self, steps: int, now: float, running: int = 0) -> float | None:
        """Return about how many seconds some steps take from now on; None before the first one is done.

        The rate is that of the last steps up to now, so that it falls while none is done.

        Args:
            steps: steps that are not done.
            now: the present moment.
            running: how many of them run at once; they count as half done.
        """
        last, _ = self._notes[-1]
        window = max(WINDOW, 2 * running)
        done, since = next((note for note in reversed(self._notes) if last - note[0] >= window), self._notes[0])
        if last == done or now <= since:
            return None
        return max(0.0, steps - running / 2) * (now - since) / (last - done)
