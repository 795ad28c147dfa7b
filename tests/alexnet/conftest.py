"""Fixtures of the tests of alexnet."""

from __future__ import annotations

from pathlib import Path

import pytest
from job_tars import write_tars


@pytest.fixture(scope="session")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three tars and a label file."""
    folder = tmp_path_factory.mktemp("tars")
    write_tars(folder)
    return folder
