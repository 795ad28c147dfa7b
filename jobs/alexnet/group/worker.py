"""The plugin that keeps images on a Dask worker: loads partitions, and exchanges images with other workers."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from distributed import Worker
from distributed.protocol import to_serialize
from numpy.typing import NDArray

from jobs.alexnet.partitions.held import Images
from jobs.alexnet.partitions.store import Partition, exchange
from jobs.alexnet.shuffle.plan import Swap
from jobs.cluster.plugin import CallPlugin, call
from jobs.train.process.fingerprint import check_gpus
from jobs.train.process.memory import keep_freed_memory

P = ParamSpec("P")
R = TypeVar("R")
SWAP_BYTES = 1 << 23
"""Images travel in messages of about so many bytes each way."""
AT_ONCE = 4
"""Pairs of partitions that a worker exchanges at a time."""


class Trade(NamedTuple):
    """Rows of a partition that another worker exchanges: their places, and the images that come there.

    Attributes:
        turn: of the driver's request.
        partition: its number.
        rows: (n,) places.
        images: (n, side, side, 3) uint8.
        numbers: (n,) which images these are.
    """

    turn: int
    partition: int
    rows: Any
    images: Any
    numbers: Any


class ImagesPlugin(CallPlugin):
    """Keeps one run's images in this worker.

    Args:
        images: what it needs.
    """

    purpose = "keep images"

    def __init__(self, images: Images) -> None:
        super().__init__(images.key)
        self._images = images

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop."""
        keep_freed_memory()
        self._held = self._images.hold(worker.local_directory, worker.state.nthreads)
        super().setup(worker)

    def teardown(self, worker: Worker) -> None:
        """Called by Dask when the plugin goes or the worker ends."""
        super().teardown(worker)
        self._images.free(self._held)

    async def check_gpus(self) -> None:
        """Check that TensorFlow sees this worker's GPUs: what comes before training may take hours.

        Raises:
            InputError: it does not.
        """
        promised = self.worker.state.total_resources.get("GPU", 0)
        await self._in_thread(check_gpus, self.worker.address, promised, self.worker.state.nthreads)

    async def load(self, *, layout: bytes, partition: int, turn: int) -> list[tuple[int, str]]:
        """Load a partition, and return (number, reason) of each image that cannot be used.

        Raises:
            InputError, DataError: the files have changed, or are damaged.
            ClusterError: the storage cannot be reached.
        """
        its = pickle.loads(layout)  # noqa: S301  our own class
        return await self._in_thread(self._held.load, its, partition, turn)

    async def settle(self, *, layout: bytes, rounds: int, partitions: Sequence[int], turn: int) -> None:
        """Make what is missing of partitions, as they are after so many rounds of the shuffle; free all others.

        Raises:
            InputError, DataError: the files have changed, or are damaged.
            ClusterError: the storage cannot be reached.
        """
        its = pickle.loads(layout)  # noqa: S301  our own class
        await self._in_thread(self._held.settle, its, rounds, partitions, turn)

    async def shuffle(
        self, *, layout: bytes, number: int, owners: Mapping[int, str], turn: int, step_timeout: float
    ) -> bool:
        """Exchange images of a round, where the first partition of a pair is here; return whether all were.

        Where another worker is gone, partitions may be half exchanged: `settle` mends them.

        Args:
            layout: the partitions.
            number: of the round.
            owners: partition -> address of the worker that has it.
            turn: of the driver's request.
            step_timeout: seconds that another worker may take for a message.
        """
        # Each worker computes the plan of all: it is smaller as arithmetic than as a message.
        swaps = await self._in_thread(pickle.loads(layout).swaps, number)  # noqa: S301  our own class
        mine = [one for one in swaps if owners[one.first] == self.worker.address]
        room, gone = asyncio.Semaphore(AT_ONCE), set[str]()

        async def one_of(swap: Swap) -> None:
            address = owners[swap.second]
            async with room:
                if address in gone:  # not to wait for it once more
                    raise OSError(f"worker {address} has failed")
                try:
                    await self._exchange(swap, address, turn, step_timeout)
                except OSError:
                    gone.add(address)
                    raise

        ended = await asyncio.gather(*(one_of(swap) for swap in mine), return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException) and not isinstance(error, OSError):
                raise error
        return not any(ended)  # an exception is true, None is not

    async def _exchange(self, swap: Swap, address: str, turn: int, step_timeout: float) -> None:
        first = self._partition(swap.first)
        step = max(SWAP_BYTES // max(first.images[:1].nbytes, 1), 1)
        for start in range(0, len(swap.first_rows), step):
            rows, others = (both[start : start + step] for both in (swap.first_rows, swap.second_rows))
            if address == self.worker.address:
                await self._changed(turn, exchange, first, rows, self._partition(swap.second), others)
                continue
            images, numbers = await self._changed(turn, first.taken, rows)
            trade = Trade(turn, swap.second, to_serialize(others), to_serialize(images), to_serialize(numbers))
            # If the answer is lost, the other has our rows and we have them still: `settle` sees it by their numbers.
            async with asyncio.timeout(step_timeout):
                came = await call(self.worker.rpc, self.key, address, ImagesPlugin.trade, trade=list(trade))
            await self._changed(turn, first.put, rows, *came)

    async def _changed(self, turn: int, change: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return change(...) of partitions, in a thread.

        Raises:
            OSError: a later turn has begun.
        """

        def work() -> R:
            with self._held.turns.of(turn):
                return change(*args, **kwargs)

        return await asyncio.to_thread(work)

    async def trade(self, *, trade: Sequence[Any]) -> list[Any]:
        """Take images of another worker, and return those that were in their places: images and numbers.

        Raises:
            OSError: the partition is not here, or a later turn has begun.
        """
        turn, partition, rows, images, numbers = Trade(*trade)
        held = self._partition(partition)

        def work() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
            taken = held.taken(rows)
            held.put(rows, images, numbers)
            return taken

        return [to_serialize(part) for part in await self._changed(turn, work)]

    def _partition(self, number: int) -> Partition:
        if (held := self._held.store.get(number)) is None:
            # As of a lost worker: `settle` mends it.
            raise OSError(f"partition {number} is not on worker {self.worker.address}")
        return held
