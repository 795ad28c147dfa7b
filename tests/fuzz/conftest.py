"""The seed of fuzz tests that failed is said, so that they can be run again."""

from __future__ import annotations

from seeds import SEED, TIMES


def pytest_report_header() -> list[str]:
    """Say how to make the same run again."""
    return [f"fuzz: FUZZ_SEED={SEED} FUZZ_TIMES={TIMES}"] if SEED else []
