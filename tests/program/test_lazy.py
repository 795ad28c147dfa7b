"""Public names that are imported at first use."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

NAMES = {
    "jobs": {"connect", "InputError"},
    "jobs.minimize": {"Objective", "Problem", "minimize"},
    "jobs.tune": {"Stop", "Study", "Trial", "space"},
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_completed(name: str) -> None:
    """`dir` has all public names, of which each leads somewhere, and no other does."""
    package = importlib.import_module(name)
    assert NAMES[name] <= {*dir(package)}
    for public in package.__all__:
        assert getattr(package, public) is not None
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = package.nothing


def test_dir_imports_nothing() -> None:
    """Completion must not take seconds: Dask, SciPy and Optuna are not imported for it."""
    text = "import sys, jobs.minimize, jobs.tune; [dir(m) for m in (jobs, jobs.minimize, jobs.tune)]; "
    text += "print({'distributed', 'scipy', 'optuna'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
