"""Parameter averaging on one replica: several steps on a part's own rows, and the mean over all parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from jobs.keras.build import isolated
from jobs.keras.runtime import import_tensorflow
from jobs.train.replica.forward import Forward, Rows
from jobs.train.replica.layout import METRICS, ROWS, Layout, Vector
from jobs.train.replica.model import ReplicaModel

Slots = Literal["mean", "reset"]
"""The optimizer's slots at the start of a round: their mean over the parts of the last, or those of the run's start."""


class LocalRound:
    """A round of parameter averaging: each part trains from the common weights, then all are averaged.

    Args:
        replica: the model, which knows the data's shapes.
        rows: some rows, for their types and shapes.
        seed: of random layers.
        slots: what becomes of the optimizer's slots.

    Attributes:
        layout: of a part's vector: weights, statistics, slots if they are averaged, tail.
    """

    def __init__(self, replica: ReplicaModel, rows: Rows, seed: int, slots: Slots) -> None:
        self._tf, _ = import_tensorflow()
        self._replica, self._forward = replica, Forward(replica, seed)
        self._averaged = [*replica.trainable, *replica.statistics]
        # Not integers, such as the count of iterations: they grow alike in all parts. Nor the learning rate, which the
        # mean of equal numbers is not, bit for bit.
        rate = replica.model.optimizer.learning_rate
        slots_of = [one for one in replica.slots if "int" not in str(one.dtype) and one is not rate]
        self._averaged += slots_of if slots == "mean" else []
        self._start: list[Any] = []
        self.layout = Layout.of(self._averaged, (), replica)
        isolated(replica.floatx, lambda: self._compile(rows))

    def _compile(self, rows: Rows) -> None:
        tf = self._tf
        self._train = self._forward.compile(self._step, rows, tf.TensorSpec((2,), tf.int32))

    def _step(self, x: Any, y: Any, weight: Any, position: Any) -> Any:
        """Take one step of the part's own, and return its tail."""
        tf, replica = self._tf, self._replica
        found = self._forward.backward((x, y, weight), position, summed=False)
        replica.model.optimizer.apply_gradients(zip(found.gradients, replica.trainable, strict=True))
        for variable, value in zip(replica.statistics, found.statistics, strict=True):
            variable.assign(tf.cast(value, variable.dtype))
        return self.layout.pack((), found.tail)

    def part(self, batches: Iterable[Rows], step: int, part: int) -> Vector:
        """Return a part's vector after training on its batches in order, from the round's common state.

        Args:
            batches: one per local step; batches without rows are left out.
            step: number of the round's first step.
            part: the part's number.
        """
        self._restore()
        tail = np.zeros(METRICS + self.layout.metrics)
        for offset, (x, y, weight) in enumerate(batches):
            position = self._tf.constant([step + offset, part], self._tf.int32)
            tail += self._train(x, y, weight, position).numpy()
        vector = np.concatenate([*(one.value.numpy().ravel() for one in self._averaged), tail], dtype=self.layout.dtype)
        vector[: -len(tail)] *= tail[ROWS]
        return vector

    def _restore(self) -> None:
        """Set all variables to the round's start, which is noted before its first part."""
        variables = list(self._replica.state_variables.values())
        if not self._start:
            self._start = [one.value.numpy().copy() for one in variables]
        for variable, value in zip(variables, self._start, strict=True):
            variable.assign(value)

    def cancel(self) -> None:
        """Return to the round's start: the round was not completed."""
        if self._start:
            self._restore()
            self._start = []

    def apply(self, vector: Vector, steps: int) -> None:
        """End a round of some steps by the sum over all parts, (layout.size,)."""
        self.cancel()  # what is not averaged is as it was, whichever part was computed here last
        self._replica.model.optimizer.iterations.assign_add(steps)
        rows = vector[self.layout.tail_at + ROWS]
        at = 0
        for variable, size in zip(self._averaged, self.layout.sizes, strict=False):
            value = (vector[at : at + size] / rows).reshape(variable.shape)
            variable.assign(value.astype(str(variable.dtype)))
            at += size

    @property
    def traces(self) -> int:
        """How often a function was traced; 1 from the first step on."""
        return self._train.traces
