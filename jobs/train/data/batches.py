"""The batches of parts as tensors, read ahead of the step in a thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.rows import RowSource
from jobs.errors import DataError, InputError
from jobs.keras.runtime import import_tensorflow
from jobs.train.data.open import Factory
from jobs.train.data.order import Order
from jobs.train.data.rows import ArrayRows, Arrays, BlockCache
from jobs.train.replica.forward import Rows
from jobs.train.replica.model import ReplicaModel
from jobs.usercode import call


class RowBatches:
    """Batches from a source of rows.

    Args:
        source: the data.
        order: which rows they are.
        replica: the model that takes them.
    """

    def __init__(self, source: RowSource, order: Order, replica: ReplicaModel) -> None:
        self._source, self.order, self._replica = source, order, replica
        self._caches: dict[int, BlockCache] = {}
        self.steps, (self.samples, _) = order.steps, order.counts()

    def at(self, step: int, part: int) -> Rows | None:
        """Return the rows of a part of a step; None where a short epoch has none for it."""
        return self.take(part, self.order.at(step, part))

    def extremes(self) -> Rows | None:
        """Return the rows of arrays with the smallest and the largest label; None where the source does not know."""
        return self.take(0, self._source.extremes()) if isinstance(self._source, ArrayRows) else None

    def held(self, part: int) -> Iterator[Rows]:
        """Yield the rows that a part holds out, in batches."""
        indices = self.order.held(part)
        for start in range(0, len(indices), self.order.share):
            if (rows := self.take(part, indices[start : start + self.order.share])) is not None:
                yield rows

    def take(self, part: int, indices: NDArray[np.int64]) -> Rows | None:
        """Return rows by number as tensors."""
        if not len(indices):
            return None
        if part not in self._caches:
            self._caches[part] = BlockCache(self._source, int(self._source.rows), self.order.block_rows)
        return tensors(self._caches[part].take(indices), self._replica, getattr(self._source, "scale", None))


def tensors(arrays: Arrays, replica: ReplicaModel, scale: float | None) -> Rows:
    """Return x, y and the weights as tensors: x scaled, in the model's shape and type, y as it is.

    Raises:
        InputError: x does not fit the model.
        DataError: x holds no numbers.
    """
    tf, _ = import_tensorflow()
    x, y, *weight = parted(arrays)
    wanted = replica.fitting(x.shape[1:])
    dtype = replica.input_dtype
    try:
        x = np.multiply(x, scale, dtype=dtype) if scale is not None else x.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"x of the data is of type {x.dtype}, and cannot be made {dtype}: {error}") from error
    y = y.astype(replica.dtype) if y.dtype.kind == "f" else y
    scaled = weight[0].astype(replica.dtype) if weight else None
    return tf.convert_to_tensor(x.reshape(-1, *wanted)), tf.convert_to_tensor(y), scaled


def parted(rows: Any) -> tuple[Any, ...]:
    """Return rows as they are: x, y and, if there are any, sample weights.

    Raises:
        DataError: they are something else.
    """
    if not isinstance(rows, (tuple, list)):
        raise DataError(f"the data give {type(rows).__name__}, but must give (x, y) or (x, y, sample_weight)")
    if len(rows) not in (2, 3):
        raise DataError(f"the data give {len(rows)} arrays, but must give (x, y) or (x, y, sample_weight)")
    return tuple(rows)


class FactoryBatches:
    """Batches from a factory of the user's.

    Args:
        factory: data(part, parts, epoch, seed).
        parts: logical parts of a step.
        seed: handed to it.

    Raises:
        InputError: it makes no data set of a known length.
        UserCodeError: it raised.
    """

    def __init__(self, factory: Factory, parts: int, seed: int) -> None:
        self._factory, self._parts, self._seed = factory, parts, seed
        self._open: dict[int, tuple[int, int, Iterator[Any]]] = {}
        self._lengths = [self._length(self._make(part, 0)) for part in range(parts)]
        self.steps, self.samples = max(self._lengths), 0
        if not self.steps:
            raise InputError("the data factory made no batches for any part")

    def _make(self, part: int, epoch: int) -> Any:
        return call("the data factory", self._factory, part, self._parts, epoch, self._seed)

    @staticmethod
    def _length(made: Any) -> int:
        try:
            return len(made)
        except TypeError as error:
            raise InputError(
                f"the data factory returned {type(made).__name__} of unknown length: return a tf.data.Dataset that "
                "knows its own (else .apply(tf.data.experimental.assert_cardinality(n))), or a keras.utils.PyDataset"
            ) from error

    def at(self, step: int, part: int) -> Rows | None:
        """Return the batch of a part of a step; None if the part has fewer.

        Raises:
            DataError: the data set ended earlier than it said, or has another length than in the first epoch.
        """
        epoch, offset = divmod(step, self.steps)
        if offset >= self._lengths[part]:
            return None
        opened = self._open.pop(part, None)
        if opened is None or opened[:2] != (epoch, offset):
            made = self._make(part, epoch)
            if (length := self._length(made)) != self._lengths[part]:
                raise DataError(
                    f"the data factory made {length} batches for part {part} of epoch {epoch}, but "
                    f"{self._lengths[part]} of epoch 0: each epoch must have as many"
                )
            opened = (epoch, offset, _skip(made, offset))
        batch = call("the data factory", next, opened[2], None)
        if batch is None:
            raise DataError(
                f"the data factory gave {offset} batches for part {part} of epoch {epoch}, not {self._lengths[part]}"
            )
        self._open[part] = (epoch, offset + 1, opened[2])
        x, y, *weight = parted(batch)
        return x, y, (weight[0] if weight else None)


def _skip(made: Any, count: int) -> Iterator[Any]:
    """Return an iterator of a data set's batches from number `count` on."""
    if hasattr(made, "skip"):  # a tf.data.Dataset
        return iter(made.skip(count))
    return _items(made, range(count, len(made)))


def _items(made: Any, indices: Iterable[int]) -> Iterator[Any]:
    for index in indices:
        yield made[index]


class Ahead:
    """Reads the batches of the next step in a thread while this one computes."""

    def __init__(self, batches: RowBatches | FactoryBatches) -> None:
        self.batches = batches
        # One thread: a factory's data sets are iterated in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="train-data")
        self._next: dict[tuple[int, int], Future[Rows | None]] = {}

    def get(self, step: int, part: int) -> Rows | None:
        """Return a part's rows of a step, waiting for them if need be."""
        key = (step, part)
        future = self._next.pop(key) if key in self._next else self._thread.submit(self.batches.at, *key)
        return future.result()

    def prepare(self, wanted: Iterable[tuple[int, int]]) -> None:
        """Begin to read (step, part) pairs; what was prepared and not taken is dropped."""
        before, self._next = self._next, {}
        for key in wanted:
            self._next[key] = before.pop(key) if key in before else self._thread.submit(self.batches.at, *key)
        for future in before.values():
            future.cancel()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
