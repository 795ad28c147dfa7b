"""Single steps of a caller's own loop in one process: the vector of given rows, the optimizer's step by given means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.keras.build import isolated
from jobs.keras.runtime import import_tensorflow
from jobs.train.data.batches import tensors
from jobs.train.data.rows import Arrays
from jobs.train.exchange.wire import Vector
from jobs.train.replica.forward import Rows
from jobs.train.replica.gradient import GradientStep
from jobs.train.replica.layout import ROWS
from jobs.train.replica.model import ReplicaModel
from jobs.train.replica.names import check_arrays


class SingleSteps:
    """Gradients and steps of one replica, without a plan.

    Args:
        replica: the model.
    """

    def __init__(self, replica: ReplicaModel) -> None:
        self._replica = replica
        self._functions: dict[tuple[Any, ...], GradientStep] = {}

    def gradients(self, arrays: Arrays, step: int, part: int) -> Vector:
        """Return the vector of rows that a caller gives; the step is a number of the caller's."""
        rows = tensors(arrays, self._replica, None)
        return self._compiled(rows).part([rows], step, part)

    def _compiled(self, rows: Rows) -> GradientStep:
        """Return the functions of single steps, compiled for rows of such shapes and types, with or without weights."""
        kind = tuple(None if one is None else (one.dtype, tuple(one.shape[1:])) for one in rows)
        if kind not in self._functions:
            self._replica.fit_to(*rows)
            self._functions[kind] = GradientStep(self._replica, rows, seed=0)
        return self._functions[kind]

    def places(self) -> list[tuple[str, list[int]]]:
        """Return (name, shape) of each trainable variable; last, the place of the rows in a vector of `gradients`."""
        layout = next(iter(self._functions.values())).layout
        named = zip(self._replica.variables, self._replica.trainable, strict=False)  # trainable ones come first
        return [
            *((name, list(one.shape)) for name, one in named),
            ("", [layout.tail_at + ROWS]),
        ]

    def apply(self, gradients: Mapping[str, Any]) -> None:
        """Take the optimizer's step by mean gradients, by name.

        Raises:
            InputError: names or shapes do not fit.
        """
        replica = self._replica
        names = list(replica.variables)[: len(replica.trainable)]
        shapes = {name: tuple(replica.variables[name].shape) for name in names}
        arrays = check_arrays("gradients", gradients, shapes)
        tf, _ = import_tensorflow()
        pairs = [(tf.convert_to_tensor(arrays[name], replica.dtype), replica.variables[name]) for name in names]
        isolated(replica.floatx, lambda: replica.model.optimizer.apply_gradients(pairs))
