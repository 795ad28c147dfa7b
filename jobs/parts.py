"""The digest of an object that is sent by value: of all that it holds and uses.

Equal ones have equal digests, in each process: no address counts, no order of a set, and no line number. What can be
found by its name, in a module, is that name; the modules whose source counts are listed beside.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from types import CodeType, EllipsisType, FunctionType, ModuleType, NoneType
from typing import Any

from jobs.sources import SOURCE, digest, home, imported, sources, users
from jobs.usercode import UserCode

PLAIN = frozenset({bool, int, float, complex, str, bytes, NoneType, EllipsisType})
HIDDEN = ("__dict__", "__weakref__", "__firstlineno__", "__static_attributes__")
"""What a class holds that is not its author's, or where it stands."""
WRAPPED = ("__func__", "__wrapped__", "fget", "fset", "fdel")
"""Attributes by which methods and properties hold functions."""
DEPTH = 60
"""Objects that are nested deeper do not count."""
PARTS = 100_000
"""Maximum objects that count, numbers and texts aside."""


def code_sources(code: UserCode) -> dict[str, str]:
    """Return `source of NAME` -> digest of all source code that an object of the user's is made of.

    What workers import is its modules, see `jobs.sources.sources`. What is sent by value, as from a notebook or a
    script, is its own source with all that it holds and uses from there; what it uses of the user's modules counts as
    these do.

    Args:
        code: the object, which has been imported if it is named.
    """
    if roots := code_roots(code):
        return sources(*roots)
    parts = Parts()
    own = parts.describe(code.load())
    return {f"{SOURCE}{code.name}": own, **sources(*users(parts.modules))}


def code_roots(code: UserCode) -> tuple[Any, ...]:
    """Return the objects or names that lead to the modules of the user's code; none of what is sent by value."""
    if code.spec is not None:
        return code.roots()
    module = home(code.load())
    return () if module is None else (module,)


class Parts:
    """Describes objects, each once.

    Attributes:
        modules: names of the modules of which they use something.
    """

    def __init__(self) -> None:
        self.modules: dict[str, None] = {}
        self._described: dict[int, tuple[Any, str]] = {}
        self._above: list[int] = []
        self._count = 0

    def describe(self, value: Any) -> str:
        """Return what stands for an object: a number or a text itself, a digest of all else."""
        if type(value) in PLAIN:
            return repr(value)
        # A cycle, by how far it reaches back: an address would differ in each process.
        if id(value) in self._above:
            return f"{len(self._above) - self._above.index(id(value))} above"
        if id(value) not in self._described:
            if len(self._above) >= DEPTH or self._count >= PARTS:
                return "more"
            self._count += 1
            self._above.append(id(value))
            text = "\n".join([_named(type(value)), *self._content(value)])
            self._above.pop()
            # The object is kept, so that no other one gets its id.
            self._described[id(value)] = (value, digest(text.encode(errors="surrogatepass")))
        return self._described[id(value)][1]

    def _content(self, value: Any) -> Iterator[str]:
        if isinstance(value, ModuleType):
            self.modules[value.__name__] = None
            yield value.__name__
        elif (module := _home(value)) is not None:
            self.modules[module.__name__] = None
            yield _named(value)
        elif isinstance(value, FunctionType):
            yield from self._function(value)
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, CodeType):
            yield from self._code(value)
        else:
            yield from self._data(value)

    def _data(self, value: Any) -> Iterator[str]:
        if type(value) in (list, tuple):  # exactly: a subclass may hold more
            yield from map(self.describe, value)
        elif type(value) is dict:
            yield from (f"{self.describe(name)}: {self.describe(one)}" for name, one in value.items())
        elif type(value) in (set, frozenset):
            yield from sorted(map(self._alone, value))
        else:
            yield from self._object(value)

    def _alone(self, value: Any) -> str:
        """Return what stands for an element of a set, whichever was described before it."""
        described, self._described = self._described, {}
        try:
            return self.describe(value)
        finally:
            self._described = described

    def _by_name(self, values: Mapping[str, Any]) -> Iterator[str]:
        for name in sorted(values):
            yield f"{name} = {self.describe(values[name])}"

    def _function(self, function: FunctionType) -> Iterator[str]:
        """Yield a function's own source, not that of one that it wraps, and all that it uses."""
        code = function.__code__
        source, names = _source(code), set(_names(code))
        yield source
        if not source or function.__name__ == "<lambda>":  # a line may have several of these
            yield self.describe(code)
        for name in imported(source, str(function.__module__), names):
            self.modules[name] = None
        yield from self._by_name({name: value for name, value in function.__globals__.items() if name in names})
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # not set yet
                yield f"{name} = {self.describe(cell.cell_contents)}"
        for held in (function.__defaults__, function.__kwdefaults__, vars(function)):
            yield self.describe(held)

    def _class(self, kind: type) -> Iterator[str]:
        yield _source(kind)
        yield from map(self.describe, (type(kind), *kind.__bases__))
        yield from self._by_name({name: value for name, value in vars(kind).items() if name not in HIDDEN})

    def _code(self, code: CodeType) -> Iterator[str]:
        yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"
        yield from map(self.describe, code.co_consts)

    def _object(self, value: Any) -> Iterator[str]:
        """Yield an object's class and what pickle would store of it; else its attributes, as far as there are any."""
        yield self.describe(type(value))
        try:
            reduced = value.__reduce_ex__(4)
            if isinstance(reduced, str):
                held = [reduced, *_attributes(value)]
            else:
                held = [list(one) if isinstance(one, Iterator) else one for one in reduced]
        except Exception:  # noqa: BLE001  it cannot be pickled; the user's object may raise whatever it likes
            held = _attributes(value)
        yield from map(self.describe, held)


def _named(value: Any) -> str:
    return f"{value.__module__}:{value.__qualname__}"


def _home(value: Any) -> ModuleType | None:
    try:
        return home(value)
    except Exception:  # noqa: BLE001  the user's object may raise whatever it likes
        return None


def _attributes(value: Any) -> list[Any]:
    try:
        return [*(getattr(value, name, None) for name in WRAPPED), getattr(value, "__dict__", None)]
    except Exception:  # noqa: BLE001  the user's object may raise whatever it likes
        return []


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that some code and the functions within it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _source(part: CodeType | type) -> str:
    """Return the source of some code or a class; nothing where there is none, such as on standard input."""
    try:
        return inspect.getsource(part)
    except (OSError, TypeError):
        return ""
