"""Files in the place of modules, `path/to/file.py:name`; and another package that hides this one."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from jobs.errors import InputError, nearest

FILE = re.compile(r"(?P<path>.*\.py):(?P<name>\w*)", re.DOTALL)
THIS = __name__.partition(".")[0]
_loading = threading.RLock()


@dataclass(frozen=True)
class CodeFile:
    """A Python file that is loaded as a module, here from its place, and on a machine that has it not, from its text.

    Attributes:
        module: its name: that of the file, below the packages that it is in.
        path: of the file, absolute.
        root: the folder from which the module is imported.
        text: the file's content; None within a package, of which it is only a part.
    """

    module: str
    path: str
    root: str
    text: bytes | None

    def load(self) -> ModuleType:
        """Return the module.

        Raises:
            InputError: another module has its name.
            Exception: what the file raises.
        """
        with _loading:
            if self._is_here():
                if self.root not in sys.path:
                    sys.path.insert(0, self.root)
                module = importlib.import_module(self.module)
                if not _is_same(getattr(module, "__file__", None), self.path):
                    raise InputError(
                        f"{self.path} cannot be imported as {self.module!r}, which is another module "
                        f"({getattr(module, '__file__', None) or 'built into Python'}): rename the file"
                    )
                return module
            return self._from_text()

    def _is_here(self) -> bool:
        try:
            return self.text is None or Path(self.path).read_bytes() == self.text
        except OSError:
            return False

    def _from_text(self) -> ModuleType:
        assert self.text is not None
        known = sys.modules.get(self.module)
        # A worker that outlives an edit of the file gets the new text.
        if known is not None and getattr(known.__loader__, "text", None) == self.text:
            return known
        loader = _Sent(self.text)
        spec = importlib.util.spec_from_file_location(self.module, self.path, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.module] = module
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[self.module]
            raise
        return module


class _Sent(importlib.abc.InspectLoader):
    """Loads a module from a text that was sent."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def get_source(self, fullname: str) -> str:  # noqa: ARG002  as all loaders
        return importlib.util.decode_source(self.text)

    def is_package(self, fullname: str) -> bool:  # noqa: ARG002  as all loaders
        return False


def named_file(spec: str) -> tuple[str, str] | None:
    """Return the path and the name of `path/to/file.py:name`; None for `module:name`."""
    found = FILE.fullmatch(spec)
    return (found["path"], found["name"]) if found and found["name"] else None


def code_file(given_as: str, path: str) -> CodeFile:
    """Return the file at a path.

    Args:
        given_as: the argument that it came from, for messages.
        path: of the file, from the current folder on; `~` is the home folder.

    Raises:
        InputError: it cannot be read.
    """
    file = Path(path).expanduser().absolute()
    try:
        text = file.read_bytes()
    except OSError as error:
        beside = [one.name for one in file.parent.glob("*.py")] if file.parent.is_dir() else []
        hint = nearest(file.name, beside)
        raise InputError(f"{given_as} {path}: {error.strerror}{hint}") from error
    root, packages = file.parent, [file.stem]
    while (root / "__init__.py").is_file():
        root, packages = root.parent, [root.name, *packages]
    alone = len(packages) == 1
    return CodeFile(".".join(packages), str(file), str(root), text if alone else None)


def why_missing(error: BaseException, module: str, file: CodeFile | None) -> str:
    """Return what to do where importing a module has failed; nothing where only the error's own text can say it.

    Args:
        error: of the import.
        module: which was to be imported.
        file: that it is, if a file was named.
    """
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None:
        return ""
    if module == missing or module.startswith(f"{missing}."):
        return "; the module must be on the Python path of the driver and of every worker, or in their current folder"
    if file is not None and not Path(file.path).exists():
        return (
            f"; only {Path(file.path).name} itself was sent to this worker: what it imports must be installed here, or "
            "on the Python path of every worker"
        )
    return (
        f"; it imports {missing!r}, which is missing here: install it for the driver and every worker; "
        "on Kubernetes take an image that has it (images/README.md)"
    )


def check_own_package(path: Sequence[str] | None = None) -> None:
    """Check that processes which are started here import this package, and not another one of its name.

    Args:
        path: their Python path; this process's if None.

    Raises:
        InputError: another one comes first on it.
    """
    found = importlib.machinery.PathFinder.find_spec(THIS, None if path is None else list(path))
    origin = Path(found.origin) if found and found.origin else None
    if origin is None:
        return
    other = origin.parent if origin.name == "__init__.py" else origin
    if not _is_same(other, Path(__file__).parent):
        shown = other if not other.is_relative_to(Path.cwd()) else f".{os.sep}{other.relative_to(Path.cwd())}"
        raise InputError(
            f"{shown} hides dask-jobs' own package, which is called {THIS} too, from the workers: start elsewhere, or "
            "rename it"
        )


def _is_same(one: Any, other: Any) -> bool:
    try:
        return Path(one).samefile(other)
    except (OSError, TypeError):
        return False


def add_current_folder() -> None:
    """Put the current folder first on the Python path: a user's module is there, as with `python -m`.

    Raises:
        InputError: it has another package of this one's name.
    """
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  a text
    check_own_package()
