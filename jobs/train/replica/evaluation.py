"""Loss and metrics of held-out rows on one replica."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.keras.build import isolated
from jobs.keras.runtime import import_tensorflow
from jobs.train.replica.forward import Forward, Rows
from jobs.train.replica.model import ReplicaModel


class Evaluation:
    """One compiled function.

    Args:
        replica: the model, which knows the data's shapes.
        rows: some rows, for their types and shapes.
        seed: of random layers, which do nothing here.
    """

    def __init__(self, replica: ReplicaModel, rows: Rows, seed: int) -> None:
        self._tf, _ = import_tensorflow()
        self._replica, self._forward = replica, Forward(replica, seed)
        self._size = 2 + sum(int(np.prod(one.shape)) for one in replica.metrics)
        self._test = isolated(replica.floatx, lambda: self._forward.compile(self._tail, rows))

    def _tail(self, x: Any, y: Any, weight: Any) -> Any:
        tf, replica = self._tf, self._replica
        values = [tf.convert_to_tensor(one.value) for one in replica.trainable]
        position = tf.zeros((2,), tf.int32)
        loss, _, metrics = self._forward((x, y, weight), values, position, training=False)
        count = self._forward.count(x)
        scalars = [tf.cast(loss, replica.dtype) * count, count, *metrics]
        return tf.concat([tf.reshape(tf.cast(one, tf.float64), [-1]) for one in scalars], 0)

    @property
    def traces(self) -> int:
        """How often the function was traced."""
        return self._test.traces

    def sums(self, batches: Iterable[Rows]) -> NDArray[np.float64]:
        """Return the sums over batches: loss times rows, rows, metrics; (2 + metrics,) float64."""
        total = np.zeros(self._size)
        for x, y, weight in batches:
            total += self._test(x, y, weight).numpy()
        return total
