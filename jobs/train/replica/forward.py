"""Forward pass, loss and metrics of a model as a function of tensors, without changing any of its variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jobs.errors import DataError
from jobs.keras.runtime import import_tensorflow
from jobs.train.replica.model import ReplicaModel

Rows = tuple[Any, Any, Any]
"""x, y and the sample weights or None; each a tensor or a structure of tensors, rows first."""


class Compiled:
    """A compiled function of x, y, the weights if there are any, and other tensors."""

    def __init__(self, tf: Any, function: Callable[..., Any], signature: list[Any], *, weighted: bool) -> None:
        # TensorFlow has no spec for a missing tensor: a function without weights has an argument less.
        taken = function if weighted else lambda x, y, *extra: function(x, y, None, *extra)
        self._weighted = weighted
        self._function = tf.function(taken, input_signature=signature, autograph=False)
        self._function.get_concrete_function()  # traced now, not in the first step, for which others would wait

    def __call__(self, x: Any, y: Any, weight: Any, *extra: Any) -> Any:
        """Call it.

        Raises:
            DataError: there are weights, and there were none when it was compiled, or the other way round.
        """
        if (weight is not None) != self._weighted:
            raise DataError("some rows of the data have sample weights, and some have none: give all of them weights")
        return self._function(x, y, *((weight,) if self._weighted else ()), *extra)

    @property
    def traces(self) -> int:
        """How often it was traced."""
        return int(self._function.experimental_get_tracing_count())


class Backward(NamedTuple):
    """What `Forward.backward` finds.

    Attributes:
        gradients: one per trainable variable.
        statistics: their new values.
        count: the number of rows, () in the vector's type.
        tail: loss times rows, rows, the metrics' variables.
    """

    gradients: list[Any]
    statistics: list[Any]
    count: Any
    tail: list[Any]


class Forward:
    """Computes loss and metrics of rows within a compiled function.

    Args:
        replica: the model.
        seed: of all random layers, such as Dropout.
    """

    def __init__(self, replica: ReplicaModel, seed: int) -> None:
        self._tf, self._keras = import_tensorflow()
        self._replica, self._seed = replica, seed

    def compile(self, function: Callable[..., Any], rows: Rows, *extra: Any) -> Compiled:
        """Return a function of (x, y, weight, *extra), traced once for any number of rows.

        Args:
            function: what is compiled.
            rows: some rows; without weights the function gets None in their place.
            extra: tensor specs of its other arguments.
        """
        specs = [
            self._tf.nest.map_structure(lambda one: self._tf.TensorSpec((None, *one.shape[1:]), one.dtype), part)
            for part in rows
            if part is not None
        ]
        return Compiled(self._tf, function, [*specs, *extra], weighted=rows[2] is not None)

    def count(self, x: Any) -> Any:
        """Return the number of rows, () in the vector's type."""
        return self._tf.cast(self._tf.shape(self._tf.nest.flatten(x)[0])[0], self._replica.dtype)

    def __call__(
        self, rows: Rows, weights: list[Any], position: Any, *, training: bool
    ) -> tuple[Any, list[Any], list[Any]]:
        """Return (mean loss, new statistics, the metrics' variables after these rows alone).

        Args:
            rows: x, y, weights.
            weights: tensors in the place of the trainable variables.
            position: (step, part), (2,) int32, on which random layers depend beside the seed.
            training: as Keras's.
        """
        replica, ops = self._replica, self._keras.ops
        x, y, sample_weight = rows
        mapping = list(zip(replica.trainable, weights, strict=True))
        mapping += [(one, self._random_state(one, number, position)) for number, one in enumerate(replica.seeds)]
        mapping += [(one, ops.zeros(one.shape, one.dtype)) for one in replica.metrics]
        with self._keras.StatelessScope(mapping, collect_losses=True) as scope:
            predicted = replica.model(x, training=training)
            loss = replica.model.compute_loss(x, y, predicted, sample_weight, training=training)
            replica.model.compute_metrics(x, y, predicted, sample_weight=sample_weight)
            statistics = [self._value(scope, one) for one in replica.statistics]
            metrics = [self._value(scope, one) for one in replica.metrics]
        return loss, statistics, metrics

    def backward(self, rows: Rows, position: Any, *, summed: bool) -> Backward:
        """Return loss, gradients, new statistics and metrics of rows, in training mode, at the present weights.

        Args:
            rows: x, y, weights.
            position: (step, part), (2,) int32.
            summed: whether the gradients are those of the loss times rows, not of the mean loss.
        """
        tf, replica = self._tf, self._replica
        values = [tf.convert_to_tensor(one.value) for one in replica.trainable]
        count = self.count(rows[0])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss, statistics, metrics = self(rows, values, position, training=True)
            total = tf.cast(loss, replica.dtype) * count
            scaled = replica.model.optimizer.scale_loss(total if summed else loss)
        gradients = tape.gradient(scaled, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return Backward(gradients, statistics, count, [total, count, *metrics])

    def _value(self, scope: Any, variable: Any) -> Any:
        value = scope.get_current_value(variable)
        return self._tf.convert_to_tensor(variable.value if value is None else value)

    def _random_state(self, variable: Any, number: int, position: Any) -> Any:
        """Return a random generator's state: a hash of seed, generator, step and part, hence of no worker's history."""
        fold = self._tf.random.experimental.stateless_fold_in
        state = fold(fold(self._tf.constant([self._seed, number], self._tf.int32), position[0]), position[1])
        return self._tf.cast(self._tf.reshape(state, variable.shape), variable.dtype)
