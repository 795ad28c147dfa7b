"""Source digests of the user's code, whose modules are found by the text of their `import` lines.

Imported modules are not inspected: their attributes depend on what else the process has done.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.machinery
import importlib.util
import site
import sys
import sysconfig
import textwrap
import threading
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from jobs.errors import InputError

SOURCE = "source of "
"""Prefix of the names of entries with a digest of source code."""
THIS = __name__.partition(".")[0]
PARSES = 20
"""Maximum attempts to parse a text while other threads parse, too."""
_parsing = threading.Lock()
MODULES = 1000
"""Maximum number of the user's modules that are read."""
_loaded: dict[str, tuple[Any, str | None]] = {}
"""Name of an imported module -> its spec, a new object after a reload, and its source then."""


@dataclass(frozen=True)
class Source:
    """The source of one module: its name and file, whether it is a package, and its text."""

    name: str
    file: str
    package: bool
    text: str

    @property
    def digest(self) -> str:
        """Of the text."""
        return digest(self.content)

    @property
    def content(self) -> bytes:
        """The text as bytes."""
        return self.text.encode(errors="surrogatepass")

    @property
    def label(self) -> str:
        """The name of the file in messages: my_model.py, package/part.py, package/__init__.py."""
        package = self.name if self.package else self.name.rpartition(".")[0]
        return "/".join([*package.split("."), Path(self.file).name]) if package else Path(self.file).name

    def imports(self, names: AbstractSet[str] | None = None) -> Iterator[str]:
        """Yield the names of modules that the text may import, anywhere in it, and of the packages they are in.

        Args:
            names: only those from which the text has one of these names, or all that there are.
        """
        for bound, module in self._bound:
            parts = module.split(".")
            if all(parts) and (names is None or bound in names or bound == "*"):  # beyond the top of a package: not all
                yield from _parts(module)

    @functools.cached_property
    def _bound(self) -> list[tuple[str, str]]:
        """Names that import lines bind, each with its module: the name may be a module, or an attribute of one."""
        try:
            tree = _parsed(self.text)
        except (SyntaxError, ValueError, RecursionError):
            return []
        bound = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                bound += [(alias.asname or alias.name.partition(".")[0], alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                bound += [(alias.asname or alias.name, f"{base}.{alias.name}") for alias in node.names]
        return bound

    def _absolute(self, node: ast.ImportFrom) -> str:
        above = self.name.split(".")[: None if self.package else -1]
        above = above[: len(above) - node.level + 1] if node.level else []
        return ".".join([*above, *([node.module] if node.module else [])])


def _parsed(text: str) -> ast.Module:
    """Return the syntax tree of a module's text.

    Python 3.11 counts the depth of trees for all threads in one place, and raises SystemError where two threads parse
    at once (CPython issue 106905). Another thread may be any library's, so a lock alone would not prevent it.
    """
    for _ in range(PARSES):
        with contextlib.suppress(SystemError), _parsing:
            return ast.parse(text)
    return ast.parse(text)


def sources(*roots: Any) -> dict[str, str]:
    """Return `source of FILE` -> digest for the modules of `user_modules`.

    Args:
        roots: modules, names of modules, or objects with a module, such as functions and classes.
    """
    found = user_modules(*roots)
    return dict(sorted((SOURCE + source.label, source.digest) for source in found))


def user_modules(*roots: Any) -> list[Source]:
    """Return the modules that define `roots`, the packages that they are in, and all of the user's that these import.

    The standard library, installed packages and this package end the search, unless a root is in one itself. A module
    without a source (a notebook's cell) is left out. The source of an imported module is that of its first use here.

    Args:
        roots: as of `sources`; the first one's module comes first.
    """
    names = list(dict.fromkeys(name for root in roots if (name := _module_of(root)) is not None))
    own = {_family(name) for name in names}
    found: list[Source] = []
    # Python runs the __init__.py of each package that a module is in before the module.
    around = [package for name in names for package in _parts(name)[:-1] if _is_users(package, own)]
    pending = list(dict.fromkeys([*names, *around]))
    seen = set(pending)
    while pending and len(seen) < MODULES:
        source = _source(pending.pop(0))
        if source is not None:
            found.append(source)
            new = [name for name in dict.fromkeys(source.imports()) if name not in seen and _is_users(name, own)]
            seen.update(new)
            pending += new
    return found


def _parts(module: str) -> list[str]:
    """Return a module's packages, from the outermost on, and itself."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def check_sources(driver: Mapping[str, str], *roots: Any) -> None:
    """Check in a worker that the user's code is the driver's; after an edit a worker has still imported the old one.

    Raises:
        InputError: it is not; the message has the first file that differs.
    """
    here = sources(*roots)
    for name in sorted(driver.keys() | here.keys()):
        if driver.get(name) != here.get(name):
            raise InputError(
                f"this worker has another {name.removeprefix(SOURCE)} than the driver: another file, or one that it "
                "imported before it was edited; give all the same, and start the worker anew"
            )


def home(value: Any) -> ModuleType | None:
    """Return the module where a function or class can be found by its name; None for one that is sent by value."""
    module = sys.modules.get(str(getattr(value, "__module__", None)))
    if module is None or module.__name__ == "__main__":
        return None
    found: Any = module
    for part in str(getattr(value, "__qualname__", "")).split("."):
        found = getattr(found, part, None)
    return module if found is value else None


def digest(data: bytes) -> str:
    """Return 16 hex digits (BLAKE2b) of some bytes."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def users(names: Iterable[str]) -> list[str]:
    """Return those modules that are the user's: not Python's, an installed package's, or this package's."""
    return [name for name in names if _is_users(name, set())]


def imported(text: str, module: str, names: AbstractSet[str]) -> list[str]:
    """Return the user's modules that a function needs, by the lines that import them.

    Args:
        text: the function's source.
        module: the name of the module that it is in, whose lines may import for it.
        names: the names that it uses of that module.
    """
    enclosing = _source(module)
    own = Source(module, "", enclosing is not None and enclosing.package, textwrap.dedent(text))
    found = [*own.imports(), *(enclosing.imports(names) if enclosing else ())]
    return users(dict.fromkeys(found))


def _module_of(root: Any) -> str | None:
    if isinstance(root, str):
        return root
    if isinstance(root, ModuleType):
        return root.__name__
    try:
        name = root.__module__
    except Exception:  # noqa: BLE001  a property of the user's object may raise anything
        return None
    return name if isinstance(name, str) and name in sys.modules else None


def _family(name: str) -> str:
    """Return the package that a module belongs to; a module of this package is a package of its own."""
    package = name.partition(".")[0]
    return name if package == THIS else package


def _is_users(name: str, own: set[str]) -> bool:
    if name == "__main__":
        return False
    # This package is installed like any other, and in a checkout it lies beside the user's files: never theirs.
    if name.partition(".")[0] == THIS:
        return name.startswith(tuple(family for family in own if family.startswith(f"{THIS}.")))
    if _family(name) in own:
        return True
    file = _file(_found(name))
    return file is not None and not any(Path(file).resolve().is_relative_to(place) for place in _installed())


@functools.cache
def _installed() -> tuple[Path, ...]:
    """Return the folders of modules that are not the user's: Python's own, installed packages, and this package."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parent)]
    # Those of other environments too, which a .pth file or PYTHONPATH adds.
    paths += [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    debian = Path(sys.base_prefix, "lib", "python3", "dist-packages")
    return (*(Path(path).resolve() for path in paths), debian)


def _found(name: str) -> Any:
    """Return the spec by which Python found or would find a module; None if there is none."""
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    package = name.rpartition(".")[0]
    try:
        if not package:
            return importlib.util.find_spec(name)
        folders = getattr(_found(package), "submodule_search_locations", None)
        # `find_spec` alone would import the package.
        return None if folders is None else importlib.machinery.PathFinder.find_spec(name, list(folders))
    except Exception:  # noqa: BLE001  finders may raise anything
        return None


def _file(spec: Any) -> str | None:
    origin = getattr(spec, "origin", None)
    return origin if isinstance(origin, str) and getattr(spec, "has_location", False) else None


def _source(name: str) -> Source | None:
    spec = _found(name)
    file = _file(spec) or getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str):
        return None
    known = _loaded.get(name)
    # The spec and not the module: a reload runs the new text in the same module object, and gives it a new spec.
    if known is None or known[0] is not spec:
        known = (spec, _text(name, spec, file))
        if name in sys.modules:
            _loaded[name] = known
    package = getattr(spec, "submodule_search_locations", None) is not None
    return None if known[1] is None else Source(name, file, package, known[1])


def _text(name: str, spec: Any, file: str) -> str | None:
    try:
        get_source = getattr(getattr(spec, "loader", None), "get_source", None)
        text = get_source(name) if get_source else Path(file).read_text(encoding="utf-8")
    except Exception:  # noqa: BLE001  no source, or none that can be read
        return None
    return text if isinstance(text, str) else None
