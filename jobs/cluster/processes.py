"""Worker processes of this machine: started as by `multiprocessing`, except that they do not run the user's script."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from multiprocessing import context, spawn
from typing import Any

MAIN = ("init_main_from_name", "init_main_from_path")
"""What a child process is told of its parent's main module, which it imports once more."""
_starting = threading.Lock()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Leave the main module out of what a child process that this thread starts is to import.

    It would run a script that has no `if __name__ == "__main__"` once more, in each worker. What the script defines
    is sent to workers by value, like that of a notebook.
    """
    thread = threading.get_ident()
    # One at a time, so that the function is put back; processes that other threads start import the main module.
    with _starting:
        complete = spawn.get_preparation_data

        def prepared(name: str) -> dict[str, Any]:
            data = complete(name)
            left_out = MAIN if threading.get_ident() == thread else ()
            return {entry: value for entry, value in data.items() if entry not in left_out}

        spawn.get_preparation_data = prepared
        try:
            yield
        finally:
            spawn.get_preparation_data = complete


class _Spawned(context.SpawnProcess):
    def start(self) -> None:
        with _without_main():
            super().start()


class _Forked(context.ForkServerProcess):
    def start(self) -> None:
        with _without_main():
            super().start()


class _Spawn(context.SpawnContext):
    Process = _Spawned


class _ForkServer(context.ForkServerContext):
    Process = _Forked


_CONTEXTS = {"spawn": _Spawn(), "forkserver": _ForkServer()}
# Dask gives the method's name to `multiprocessing.get_context`, which knows only what is listed there.
context._concrete_contexts.update(  # type: ignore[attr-defined]  # noqa: SLF001
    {f"{method}-without-main": one for method, one in _CONTEXTS.items()}
)


def without_main(method: str) -> str:
    """Return the name of a method of starting processes that leaves the main module out; of `fork`, which does, itself.

    Args:
        method: spawn, forkserver or fork, or such a name.
    """
    return f"{method}-without-main" if method in _CONTEXTS else method
