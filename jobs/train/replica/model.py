"""A user's compiled Keras model as one process holds it: built, checked, its variables by name."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError, JobError
from jobs.keras import flat
from jobs.keras.build import check_inputs, check_trainable, fitting, isolated, make, unbuilt
from jobs.keras.runtime import import_tensorflow
from jobs.keras.serialization import first_line
from jobs.train.replica.names import check_arrays, names
from jobs.train.replica.pieces import Shape
from jobs.usercode import UserCode, is_interrupt, raise_ours

Array = NDArray[Any]


def finalize(model: Any) -> None:
    """Give a model the weights with which Keras's `fit` ends: where the optimizer keeps moving averages, these."""
    model.optimizer.finalize_variable_values(model.trainable_variables)


class ReplicaModel:
    """A compiled model and its variables, in groups: trainable, statistics, frozen, seeds, optimizer slots, metrics.

    Args:
        create_model: the user's, returns a compiled keras.Model.
        seed: of the initial weights.
        threads: intra-op threads of the process.

    Attributes:
        model: the Keras model.
        dtype: the type of its trainable variables, in which gradients are added.
        built: whether its shapes are known, see `fit_to`.

    Raises:
        InputError: create_model returns something that cannot be trained.
        UserCodeError: it raised.
    """

    def __init__(self, create_model: UserCode, seed: int, threads: int) -> None:
        self._tf, self._keras = import_tensorflow(threads)
        self._create_model, self._seed = create_model, seed
        self.floatx = self.dtype = "float32"
        self.built = False
        self._x_row: tuple[int, ...] | None = None
        self.model: Any = self._make()
        self._check_compiled()
        if self.model.built:
            self._look()

    def _make(self) -> Any:
        create_model = self._create_model.load()
        return isolated(self.floatx, lambda: make(create_model, self._seed, self._x_row))

    def _check_compiled(self) -> None:
        if getattr(self.model, "optimizer", None) is None or not self.model.compiled:
            raise InputError(
                f"create_model returned the model {self.model.name!r} without an optimizer: "
                "end it with model.compile(optimizer=..., loss=..., metrics=[...])"
            )
        if type(self.model).train_step is not self._keras.Model.train_step:
            raise InputError(
                f"the model {self.model.name!r} has a train_step of its own, which would not be called: give it "
                "compute_loss instead, or write the loop with jobs.train.Replicas"
            )
        for loss in self._keras.tree.flatten(getattr(self.model, "loss", None)):
            if getattr(loss, "reduction", "mean") in ("sum", "none", None):
                raise InputError(
                    f"the loss {loss.name} has reduction {loss.reduction!r}, but must be a mean over rows, Keras's "
                    "default: parts of a batch are weighted by their rows"
                )

    def fit_to(self, x: Any, y: Any, weight: Any = None) -> None:
        """Build what depends on the data's shapes: an unbuilt model, the loss and the metrics.

        Args:
            x: some rows of the features, in the structure that the model takes.
            y: their labels.
            weight: their sample weights, if there are any.

        Raises:
            InputError: model, loss and data do not fit.
        """
        if not self.model.built:
            self._x_row = tuple(x.shape[1:])
            self.model = self._make()
            self._look()
        isolated(self.floatx, lambda: self._try(x, y, weight))

    def _try(self, x: Any, y: Any, weight: Any) -> None:
        """Compute loss and metrics once, which creates their variables."""
        try:
            # Not training=True, which would count these rows in BatchNormalization's statistics.
            predicted = self.model(x, training=False)
            self.model.compute_loss(x, y, predicted, weight, training=False)
            self.model.compute_metrics(x, y, predicted, sample_weight=weight)
            self.statistics = self._updated(x)
        except BaseException as error:
            if isinstance(error, JobError) or is_interrupt(error):
                raise_ours(error)
            shapes = self._tf.nest.map_structure(lambda part: (tuple(part.shape[1:]), part.dtype.name), (x, y))
            raise InputError(
                f"model, loss and data do not fit: {first_line(error)} (one row of x and of y: {shapes})",
                traceback.format_exc(),
            ) from error
        self.model.reset_metrics()
        self._check_metrics()

    def _updated(self, x: Any) -> list[Any]:
        """Return the variables that a forward pass in training mode sets: not the weights of frozen layers."""
        with self._keras.StatelessScope() as scope:
            self.model(x, training=True)
        return [one for one in self._not_trainable if scope.get_current_value(one) is not None]

    def _check_metrics(self) -> None:
        for metric in self.model.metrics:
            if any(np.any(variable.value.numpy()) for variable in metric.variables):
                raise InputError(
                    f"the metric {metric.name!r} does not begin at 0, so its state cannot be added up over parts"
                )
        for name, value in self.model.get_metrics_result().items():
            if np.size(value) != 1:
                raise InputError(
                    f"the metric {name!r} has {np.size(value)} values, but must have one, such as their mean"
                )

    def _look(self) -> None:
        """Note the variables of the model, which is built now, and build the optimizer's."""
        model = self.model
        check_trainable(model, "train")
        self.trainable = flat.trainable(model).variables
        dtypes = sorted({str(variable.dtype) for variable in self.trainable})
        if len(dtypes) != 1 or dtypes[0] not in ("float32", "float64"):
            raise InputError(f"the model's variables are {', '.join(dtypes)}, but must be all float32 or all float64")
        self.dtype = dtypes[0]
        self.floatx = self.dtype
        self._not_trainable = self.statistics = flat.non_trainable(model).variables
        self.seeds = flat.seeds(model)
        isolated(self.floatx, lambda: model.optimizer.build(self.trainable))
        self.slots = flat.slots(model.optimizer)
        self.variables = dict(
            zip(names((v.path for v in [*self.trainable, *self._not_trainable]), model.name),
                [*self.trainable, *self._not_trainable], strict=True)
        )  # fmt: skip
        slots = names((v.path for v in self.slots), model.name)
        self.state_variables = {
            **self.variables,
            **{f"optimizer/{name}": variable for name, variable in zip(slots, self.slots, strict=True)},
        }
        self.built = True

    @property
    def scales_loss(self) -> bool:
        """Whether the optimizer scales the loss, and leaves out steps whose gradients are not finite itself."""
        return isinstance(self.model.optimizer, self._keras.optimizers.LossScaleOptimizer)

    @property
    def metrics(self) -> list[Any]:
        """The variables of all metrics, which start at 0."""
        return [variable for metric in self.model.metrics for variable in metric.variables]

    def mean_metrics(self) -> dict[str, int]:
        """Return name -> where among the numbers of `metrics` a total lies and after it its count."""
        ends = np.cumsum([int(np.prod(one.shape)) for one in self.metrics])
        places = {id(one): int(end) - 1 for one, end in zip(self.metrics, ends, strict=True)}
        known = self.model.get_metrics_result().keys() - {"loss"}
        leaves = [leaf for metric in self.model.metrics for leaf in getattr(metric, "metrics", [metric])]
        means = [leaf for leaf in leaves if isinstance(leaf, self._keras.metrics.Mean) and leaf.name in known]
        return {leaf.name: places[id(leaf.variables[0])] for leaf in means}

    def fitting(self, x_row: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that rows of the data take to enter the model: (8, 8) enters (8, 8, 1).

        Raises:
            InputError: they hold another number of values, or the model has several inputs.
        """
        check_inputs(self.model)
        inputs = getattr(self.model, "inputs", None)
        return fitting(x_row, tuple(inputs[0].shape[1:])) if inputs else x_row

    @property
    def input_dtype(self) -> str:
        """The type in which rows enter the model."""
        inputs = getattr(self.model, "inputs", None)
        return str(inputs[0].dtype) if inputs else self.floatx

    def structure(self) -> str:
        """Return a digest of names, shapes and types of all that replicas share."""
        described = [(name, tuple(v.shape), str(v.dtype)) for name, v in self.state_variables.items()]
        return hashlib.blake2b(repr(described).encode(), digest_size=16).hexdigest()

    def digest(self) -> str:
        """Return a digest of the whole state: weights, statistics, optimizer slots."""
        digest = hashlib.blake2b(digest_size=16)
        for array in self.state():
            digest.update(np.asarray(array, order="C").reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def state(self) -> list[Array]:
        """Return the values of all variables that replicas share, in one fixed order; read-only, without a copy.

        They stay as they are: TensorFlow writes into a variable's memory only while nothing else refers to it.

        Raises:
            InputError: the model is not built.
        """
        self._check_built()
        return [self._value(variable) for variable in self.state_variables.values()]

    def value(self, number: int) -> Array:
        """Return one array of `state`."""
        return self._value(list(self.state_variables.values())[number])

    def _value(self, variable: Any) -> Array:
        return np.asarray(self._tf.convert_to_tensor(variable.value))

    def layout(self) -> list[Shape]:
        """Return the shapes of `state`, whose values stay on their device."""
        self._check_built()
        return [Shape(tuple(one.shape), str(one.dtype)) for one in self.state_variables.values()]

    def set_rows(self, number: int, start: int, rows: Array) -> None:
        """Set rows from `start` on of the variable with a number in `state`, in place; of a scalar, the scalar."""
        variable = list(self.state_variables.values())[number]
        if rows.shape == tuple(variable.shape):
            variable.assign(rows)
            return
        self._tf.raw_ops.ResourceStridedSliceAssign(
            ref=variable.value.handle,
            begin=[start],
            end=[start + len(rows)],
            strides=[1],
            value=self._tf.constant(rows),
        )

    def weights(self) -> dict[str, Array]:
        """Return name -> value of weights and statistics."""
        self._check_built()
        return {name: variable.value.numpy().copy() for name, variable in self.variables.items()}

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Set weights and statistics by name; all of them.

        Raises:
            InputError: names or shapes do not fit.
        """
        self._check_built()
        shapes = {name: tuple(variable.shape) for name, variable in self.variables.items()}
        for name, array in check_arrays("weights", weights, shapes).items():
            self.variables[name].assign(array)

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Let the model have the weights with which Keras's `fit` would end here, see `finalize`, and then go on."""
        before = [one.value.numpy().copy() for one in self.trainable]
        finalize(self.model)
        try:
            yield
        finally:
            for variable, value in zip(self.trainable, before, strict=True):
                variable.assign(value)

    def _check_built(self) -> None:
        if not self.built:
            raise InputError(unbuilt(self.model))
