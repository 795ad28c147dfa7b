"""Processes of a release's pods, for a test to break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pods import Pods, pods_in
from slow_release import PROBLEM


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    """Yield what starts them; `slow_release.SLOW` is what they can run."""
    (tmp_path / "slow.py").write_text(PROBLEM)
    with pods_in(tmp_path) as pods:
        yield pods
