"""The blocks that one process holds: loaded once, summed by a pool of threads. Independent of Dask."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

from threadpoolctl import threadpool_limits

from jobs.errors import ClusterError, DataError, UserCodeError
from jobs.minimize.evaluate.check import QUICK, ROWS, Finding, findings
from jobs.minimize.evaluate.request import OnNan, Request, answer
from jobs.minimize.problems.base import block_rows, instantiate, rows
from jobs.minimize.problems.identity import Expected
from jobs.sharding.blocks import Blocks, Run, TreeSum, Vector, numbers
from jobs.usercode import UserCode, call


class Shard:
    """Loads and keeps blocks of a problem, and sums requests over them on `threads` threads.

    BLAS runs on one thread in this process from now on, so that neither cores nor threads change a bit. The owner
    of the loaded blocks is this object; it may be called from several threads.
    """

    def __init__(self, code: UserCode, expected: Expected, threads: int, on_nan: OnNan, name: str) -> None:
        """`expected` is what the driver's problem is; `name` is this process's in error messages."""
        self._code, self._expected, self._on_nan, self._name = code, expected, on_nan, name
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
                problem = instantiate(self._code)
                self._expected.check(self._code, problem)
                self._blocks = Blocks(rows(problem), block_rows(problem))
                threadpool_limits(limits=1)  # after the problem's imports: it limits the libraries loaded by then
                self._problem = problem

    def load(self, runs: Sequence[Run]) -> list[Any]:
        """Load the blocks of `runs` that are not there yet, and return the data of all of them.

        Raises:
            DataError: rows could not be loaded.
            UserCodeError: the problem failed on a block.
        """
        self.prepare()
        data = []
        for block in numbers(runs):
            with self._loading:
                data.append(self._loaded(block))
        return data

    def check(self, start: Vector) -> list[Finding]:
        """Return what is found of the problem's contract on some rows of its first block, near the start (n,).

        Nothing where these rows cannot be loaded or evaluated: a sum raises that too, by the name of a block.
        """
        self.prepare()
        with self._loading, contextlib.suppress(DataError, UserCodeError):
            return list(findings(self._problem, start, min(len(range(*self._blocks.rows_of(0))), ROWS), limit=QUICK))
        return []

    def forget(self, blocks: Iterable[int]) -> None:
        """Release the data of blocks."""
        for block in blocks:
            self._data.pop(block, None)

    def sum(self, request: Request, keep: Sequence[Run] | None, compute: Sequence[Run]) -> TreeSum:
        """Return the sum of a request over the blocks of `compute`; afterwards only blocks of `keep` stay loaded.

        With `keep` None nothing is released: `forget` does that.

        Raises:
            DataError: rows could not be loaded.
            UserCodeError: the problem failed on a block.
            ClusterError: the shard was closed meanwhile.
        """
        self.prepare()
        if keep is not None:
            kept = set(numbers(keep))
            # `list` copies in one step: threads of a sum that its driver has given up may still load.
            self.forget([block for block in list(self._data) if block not in kept])
        total = TreeSum(len(self._blocks))
        blocks, failed = numbers(compute), threading.Event()
        try:
            # One iterator for all threads: where blocks differ in cost, none is left with the rest.
            work = [self._pool.submit(self._add_blocks, request, blocks, total, failed) for _ in range(self._threads)]
            for future in work:
                future.result()
        except (RuntimeError, CancelledError):  # of a pool that was shut down; the user's errors are UserCodeErrors
            if not self._closed:
                raise
        if self._closed:
            raise ClusterError("the shard was closed")  # else a partial sum would be returned as if complete
        return total

    def _add_blocks(self, request: Request, blocks: Iterator[int], total: TreeSum, failed: threading.Event) -> None:
        """Take the next block until there is none, another thread has failed, or the shard is closed."""
        while not (failed.is_set() or self._closed):
            try:
                # Loading is serial, since a problem's files have one position each, and computing is not: while one
                # thread loads, the others sum. The iterator of blocks is under the same lock.
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
        """End the threads and release the data, also in the middle of a sum: its driver may be gone for good."""
        self._closed = True  # first: what the pool then raises is known to be of this
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._data.clear()
