"""A worker plugin whose public coroutines are calls: made over Dask's own connections, without tasks.

TLS and addresses are Dask's, a call costs a fraction of a task's latency, and takes no task slot.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import pickle
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Concatenate, ParamSpec, TypedDict, TypeVar, cast

from distributed import Worker
from distributed.diagnostics.plugin import WorkerPlugin

from jobs.errors import JobError, as_ours
from jobs.usercode import only_exceptions

P = ParamSpec("P")
R = TypeVar("R")


class Reply(TypedDict, total=False):
    """A call's answer: `value`, or `error`, a pickled JobError."""

    value: Any
    error: bytes


def _is_no_heartbeat(record: logging.LogRecord) -> bool:
    # A scheduler that ends in the middle of one: Dask prints a traceback, though it closes the worker a moment later.
    return record.msg != "Failed to communicate with scheduler during heartbeat."


class CallPlugin(WorkerPlugin):  # type: ignore[misc]  # distributed is untyped here
    """Makes each public coroutine of a subclass a handler of the worker's, named `KEY-METHOD`; see `call`.

    Such a coroutine takes keywords only. It runs on the worker's event loop, where heartbeats and all other messages
    wait for it: the user's code, and what unpickles or imports it, goes through `_in_thread`.

    Args:
        key: unlike the keys of all others on the cluster.

    Attributes:
        purpose: what a worker without the plugin cannot do, for error messages.
        worker: the Dask worker, from `setup` on.
    """

    purpose: ClassVar[str] = "be called"
    worker: Worker

    def __init__(self, key: str) -> None:
        self.key = key

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop, on each worker there is and on each that joins."""
        self.worker = worker
        # One function for all plugins: adding a filter that is there already does nothing.
        logging.getLogger("distributed.worker").addFilter(_is_no_heartbeat)
        calls = inspect.getmembers(type(self), inspect.iscoroutinefunction)
        names = [name for name, _ in calls if not name.startswith("_")]
        self._handlers = {f"{self.key}-{name}": _Handler(self, name) for name in names}
        worker.handlers.update(self._handlers)

    def teardown(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop when the plugin goes or the worker ends."""
        for name, handler in self._handlers.items():
            # Not those of a later plugin with the same key: after a driver's reconnect, the scheduler's removal of this
            # one may arrive after the registration of that one.
            if worker.handlers.get(name) is handler:
                del worker.handlers[name]
        self._handlers = {}

    @property
    def is_torn_down(self) -> bool:
        """Whether the plugin was set up, and went or its worker ends: calls that still run fail for that."""
        return not self._handlers

    async def ping(self) -> None:
        """Answer, which a worker that is frozen does not; see `alive`."""

    async def _in_thread(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function that calls the user's code in a thread, beside the event loop.

        Raises:
            UserCodeError: it raised what is not an `Exception`, such as SystemExit, which would end the event loop.
        """
        # Not in the worker's own executor: tasks, such as trials, hold its threads for hours.
        return cast(R, await asyncio.to_thread(only_exceptions, functools.partial(function, *args, **kwargs)))


class _Handler:
    """A handler of the worker's, which replies with a method's value, or with the JobError that it raised.

    Dask keeps each handler that it has called in a cache without a limit, beside what its signature says, and the last
    one of each connection. So a handler refers weakly to the plugin, which has a driver's data; and all are equal,
    since all have one signature, so that the cache has one of them however many drivers come and go.
    """

    def __init__(self, plugin: CallPlugin, method: str) -> None:
        self._plugin = weakref.ref(plugin)
        self.__name__ = method  # Dask logs it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Handler)

    def __hash__(self) -> int:
        return hash(_Handler)

    async def __call__(self, **message: Any) -> Reply | None:
        plugin = self._plugin()
        if plugin is None:
            return None  # as of a worker that has no such handler any more
        try:
            return {"value": await getattr(plugin, self.__name__)(**message)}
        except JobError as error:
            if plugin.is_torn_down:
                return None  # it failed because its worker is closing: another takes its place
            # As a value: Dask would log what a handler raises with its traceback as a fault of the worker's, and pickle
            # it with that traceback.
            return {"error": _packed(error)}


def _packed(error: JobError) -> bytes:
    """Return a JobError pickled as one of our own classes.

    A subclass of the user's would be imported where it is unpickled: on an event loop, and in a process that may not
    have the user's modules.
    """
    return pickle.dumps(as_ours(error))


async def call(
    pool: Any,
    key: str,
    address: str,
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
    *_: P.args,
    **message: P.kwargs,
) -> R:
    """Call a method of the plugin with the key on the worker at an address.

    Args:
        pool: Dask's connections, a client's or a worker's `rpc`.
        key: the plugin's.
        address: the worker's.
        method: of the plugin's class, as `ShardPlugin.evaluate`, so that its arguments and value are checked by type.
        message: its keyword arguments.

    Raises:
        JobError: what the method raised there.
        OSError: the worker is gone, or going.
    """
    reply = await ask(pool, f"{key}-{method.__name__}", address, **message)
    if "error" in reply:
        raise pickle.loads(reply["error"])  # noqa: S301  of our own classes, see `_packed`
    return cast(R, reply["value"])


async def ask(pool: Any, name: str, address: str, **message: Any) -> Reply:
    """Call a handler on the worker at an address.

    Raises:
        OSError: the worker is gone, or going: a closing one has no plugin any more (Dask answers None), or no threads.
    """
    try:
        reply: Reply | None = await getattr(pool(address), name)(**message)
    except OSError:
        raise
    # All else means the same: a worker that is closing raises what its closed parts do (RuntimeError of a thread pool,
    # TypeError), and Dask raises that here. No call of ours fails otherwise, since JobErrors travel as values.
    except Exception as error:
        raise OSError(f"worker {address} failed: {error!r}") from error
    if reply is None:
        raise OSError(f"worker {address} is closing")
    return reply


def is_set_up(name: str, dask_worker: Worker) -> bool:
    """Return whether the plugin registered by a name is set up; run on a worker by `Client.run`."""
    # Not just whether Dask lists the plugin, which it does before `setup` has run.
    return getattr(dask_worker.plugins.get(name), "worker", None) is dask_worker
