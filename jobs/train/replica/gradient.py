"""Gradient averaging on one replica: a part's gradient, and the optimizer's step by the sum over all parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from jobs.keras.build import isolated
from jobs.keras.runtime import import_tensorflow
from jobs.train.replica.forward import Forward, Rows
from jobs.train.replica.layout import Layout, Vector
from jobs.train.replica.model import ReplicaModel

JIT_PARAMETERS = 1_000_000
"""From so many parameters on the optimizer's step is compiled by XLA: it then takes a third of the time; below, the
call's own cost decides. One rule for all workers, since the bits of the two differ."""


class GradientStep:
    """The two compiled functions of a step, each traced once.

    Args:
        replica: the model, which knows the data's shapes.
        rows: some rows, for their types and shapes.
        seed: of random layers.

    Attributes:
        layout: of a part's vector: gradients, statistics, tail.
    """

    def __init__(self, replica: ReplicaModel, rows: Rows, seed: int) -> None:
        self._tf, _ = import_tensorflow()
        self._replica, self._forward = replica, Forward(replica, seed)
        self.layout = Layout.of([*replica.trainable, *replica.statistics], replica.trainable, replica)
        isolated(replica.floatx, lambda: self._compile(rows))

    def _compile(self, rows: Rows) -> None:
        tf = self._tf
        self._part = self._forward.compile(self._gradient, rows, tf.TensorSpec((2,), tf.int32))
        parameters = self.layout.rounded
        self._apply = tf.function(
            self._step,
            input_signature=[tf.TensorSpec((self.layout.size,), self.layout.dtype)],
            autograph=False,
            jit_compile=parameters >= JIT_PARAMETERS,
        )
        self._apply.get_concrete_function()

    def _gradient(self, x: Any, y: Any, weight: Any, position: Any) -> Any:
        tf = self._tf
        found = self._forward.backward((x, y, weight), position, summed=True)
        gradients = [tf.convert_to_tensor(one) for one in found.gradients]  # IndexedSlices of embeddings
        weighted = [tf.cast(one, self._replica.dtype) * found.count for one in found.statistics]
        return self.layout.pack([*gradients, *weighted], found.tail)

    def _step(self, vector: Any) -> None:
        means = self.layout.means(vector)
        count = len(self._replica.trainable)
        self._replica.model.optimizer.apply_gradients(zip(means[:count], self._replica.trainable, strict=True))
        for variable, value in zip(self._replica.statistics, means[count:], strict=True):
            variable.assign(self._tf.cast(value, variable.dtype))

    def part(self, batches: list[Rows], step: int, part: int) -> Vector:
        """Return a part's vector, (layout.size,); it may be changed in place.

        Args:
            batches: its rows, one batch of any number of rows.
            step: the step's number.
            part: the part's.
        """
        (x, y, weight), *_ = batches
        tensor = self._part(x, y, weight, self._tf.constant([step, part], self._tf.int32))
        return np.array(memoryview(tensor))  # a copy: TensorFlow may share the memory of a tensor's buffer

    def cancel(self) -> None:
        """Nothing changes before `apply`."""

    def apply(self, vector: Vector, steps: int = 1) -> None:  # noqa: ARG002  one step is one optimizer's step
        """Take the step by the sum over all parts, (layout.size,)."""
        self._apply(self._tf.convert_to_tensor(vector))

    @property
    def traces(self) -> int:
        """How often a function was traced; 2 from the first step on."""
        return self._part.traces + int(self._apply.experimental_get_tracing_count())
