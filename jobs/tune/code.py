"""The source code that an objective is made of, as digests: a study that goes on with another one is another study."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from jobs.identity import SOURCE
from jobs.sources import check_sources, digest, home, is_users, sources
from jobs.tune.objective import Function, Imported, Source, name_of

PLAIN = (int, float, complex, str, bytes, type(None))
FOLLOWED = (ModuleType, FunctionType, MethodType, functools.partial, type)


def sources_of(objective: Any) -> dict[str, str]:
    """Return `source of NAME` -> digest of all that an objective is made of.

    One that workers import is its modules, see `jobs.sources.sources`. One that goes by value, as from a notebook or a
    script, is its own source with that of the functions and classes beside it that it uses, and with the numbers and
    texts that it takes from there; what it uses of the user's modules counts as these do.

    Args:
        objective: module:function, which has been imported, or a function.
    """
    if roots := roots_of(objective):
        return sources(*roots)
    texts, modules = _by_value(objective)
    return {f"{SOURCE}{name_of(objective)}": digest("\n".join(texts).encode()), **sources(*modules)}


def roots_of(objective: Any) -> tuple[Any, ...]:
    """Return what of an objective leads to its modules; nothing of one that goes by value."""
    if isinstance(objective, str):
        return sys.modules.get(objective.partition(":")[0]), Imported(objective)()
    module = home(objective)
    return () if module is None else (module,)


def checked(source: Source, driver: Mapping[str, str]) -> Function:
    """Return the function that a worker makes, after a look whether its source is the driver's.

    Args:
        source: how it travels.
        driver: digests of its source on the driver; none where it goes by value.

    Raises:
        InputError: it cannot be made here, or is of other code.
    """
    function = source()
    if driver and (roots := roots_of(source.spec if isinstance(source, Imported) else function)):
        check_sources(driver, *roots)
    return function


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
        if (module := part if isinstance(part, ModuleType) else home(part)) is not None:
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
