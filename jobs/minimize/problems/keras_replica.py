"""One Keras model in one process, compiled as functions of a flat vector of weights."""

from __future__ import annotations

import hashlib
import traceback
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError
from jobs.keras.build import build, building, fitting, frozen_digest, isolated
from jobs.keras.flat import trainable
from jobs.keras.runtime import import_tensorflow
from jobs.keras.serialization import first_line, is_sparse, row_losses, unpacked
from jobs.minimize.problems.model import Replicas, Spec
from jobs.usercode import is_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable


CHECKED_ROWS = 1009
"""A prime batch length, unlikely as another dimension of a model, by which a tensor's batch dimension is recognized."""

_replicas: Replicas[Replica] = Replicas(building)


def replica_of(spec: Spec, frozen: str | None = None) -> Replica:
    """Return this process's replica, built by the first caller while others wait.

    Args:
        spec: what it is built from.
        frozen: the digest that the weights outside theta must have, if known.

    Raises:
        InputError, UserCodeError: as `Replica`.
    """
    return _replicas.built(spec, lambda: isolated(spec.dtype, lambda: Replica(spec, frozen)))


class Replica:
    """A model, and its compiled functions. It does not change after it is built, so threads share it.

    Weights come in as a flat vector theta, (n,) float64: the model's trainable variables in their order, each raveled.
    The others keep their initial values. Layers run with training=False (no dropout, BatchNorm by its moving
    statistics), since the loss must be a function of theta alone.

    Attributes:
        model: as create_model made it.
        flat: the trainable variables as theta.
        x_row: shape of one row as the model takes it.
        frozen: digest of the weights outside theta.
        value_and_grad: (theta, x, y) -> (() float64, (n,) float64), compiled; x (rows, *x_row), y (rows, *y_row).

    Raises:
        UserCodeError: create_model raised, or makes other frozen weights than `frozen`.
        InputError: model, loss and data do not fit.
    """

    def __init__(self, spec: Spec, frozen: str | None) -> None:
        self._tf, self._keras = import_tensorflow()
        self._spec = spec
        create_model, loss = unpacked(spec.code)
        self.model = build(create_model, frozen)
        self.frozen = frozen_digest(self.model)
        self.flat = trainable(self.model)
        inputs = getattr(self.model, "inputs", None)
        self.x_row = fitting(spec.x_row, tuple(inputs[0].shape[1:])) if inputs else spec.x_row
        self._row_losses = row_losses(loss, spec.dtype)
        self._check_losses(loss)
        self.value_and_grad = self._compiled(self._value_and_grad, vectors=1)
        self._hessp: Any = None

    @property
    def hessp(self) -> Any:
        """(theta, v, x, y) -> (n,) float64, compiled at first use.

        The gradient of v . gradient(theta), by reverse mode twice. Forward over reverse mode (Pearlmutter, Neural
        Computation 6, 1994) is slower in TensorFlow, and has no loops, hence no recurrent layers.

        Raises:
            InputError: the model holds an operation without a second derivative.
        """
        if self._hessp is None:
            with building:
                if self._hessp is None:
                    self._hessp = isolated(self._spec.dtype, self._compiled_hessp)
        return self._hessp

    def outputs(self, theta: Any, x: Any) -> Any:
        """Return the model's output for rows x (rows, *x_row), with the weights theta (n,)."""
        with self._keras.StatelessScope(self.flat.pairs(theta, self._spec.dtype)):
            return self.model(x, training=False)

    def _losses(self, theta: Any, x: Any, y: Any) -> tuple[Any, list[Any], Any]:
        """Return (losses per row, the model's own losses, its output)."""
        weights = self.flat.pairs(theta, self._spec.dtype)
        with self._keras.StatelessScope(weights, collect_losses=True):
            output = self.model(x, training=False)
            if not self._tf.is_tensor(output):
                raise InputError(
                    f"the model {self.model.name!r} has several outputs, but the data have one y: give it one"
                )
            return self._row_losses(y, output), self.model.losses, output

    def _value(self, theta: Any, x: Any, y: Any) -> Any:
        """Return the loss summed over the rows, with the rows' fraction of the weight regularizers; () float64."""
        tf = self._tf
        losses, penalties, _ = self._losses(theta, x, y)
        value = tf.reduce_sum(tf.cast(losses, tf.float64))
        if penalties:
            share = tf.cast(tf.shape(x)[0], tf.float64) / self._spec.rows
            value += share * tf.add_n([tf.cast(penalty, tf.float64) for penalty in penalties])
        return value

    def _value_and_grad(self, theta: Any, x: Any, y: Any) -> tuple[Any, Any]:
        with self._tf.GradientTape() as tape:
            tape.watch(theta)
            value = self._value(theta, x, y)
        return value, tape.gradient(value, theta, unconnected_gradients=self._tf.UnconnectedGradients.ZERO)

    def _hessian_product(self, theta: Any, v: Any, x: Any, y: Any) -> Any:
        with self._tf.GradientTape() as tape:
            tape.watch(theta)
            _, gradient = self._value_and_grad(theta, x, y)
        zero = self._tf.UnconnectedGradients.ZERO
        return tape.gradient(gradient, theta, output_gradients=v, unconnected_gradients=zero)

    def _compiled_hessp(self) -> Any:
        try:
            return self._compiled(self._hessian_product, vectors=2)
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise InputError(
                f"the model {self.model.name!r} has no Hessian products ({type(error).__name__}: {first_line(error)}): "
                "choose a method that needs the gradient only, such as L-BFGS-B",
                traceback.format_exc(),
            ) from error

    def _compiled(self, function: Callable[..., Any], vectors: int, rows: int | None = None) -> Any:
        """Return a function of `vectors` vectors (n,), x and y, traced once for any number of rows, or for `rows`."""
        tf, spec = self._tf, self._spec
        data = [tf.TensorSpec([rows, *self.x_row], spec.dtype), tf.TensorSpec([rows, *spec.y_row], spec.y_dtype)]
        signature = [tf.TensorSpec([self.flat.n], tf.float64)] * vectors + data
        return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()

    def _check_losses(self, loss: Any) -> None:
        """Check by tracing that the loss gives one number per row, and that model.losses are of weights only."""
        shapes: dict[str, Any] = {}

        def look(theta: Any, x: Any, y: Any) -> None:
            losses, penalties, output = self._losses(theta, x, y)
            shapes.update(losses=losses.shape, penalties=len(penalties), output=output.shape)

        try:
            self._compiled(look, vectors=1, rows=CHECKED_ROWS)
        except BaseException as error:
            if isinstance(error, InputError) or is_interrupt(error):
                raise
            raise InputError(
                f"model, loss and data do not fit: {first_line(error)} (tried with {CHECKED_ROWS} rows; one row of x "
                f"has shape {self.x_row}, one of y {self._spec.y_row})",
                traceback.format_exc(),
            ) from error
        self._check_shapes(loss, shapes["losses"], shapes["penalties"], shapes["output"])

    def _check_shapes(self, loss: Any, losses: Any, penalties: int, output: Any) -> None:
        if losses.rank is not None and (list(losses).count(CHECKED_ROWS) != 1 or losses[0] != CHECKED_ROWS):
            raise InputError(
                f"loss gives shape {tuple(losses)} for {CHECKED_ROWS} rows, but must give one number a row, "
                "not their mean or sum"
            )
        if penalties > sum(variable.regularizer is not None for variable in self.model.trainable_variables):
            raise InputError(
                f"the model {self.model.name!r} has losses of activations (add_loss or activity_regularizer): "
                "they are no sum over rows, so put them into the loss"
            )
        classes = self._spec.classes
        if is_sparse(loss) and classes is not None and output[-1] is not None and output[-1] < classes:
            raise InputError(
                f"the model's output has {output[-1]} entries a row, but the labels are of {classes} classes: "
                f"its last layer needs {classes} units"
            )

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Keras's path and the shape of each trainable variable, in theta's order."""
        return self.flat.shapes

    def vector(self) -> NDArray[np.float64]:
        """Return the initial weights in theta, (n,) float64."""
        return self.flat.vector()

    def fingerprint(self) -> str:
        """Return a digest of what the loss depends on beside theta and data: operations, constants, frozen weights."""
        return hashlib.blake2b(_graph_digest(self.value_and_grad) + self.frozen.encode(), digest_size=16).hexdigest()


def _graph_digest(function: Any) -> bytes:
    """Return a digest of a concrete function's operations, constants and captured tensors, without names.

    Names of functions within functions hold counters that differ from process to process.
    """
    graph = function.graph.as_graph_def()
    digests = [_nodes_digest(graph.node), *sorted(_nodes_digest(inner.node_def) for inner in graph.library.function)]
    digests += [tensor.numpy().tobytes() for tensor in function.captured_inputs if tensor.dtype.is_numpy_compatible]
    return hashlib.blake2b(b"".join(digests)).digest()


def _nodes_digest(nodes: Any) -> bytes:
    numbers = {node.name: number for number, node in enumerate(nodes)}
    digest = hashlib.blake2b()
    for node in nodes:
        inputs = [(numbers.get(name.partition(":")[0]), name.partition(":")[2]) for name in node.input]
        digest.update(f"{node.op} {inputs}".encode())
        for key, value in sorted(node.attr.items()):
            if not (key.startswith("_") or value.HasField("func") or value.list.func):
                digest.update(key.encode() + value.SerializeToString(deterministic=True))
    return digest.digest()
