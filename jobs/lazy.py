"""Public names of a package that are imported at their first use, since their modules are slow to import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package; by the second one, interactive shells complete the names.

    Args:
        package: its name.
        homes: public name -> its module, from the package on; "" for a name that is a module of the package itself.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{homes[name] or name}")
        return getattr(module, name) if homes[name] else module

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return get, names
