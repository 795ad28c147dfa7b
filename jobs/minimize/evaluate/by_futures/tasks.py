"""The tasks of `FuturesEvaluator`: load blocks, evaluate them, add the sums of several workers.

All of it runs in a task's thread. Arguments and results are unpickled on event loops, on the scheduler's too, hence
have the user's code as `UserCode` only: a name, or bytes.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dask.sizeof import sizeof
from distributed import Worker, get_worker

from jobs.datasets.memory.door import leave_slot
from jobs.errors import ClusterError, DataError, InputError, JobError, UserCodeError
from jobs.minimize.evaluate.check import FindingFields
from jobs.minimize.evaluate.request import OnNan, Request
from jobs.minimize.evaluate.shard import Shard
from jobs.minimize.problems.identity import Expected
from jobs.sharding.blocks import Run, TreeSum, Vector, numbers
from jobs.usercode import UserCode, only_exceptions

T = TypeVar("T")
_ERRORS = {error.__name__ for error in (UserCodeError, InputError, DataError, ClusterError)}
_lock = threading.RLock()
"""Re-entrant: the garbage collector may finalize a `LoadedBlocks` in a thread that holds it."""


@dataclass(frozen=True)
class Recipe:
    """What a worker makes an objective's shard from.

    Attributes:
        key: the evaluator's, unique.
        source: makes the problem.
        expected: what the driver's problem is, as the worker's must be.
        on_nan: 'fail' or 'inf'.
        waits: whether loading waits for tasks, those of chunks of Dask's: it must not keep the slot that they need.
    """

    key: str
    source: UserCode
    expected: Expected
    on_nan: OnNan
    waits: bool = False

    def leave_slot(self) -> None:
        """Leave the slot of this thread's task, if loading waits for others, before any lock is taken.

        Also to evaluate: what is loaded is behind the same lock as what another task loads meanwhile.
        """
        if self.waits:
            leave_slot()


class LoadedBlocks:
    """The value of a shard's future: blocks that stay loaded in this process as long as this object lives.

    It is pickled as what it is made from, without the data: where Dask moves or spills it, the blocks are loaded anew
    when they are next used.
    """

    def __init__(self, recipe: Recipe, runs: Sequence[Run]) -> None:
        self._recipe, self.runs = recipe, tuple(runs)
        self._shard: _WorkerShard | None = None
        self._nbytes = 0

    def __reduce__(self) -> tuple[type[LoadedBlocks], tuple[Recipe, tuple[Run, ...]]]:
        return type(self), (self._recipe, self.runs)

    def __sizeof__(self) -> int:
        # Not its own memory, but the blocks': Dask's dashboard, placement, spilling and adaptive scaling use it.
        return self._nbytes + object.__sizeof__(self)

    def leave_slot(self) -> None:
        """Leave the slot of this thread's task, as of `Recipe`."""
        self._recipe.leave_slot()

    def load(self) -> None:
        """Load the blocks, on the worker whose task this is.

        Raises:
            InputError: the problem cannot be made here, or is another one; the message names the worker.
            DataError: rows could not be loaded.
            UserCodeError: the problem's code raised.
        """
        self.leave_slot()
        shard = self.open().shard
        try:
            shard.prepare()
        except JobError as error:
            raise type(error)(f"worker {get_worker().address}: {error}", error.details) from error
        self._nbytes = sum(map(sizeof, shard.load(self.runs)))

    def open(self) -> _WorkerShard:
        """Return the shard of this process that holds the blocks; it loads those that it lacks when they are summed."""
        with _lock:
            if self._shard is None:
                self._shard = _shard_of(self._recipe, get_worker())
                self._shard.hold(self.runs)
                # By its end, not by a task: Dask drops a future's value when nothing wants it, without a notice.
                # Not at exit, where the interpreter's threads are gone: the process frees its memory anyway.
                weakref.finalize(self, self._shard.release, self.runs).atexit = False
            return self._shard


class _WorkerShard:
    """One evaluator's shard on one worker, with a reference count per block: the `LoadedBlocks` that hold it."""

    def __init__(self, recipe: Recipe, worker: Worker) -> None:
        self.shard = Shard(recipe.source, recipe.expected, worker.state.nthreads, recipe.on_nan, worker.address)
        self._wanted: Counter[int] = Counter()
        self._load_seconds = 0.0
        weakref.finalize(self, self.shard.close).atexit = False  # not at exit either, see `open`

    def hold(self, runs: Sequence[Run]) -> None:
        """Keep blocks."""
        self._wanted.update(numbers(runs))

    def release(self, runs: Sequence[Run]) -> None:
        """Release the blocks that nothing else holds: after a new assignment other `LoadedBlocks` may hold them."""
        with _lock:
            self._wanted.subtract(numbers(runs))
            gone = [block for block in numbers(runs) if not self._wanted[block]]
            for block in gone:
                del self._wanted[block]
            self.shard.forget(gone)

    def new_load_seconds(self) -> float:
        """Return the seconds of loading since the last call."""
        with _lock:
            before, self._load_seconds = self._load_seconds, self.shard.load_seconds
            return self._load_seconds - before


_shards: weakref.WeakValueDictionary[tuple[str, str], _WorkerShard] = weakref.WeakValueDictionary()


def _shard_of(recipe: Recipe, worker: Worker) -> _WorkerShard:
    """Return the worker's shard, made at first use; workers that are threads of one process each have their own.

    All blocks of a worker share one problem, its open files and its threads.
    """
    shard = _shards.get((recipe.key, worker.address))
    if shard is None:
        _silence()
        shard = _shards[recipe.key, worker.address] = _WorkerShard(recipe, worker)
    return shard


@dataclass(frozen=True)
class PartialSum:
    """The sum over some blocks.

    Attributes:
        nodes: the maximal nodes of the tree over blocks, as (level, index, vector).
        compute: seconds of computing, of the slowest worker.
        load: seconds of loading since the worker's last sum, of the slowest one.
        workers: the addresses of those that computed.
    """

    nodes: tuple[tuple[int, int, Vector], ...]
    compute: float
    load: float
    workers: frozenset[str]

    def __sizeof__(self) -> int:
        return sum(vector.nbytes for *_, vector in self.nodes) + object.__sizeof__(self)


def load(recipe: Recipe, runs: Sequence[Run]) -> LoadedBlocks:
    """Return blocks that are loaded on this worker; no runs: only the problem is made and checked.

    Raises:
        JobError: as `LoadedBlocks.load`.
    """
    blocks = LoadedBlocks(recipe, runs)
    _translated(blocks.load)
    return blocks


def theta(request: Request) -> Request:
    """Return the request: as a task of its own it is sent to each worker once, and recomputed after a loss."""
    return request


def check(recipe: Recipe, start: Vector) -> list[FindingFields]:
    """Return what is found of the problem's contract on some rows, as of `Shard.check`."""
    recipe.leave_slot()
    return [finding.fields() for finding in _translated(_shard_of(recipe, get_worker()).shard.check, start)]


def evaluate(request: Request, *parts: LoadedBlocks) -> PartialSum:
    """Return the sum of a request over all blocks of the parts.

    Raises:
        DataError: rows could not be loaded.
        UserCodeError: the problem failed on a block.
    """
    return _translated(_evaluate, request, parts)


def _evaluate(request: Request, parts: Sequence[LoadedBlocks]) -> PartialSum:
    # All parts, not the first alone: one that Dask has moved here is not held yet.
    parts[0].leave_slot()
    own, *_ = [part.open() for part in parts]
    began, loaded = time.perf_counter(), own.shard.load_seconds
    total = own.shard.sum(request, None, [run for part in parts for run in part.runs])
    compute = time.perf_counter() - began - (own.shard.load_seconds - loaded)
    return PartialSum(tuple(total.nodes()), compute, own.new_load_seconds(), frozenset({get_worker().address}))


def add(count: int, *sums: PartialSum) -> PartialSum:
    """Return the tree sum of sums of different blocks, of `count` in all."""
    total = TreeSum(count)
    for level, index, vector in (node for part in sums for node in part.nodes):
        # A view that cannot be written: `TreeSum` would add in place, and Dask may need this task's arguments again.
        shared = vector.view()
        shared.flags.writeable = False
        total.add(level, index, shared)
    compute, load = max(part.compute for part in sums), max(part.load for part in sums)
    return PartialSum(tuple(total.nodes()), compute, load, frozenset().union(*(part.workers for part in sums)))


def _translated(function: Callable[..., T], *arguments: Any) -> T:
    """Run a function that calls the user's code, and raise its errors without their cause.

    A cause would be pickled too: an object of the user's, which the driver would unpickle on its event loop.

    Raises:
        JobError: the function raised it.
    """
    try:
        result: T = only_exceptions(function, *arguments)
    except JobError as error:
        alone = type(error)(str(error), error.details)
    else:
        return result
    raise alone  # not in the `except`, or the other one would be its context


def _silence() -> None:
    """Keep Dask from logging each task that raises, with its arguments: the driver prints the error in one line."""
    logger = logging.getLogger("distributed.worker")
    if _is_news not in logger.filters:
        logger.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a record of Dask's is about something else than an error of ours that travels to the driver."""
    if not (str(record.msg).startswith("Compute Failed") and isinstance(record.args, tuple) and len(record.args) > 3):
        return True
    # Other jobs' errors on a shared cluster stay as they are.
    ours = any(key in str(record.args[0]) for key, _ in list(_shards))
    return not (ours and str(record.args[3]).partition("(")[0] in _ERRORS)
