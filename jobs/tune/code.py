"""The source code that an objective is made of, as digests: a study that goes on with another one is another study."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from jobs.identity import SOURCE
from jobs.tune.objective import Imported, name_of
from jobs.usercode import digest, is_users, sources

PLAIN = (int, float, complex, str, bytes, type(None))
FOLLOWED = (ModuleType, FunctionType, MethodType, functools.partial, type)


def sources_of(objective: Any) -> dict[str, str]:
    """Return `source of NAME` -> digest of all that an objective is made of.

    One that workers import is its modules, see `jobs.usercode.sources`. One that goes by value, as from a notebook or a
    script, is its own source with that of the functions and classes beside it that it uses, and with the numbers and
    texts that it takes from there; what it uses of the user's modules counts as these do.

    Args:
        objective: module:function, which has been imported, or a function.
    """
    if isinstance(objective, str):
        return sources(sys.modules.get(objective.partition(":")[0]), Imported(objective)())
    if (home := _home(objective)) is not None:
        return sources(home)
    texts, modules = _by_value(objective)
    return {f"{SOURCE}{name_of(objective)}": digest("\n".join(texts).encode()), **sources(*modules)}


def _home(value: Any) -> ModuleType | None:
    """Return the module where a value can be found by its name; None for what goes by value."""
    module = sys.modules.get(str(getattr(value, "__module__", None)))
    if module is None or module.__name__ == "__main__":
        return None
    found: Any = module
    for part in str(getattr(value, "__qualname__", "")).split("."):
        found = getattr(found, part, None)
    return module if found is value else None


def _by_value(objective: Any) -> tuple[list[str], list[ModuleType]]:
    """Return the texts that an objective is made of, and the user's modules of which it uses something."""
    texts: list[str] = []
    modules: list[ModuleType] = []
    seen, todo = set[int](), [objective]
    while todo:
        part = todo.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if (module := part if isinstance(part, ModuleType) else _home(part)) is not None:
            modules += [module] if is_users(module) else []
            continue
        if isinstance(part, FunctionType | type):
            texts.append(_source(part))
        for name, value in sorted(_held(part).items()):
            if isinstance(value, PLAIN) or (isinstance(value, tuple) and all(isinstance(one, PLAIN) for one in value)):
                texts.append(f"{name} = {value!r}")
            elif isinstance(value, FOLLOWED):
                todo.append(value)
    return texts, modules


def _held(part: Any) -> dict[str, Any]:
    """Return what a function, a class or an object uses, by name."""
    if isinstance(part, FunctionType):
        names = set(_names(part.__code__))
        used = {name: value for name, value in part.__globals__.items() if name in names}
        for name, cell in zip(part.__code__.co_freevars, part.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # not set yet
                used[name] = cell.cell_contents
        given = {f"argument {index}": value for index, value in enumerate(part.__defaults__ or ())}
        return {**used, **given, **(part.__kwdefaults__ or {})}
    if isinstance(part, type):
        return {name: value for name, value in vars(part).items() if isinstance(value, FunctionType)}
    if isinstance(part, MethodType):
        return {"method": part.__func__, **_held(part.__self__)}
    if isinstance(part, functools.partial):
        given = {f"argument {index}": value for index, value in enumerate(part.args)}
        return {"function": part.func, **given, **part.keywords}
    return {"class": type(part), **getattr(part, "__dict__", {})}


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that some code and the functions within it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _source(part: Any) -> str:
    """Return the source of a function or class; what stands for it where there is none, such as on standard input."""
    try:
        return inspect.getsource(part)
    except (OSError, TypeError):
        code = getattr(part, "__code__", None)
        return "" if code is None else "\n".join(_bytes(code))


def _bytes(code: CodeType) -> Iterator[str]:
    yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"
    for constant in code.co_consts:
        yield from _bytes(constant) if isinstance(constant, CodeType) else [repr(constant)]
