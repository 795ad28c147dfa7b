"""The shards of one objective as Dask's futures: where they are, and what happens as workers come and go."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import time
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from distributed import Client, Future, KilledWorker, as_completed

from jobs.arithmetic import arithmetic
from jobs.cluster.bits import Bits
from jobs.cluster.membership import check_absence, scheduler_gone
from jobs.errors import ClusterError, JobError
from jobs.formatting import error_line
from jobs.minimize.evaluate.by_futures import tasks
from jobs.minimize.evaluate.check import FindingFields
from jobs.sharding.assignment import assign, cut
from jobs.sharding.blocks import Run, Vector

T = TypeVar("T")
PARTS = 4
"""Futures per worker's blocks: a cluster that adapts grows only while there are more tasks than cores."""
REFRESH_SECONDS = 1.0
"""How old the list of workers may be before the scheduler is asked again."""
WATCH_SECONDS = 2.0
"""Period of listing the scheduler's workers while tasks run."""
STRANDED = 3
"""Retries of an evaluation whose workers, or futures, were all lost at once."""


class Stranded(Exception):
    """All workers that tasks were placed on are gone; its argument is the error to raise when retries are used up."""


@dataclass(frozen=True)
class Part:
    """Some blocks of a worker, and the future that keeps them loaded."""

    runs: tuple[Run, ...]
    future: Future

    @property
    def first(self) -> int:
        """The number of the first block."""
        return self.runs[0][0]


class ShardFutures:
    """Futures that load blocks on the workers and keep them there; runs on the client's event loop.

    Args:
        client: a synchronous client.
        recipe: what a worker's shard is made from.
        count: the number of blocks.
        workers_timeout: seconds to wait while there is no worker at all.
        bits: the arithmetic of the run's processes, to which the workers' is added.

    Attributes:
        parts: address -> what the worker holds, in order of blocks.
        lost_workers: how many workers were lost so far.
    """

    def __init__(self, client: Client, recipe: tasks.Recipe, count: int, workers_timeout: float, bits: Bits) -> None:
        self._client, self._recipe, self._count = client, recipe, count
        self._workers_timeout, self._bits = workers_timeout, bits
        self._numbers = itertools.count()
        self._admitted: dict[str, Future] = {}
        self._threads: dict[str, int] = {}
        self._known: set[str] = set()
        self._current: dict[str, int] = {}
        self._listed = -REFRESH_SECONDS
        self.parts: dict[str, list[Part]] = {}
        self.lost_workers = 0

    @property
    def admitted(self) -> int:
        """How many workers have made the problem."""
        return len(self._admitted)

    async def admit(self) -> dict[str, int]:
        """Return address -> compute threads of the workers; new ones have made the problem and checked it.

        Raises:
            ClusterError: no worker in time, or the scheduler is gone.
            InputError, UserCodeError: a new worker cannot make the problem, or its arithmetic is refused.
        """
        threads = await self._some_worker()
        for address in self._admitted.keys() - threads.keys():
            self._admitted.pop(address).release()
        new = {address: self._load((), address) for address in threads if address not in self._admitted}
        try:
            await self._finished(new.values())
            await self._compare(list(new))
        except BaseException:
            _release(new.values())
            raise
        self._admitted |= new
        return threads

    async def check(self, start: Vector) -> list[FindingFields]:
        """Check the problem's contract on some rows, on any worker."""
        await self._some_worker()
        future = self._client.submit(tasks.check, self._recipe, start, key=f"check-{self._recipe.key}", pure=False)
        try:
            return await self.until(self.result(future), {})
        finally:
            future.release()

    async def _compare(self, addresses: list[str]) -> None:
        """Add the arithmetic of workers that have made the problem; a worker that is gone has none."""
        found = await self._client.run(arithmetic, workers=addresses, on_error="return")
        for address, one in sorted(found.items()):
            if isinstance(one, dict):
                self._bits.add(f"worker {address}", one)

    async def _some_worker(self) -> dict[str, int]:
        """Return the workers; while there is none, a task is queued, so that an adaptive cluster starts one."""
        began, waiting = time.monotonic(), None
        try:
            while not (threads := await self._list()):
                waiting = waiting or self._load((), None)
                check_absence(began, self._workers_timeout)
                await asyncio.sleep(0.1)
        finally:
            if waiting:
                waiting.release()
        return threads

    async def _list(self) -> dict[str, int]:
        """Return address -> compute threads of the workers that tasks can run on, and count those that were lost.

        Raises:
            ClusterError: the scheduler is gone.
        """
        try:
            identity = await self._client.scheduler.identity(n_workers=-1)
            for address in self._known - identity["workers"].keys():
                self.lost_workers += await self._was_lost(address)
        except OSError as error:
            raise scheduler_gone(error) from error
        self._listed, self._known = time.monotonic(), set(identity["workers"])
        workers = sorted(identity["workers"].items())
        # Neither paused nor closing ones: Dask starts no task there.
        self._current = {address: worker["nthreads"] for address, worker in workers if worker["status"] == "running"}
        return self._current

    def _load(self, runs: Sequence[Run], address: str | None) -> Future:
        """Submit the loading of blocks to a worker; Dask may place it elsewhere once that one is gone."""
        return self._client.submit(
            tasks.load,
            self._recipe,
            tuple(runs),
            key=f"load-blocks-{self._recipe.key}-{next(self._numbers)}",
            workers=[address] if address else None,
            allow_other_workers=bool(address),
        )

    async def refresh(self, *, now: bool = False) -> None:
        """List the workers, if the list is old or `now`; `share` acts on it.

        Raises:
            ClusterError: the scheduler is gone.
        """
        if now or time.monotonic() - self._listed > REFRESH_SECONDS:
            await self._list()

    async def share(self) -> None:
        """Assign the blocks anew if workers came or went; those that stay load only what they do not have."""
        await self.refresh()
        if self._threads and self._current == self._threads:
            return
        threads = await self.admit()
        before = await self._located()
        held = {address: [run for part in parts for run in part.runs] for address, parts in before.items()}
        old = [part.future for parts in before.values() for part in parts]
        self.parts = {
            address: self._cut(runs, address, before.get(address, []))
            for address, runs in assign(self._count, threads, held).items()
        }
        try:
            await self._finished(self._futures())
            self.parts = await self._located()  # not as assigned, where a worker died or Dask stole a queued task
        except BaseException:
            _release(old)
            _release(self._futures())
            self.parts, self._threads = {}, {}
            raise
        # After the new ones are loaded: a block that is in both stays loaded.
        kept = {future.key for future in self._futures()}
        _release([future for future in old if future.key not in kept])
        self._threads = threads

    def _cut(self, runs: Sequence[Run], address: str, there: Sequence[Part]) -> list[Part]:
        """Return a worker's blocks as parts; a part that it has already keeps its future."""
        by_runs = {part.runs: part for part in there}
        parts = map(tuple, cut(runs, PARTS))
        return [by_runs.get(part) or Part(part, self._load(part, address)) for part in parts]

    async def _located(self) -> dict[str, list[Part]]:
        """Return the parts by the workers that hold them, in order of blocks; where none does, by the last one."""
        # Of the scheduler: futures on the driver only know that they are finished, not where.
        holders = await self._client.scheduler.who_has(keys=[future.key for future in self._futures()])
        located: dict[str, list[Part]] = {}
        for address, part in ((address, part) for address, parts in self.parts.items() for part in parts):
            found = holders.get(part.future.key)
            located.setdefault(address if not found or address in found else found[0], []).append(part)
        for parts in located.values():
            parts.sort(key=lambda part: part.runs)
        return dict(sorted(located.items(), key=lambda item: item[1][0].runs))

    async def _was_lost(self, address: str) -> bool:
        """Return whether a worker that is gone was lost: not if it was retired, as by an adaptive cluster."""
        events = await self._client.scheduler.events(topic=address)
        ends = [event for _, event in events if event.get("action") == "remove-worker"]
        return not (ends and ends[-1]["expected"])

    def _futures(self) -> list[Future]:
        return [part.future for parts in self.parts.values() for part in parts]

    def release(self) -> None:
        """Release all futures, and with them the workers' data."""
        _release([*self._admitted.values(), *self._futures()])
        self._admitted, self.parts, self._threads = {}, {}, {}

    async def until(self, work: Coroutine[Any, Any, T], blocks: Mapping[str, int]) -> T:
        """Wait for the cluster's work, up to `workers_timeout` while there is no worker.

        Args:
            work: awaits futures.
            blocks: key of a task -> the first of its blocks, for messages.

        Raises:
            JobError: a task raised it.
            ClusterError: no worker, or too many were lost over one task.
            Stranded: all workers were replaced by others.
            CancelledError: the futures are gone, as after a restart of the scheduler.
        """
        task, seen, placed = asyncio.ensure_future(work), time.monotonic(), set(self._current)
        try:
            while not (await asyncio.wait({task}, timeout=min(WATCH_SECONDS, self._workers_timeout)))[0]:
                if workers := await self._list():
                    seen = time.monotonic()
                else:
                    check_absence(seen, self._workers_timeout)
                # Dask runs a task elsewhere when its worker is gone (`allow_other_workers`), but not if there was no
                # worker at all for a moment: then the task keeps its restriction to an address that will not return.
                if workers and not placed & workers.keys():
                    _strand(min(blocks.values(), default=None), max(placed))
            return task.result()
        except (JobError, Stranded, concurrent.futures.CancelledError):
            raise
        except KilledWorker as error:
            raise _lost(blocks.get(error.task), error.allowed_failures + 1, error.last_worker.address) from error
        except Exception as error:
            # All errors of tasks are JobErrors, so that what else is raised is Dask's.
            raise ClusterError(f"an evaluation failed on the cluster: {error_line(error)}") from error
        finally:
            task.cancel()

    async def _finished(self, futures: Collection[Future]) -> None:
        """Wait for futures that load, without fetching their values; the first that failed raises."""
        blocks = {part.future.key: part.first for parts in self.parts.values() for part in parts}
        if futures:
            await self.until(self._all(futures), blocks)

    async def result(self, future: Future) -> Any:
        """Return what a future holds, once it is there: `gather` alone would log an error when it is given up."""
        await self._all([future])
        (value,) = await self._client.gather([future], asynchronous=True)
        return value

    async def _all(self, futures: Collection[Future]) -> None:
        async for future in as_completed(futures, loop=self._client.loop):
            if future.status != "finished":
                # Raises the task's error, which a future's status alone does not have.
                await self._client.gather([future], asynchronous=True)


def _strand(block: int | None, address: str) -> NoReturn:
    raise Stranded(_lost(block, STRANDED + 1, address))


def _lost(block: int | None, times: int, address: str) -> ClusterError:
    """Return the error for a task that was lost with its workers, as often as Dask's `allowed-failures` let it be."""
    what = "a sum" if block is None else f"block {block}"
    return ClusterError(
        f"{what} was lost with its worker {times} times within one evaluation, the last was {address}: "
        "if workers run out of memory, give them more of it, or use more workers"
    )


def _release(futures: Iterable[Future]) -> None:
    for future in futures:
        future.release()
