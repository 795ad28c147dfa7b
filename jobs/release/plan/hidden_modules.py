"""Files in a chart's `code` that would hide a module which the pods import: /code comes first on their Python path."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib import metadata

from jobs.errors import InputError

PACKAGE = "dask-jobs"
MODULE = re.compile(r"^(\w+)\.(?:pyc?|(?:.*\.)?so)$")
DISTRIBUTION = re.compile(r"^[\w.-]+")
NOT_IN_IMAGES = re.compile(r"extra == ['\"](dev|demo|dashboard|torch)['\"]")
"""Extras of dask-jobs that no image has."""


def check(files: Iterable[str]) -> None:
    """Refuse the name of a module of the standard library, or of a package that dask-jobs needs.

    Raises:
        InputError: a file has such a name.
    """
    modules = {found[1]: name for name in files if (found := MODULE.match(name))}
    for module in modules.keys() & sys.stdlib_module_names:
        raise _hides(modules[module], f"the module {module} of Python's standard library")
    # Looking through all installed packages takes a moment.
    for module in modules.keys() & (_packages() if modules else set()):
        raise _hides(modules[module], f"the package {module}, which dask-jobs needs")


def _hides(file: str, hidden: str) -> InputError:
    return InputError(f"code has the file {file!r}, which would hide {hidden}: choose another name")


def _packages() -> set[str]:
    """Return the modules of all packages that dask-jobs needs and that are installed here."""
    needed: set[str] = set()
    waiting = {PACKAGE}
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting |= _requirements(name) - needed
    modules = metadata.packages_distributions().items()
    return {module for module, names in modules if needed & set(map(_canonical, names))}


def _requirements(name: str) -> set[str]:
    try:
        given = metadata.requires(name) or ()
    except metadata.PackageNotFoundError:
        return set()
    own = (text for text in given if not NOT_IN_IMAGES.search(text) and (name == PACKAGE or "extra ==" not in text))
    return {_canonical(found[0]) for text in own if (found := DISTRIBUTION.match(text))}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
