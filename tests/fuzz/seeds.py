"""Seeds of the fuzz tests: fixed ones, or others and more of them by `make fuzz`."""

from __future__ import annotations

import os
from random import Random

SEED = os.environ.get("FUZZ_SEED", "")
TIMES = int(os.environ.get("FUZZ_TIMES", "1"))


def times(count: int) -> int:
    """Return how many of something are tried."""
    return count * TIMES


def seeded(what: object) -> Random:
    """Return random numbers that are the same each time, but for another FUZZ_SEED."""
    return Random(f"{SEED}-{what}" if SEED else str(what))
