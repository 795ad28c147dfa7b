"""What several tests of releases share."""

from __future__ import annotations

import pytest
from drivers import MINIMIZE, Driver, driver_of


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """Return a driver that has minimized a problem of three parameters."""
    return driver_of(tmp_path_factory.mktemp("fitted") / "pod", "minimize", **MINIMIZE)
