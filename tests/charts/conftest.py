"""Fixtures of the charts' tests: they need helm on PATH, and no cluster."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="session", autouse=True)
def helm_is_there() -> None:
    """Say in one line why the tests fail without helm."""
    if shutil.which("helm") is None:
        pytest.fail("tests/charts needs helm 3.18 or later on PATH", pytrace=False)
