"""The code that a run folder's options name, for commands that are given the folder alone."""

from __future__ import annotations

import sys
from pathlib import Path

from jobs.errors import InputError
from jobs.runs.folder import RunFolder


def check_named(run: RunFolder, spec: str) -> None:
    """Check that `module:function` of a run's options may be loaded: the folder may come from a pod that lies.

    Raises:
        InputError: its module is of Python's standard library, or would be imported from within the folder.
    """
    top = spec.partition(":")[0].partition(".")[0]
    if top in sys.stdlib_module_names:
        raise InputError(f"{run.url}: its options name {spec}, of Python's standard library: it is not loaded")
    folder = Path(run.url).resolve()
    if "://" not in run.url and any(_is_inside(folder, Path(entry).resolve(), top) for entry in sys.path):
        raise InputError(f"{run.url}: its options name {spec}, which lies in the run folder: it is not loaded")


def _is_inside(folder: Path, entry: Path, top: str) -> bool:
    """Return whether a module's top level, imported from an entry of the Python path, may be in the folder."""
    if entry.is_relative_to(folder):
        return any(path.name.startswith(top) for path in entry.iterdir())
    # Without an __init__.py too: any folder there is a package.
    return folder.is_relative_to(entry) and folder.relative_to(entry).parts[0] == top
