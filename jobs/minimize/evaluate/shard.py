"""The blocks that one process holds: loaded once, summed by a pool of threads. Knows no Dask."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from threadpoolctl import threadpool_limits

from jobs.minimize.evaluate.request import OnNan, Request, answer
from jobs.minimize.problems.base import UserCode, block_rows, rows
from jobs.minimize.problems.identity import Expected
from jobs.sharding.blocks import Blocks, Run, TreeSum, numbers
from jobs.usercode import call


class Shard:
    """Loads and keeps blocks of a problem, and sums requests over them on `threads` threads.

    BLAS runs on one thread in this process from now on, so that neither cores nor threads change a bit. The owner
    of the loaded blocks is this object; it may be called from several threads.
    """

    def __init__(self, source: UserCode, expected: Expected, threads: int, on_nan: OnNan, name: str) -> None:
        """`expected` is what the driver's problem is; `name` says in error messages which process holds a block."""
        self._source, self._expected, self._on_nan, self._name = source, expected, on_nan, name
        self._data: dict[int, Any] = {}
        self._loading = threading.Lock()
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dask-jobs-blocks")
        self.load_seconds = 0.0
        self._closed = False
        self._problem: Any = None

    def prepare(self) -> None:
        """Make the problem, once.

        Raises:
            InputError: it cannot be made here, or is another one than the driver's: other code, or other data.
            UserCodeError: the problem's code raised.
        """
        with self._loading:
            if self._problem is None:
                problem = self._source()
                self._expected.check(self._source, problem)
                self._blocks = Blocks(rows(problem), block_rows(problem))
                threadpool_limits(limits=1)
                self._problem = problem

    def sum(self, request: Request, keep: Sequence[Run], todo: Sequence[Run]) -> TreeSum:
        """Return the sum of a request over the blocks of `todo`; afterwards only blocks of `keep` stay loaded.

        Raises:
            DataError: rows could not be loaded.
            UserCodeError: the problem failed on a block.
        """
        self.prepare()
        kept = set(numbers(keep))
        for block in [block for block in list(self._data) if block not in kept]:
            self._data.pop(block, None)
        total = TreeSum(len(self._blocks))
        blocks, failed = numbers(todo), threading.Event()
        work = [self._pool.submit(self._add_blocks, request, blocks, total, failed) for _ in range(self._threads)]
        for future in work:
            future.result()
        # Of a shard that was closed meanwhile this is not all, but nobody takes it for that: a TreeSum says what it
        # covers, and a driver that lives asks for the rest. An error would be a traceback in the worker's log.
        return total

    def _add_blocks(self, request: Request, blocks: Iterator[int], total: TreeSum, failed: threading.Event) -> None:
        """Take the next block until there is none, another thread has failed, or nobody waits for the sum any more."""
        while not (failed.is_set() or self._closed):
            try:
                with self._loading:
                    block = next(blocks, None)
                    data = self._loaded(block) if block is not None else None
                if block is None:
                    return
                total.add(0, block, answer(self._problem, request, data, self._where(block), self._on_nan))
            except BaseException:
                failed.set()
                raise

    def _loaded(self, block: int) -> Any:
        if block not in self._data:
            began = time.perf_counter()
            self._data[block] = call(f"load of {self._where(block)}", self._problem.load, *self._blocks.rows_of(block))
            self.load_seconds += time.perf_counter() - began
        return self._data[block]

    def _where(self, block: int) -> str:
        start, stop = self._blocks.rows_of(block)
        return f"block {block} (rows {start:,} to {stop - 1:,}) of the shard on {self._name}"

    def close(self) -> None:
        """End the threads and let the data go, also in the middle of a sum: its driver may be gone for good."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._data.clear()
