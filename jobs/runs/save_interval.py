"""When a file that grows is written anew."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

SECONDS = 30.0
"""Interval at which a file is written while the job runs."""
SHARE = 0.01
"""Maximum share of the time that writing takes; where it takes more, the file is written less often."""


class SaveInterval:
    """Decides when a file is written: every 30 s, or less often, so that all writing takes 1 % of the time at most.

    So a file that grows with the steps, and is written as a whole, takes time in proportion to the steps.
    """

    def __init__(self) -> None:
        self._saved, self._pause = time.monotonic(), SECONDS

    @property
    def is_over(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - self._saved > self._pause

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Measure how long writing takes; enclose it in this."""
        began = time.monotonic()
        yield
        self._saved = time.monotonic()
        self._pause = max(SECONDS, (self._saved - began) / SHARE)
