"""The code that a run folder's options name, for commands that are given the folder alone."""

from __future__ import annotations

import sys
from pathlib import Path

from jobs.code_files import named_file
from jobs.errors import InputError
from jobs.runs.folder import RunFolder


def is_by_value(spec: str) -> bool:
    """Return whether `module:function` names what a notebook, a script or a function defined: no command has it.

    Args:
        spec: of a run's options.
    """
    return spec.startswith("__main__:") or "<locals>" in spec


def check_named(run: RunFolder, spec: str) -> None:
    """Check that `module:function` of a run's options may be loaded: the folder may come from a pod that lies.

    Raises:
        InputError: its module is of Python's standard library, or would be imported from within the folder; or it is a
            file elsewhere than in the current folder.
    """
    folder = Path(run.url).resolve()
    if named := named_file(spec):
        _check_file(run, folder, spec, Path(named[0]).expanduser().resolve())
        return
    top = spec.partition(":")[0].partition(".")[0]
    if top in sys.stdlib_module_names:
        raise InputError(f"{run.url}: its options name {spec}, of Python's standard library: it is not loaded")
    if "://" not in run.url and any(_is_inside(folder, Path(entry).resolve(), top) for entry in sys.path):
        raise InputError(f"{run.url}: its options name {spec}, which lies in the run folder: it is not loaded")


def _check_file(run: RunFolder, folder: Path, spec: str, file: Path) -> None:
    if "://" not in run.url and file.is_relative_to(folder):
        raise InputError(f"{run.url}: its options name {spec}, which lies in the run folder: it is not loaded")
    if not file.is_relative_to(Path.cwd()):
        raise InputError(
            f"{run.url}: its options name {spec}, outside the current folder: it is not loaded; go to that folder first"
        )


def _is_inside(folder: Path, entry: Path, top: str) -> bool:
    """Return whether a module's top level, imported from an entry of the Python path, may be in the folder."""
    if entry.is_relative_to(folder):
        return any(path.name.startswith(top) for path in entry.iterdir())
    # Without an __init__.py too: any folder there is a package.
    return folder.is_relative_to(entry) and folder.relative_to(entry).parts[0] == top
