"""How fast trials end at present, and how long a search goes on at that pace."""

from __future__ import annotations

from collections import deque

RECENT = 64
"""So many trials' ends tell the pace, or twice as many as run at once: that of the start is forgotten."""


class EtaEstimator:
    """Notes when trials end; moments are seconds on any one clock.

    Args:
        began: when the first trials were started.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._ends: deque[float] = deque(maxlen=8192)

    def end(self, moment: float) -> None:
        """Note that a trial has ended."""
        self._ends.append(moment)

    def left(self, trials: int, running: int, now: float) -> float | None:
        """Return about how many seconds `trials` trials take from now on, of which `running` run: half done each.

        The rate is that of the last ends up to now, so that it falls while none comes. None before the first end.
        """
        if not self._ends:
            return None
        recent = min(len(self._ends), max(RECENT, 2 * running))
        since = self._began if recent == len(self._ends) else self._ends[-recent - 1]
        return max(0.0, trials - running / 2) * (now - since) / recent
