"""A bug of all trials ends a search by its first ones."""

from __future__ import annotations

from typing import Any

import pytest
import raising
import trials

from jobs.errors import UserCodeError
from jobs.tune import space


def test_a_bug_of_all_trials_ends_the_search(studies: Any) -> None:
    """Three trials, or as many as workers, that all fail with one exception end a search; not where some do not."""
    told = (
        r"^the first [34] trials have all failed alike; see failures/ in run; .*the last, .*ValueError: x is negative$"
    )
    study = studies(trials.fails, {"x": space.uniform(-2, -1)})
    with pytest.raises(UserCodeError, match=told) as caught:
        study.run(trials=50)
    assert "raise ValueError" in caught.value.details
    assert len(study.rows()) <= 6
    with pytest.raises(UserCodeError, match="all failed alike"):  # again, and nothing has a value still
        study.run(trials=50)


def test_failures_of_several_kinds_go_on(studies: Any) -> None:
    """Trials that fail with different exceptions are no bug of all."""
    with pytest.raises(UserCodeError, match="all 8 trials have failed"):
        studies(raising.of_two_kinds, {"x": space.uniform(-1, 1)}).run(trials=8)
