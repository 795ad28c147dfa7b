"""Serialization of a user's create_model and loss, and their checked form in the process that computes."""

from __future__ import annotations

import copyreg
import io
import logging
import re
from collections.abc import Callable
from typing import Any

import cloudpickle

from jobs import usercode
from jobs.errors import InputError, nearest
from jobs.keras.runtime import import_tensorflow

log = logging.getLogger(__name__)

CreateModel = Callable[[], Any] | str
"""A function without arguments that returns a built keras.Model, or where to import it from, as `module:function`."""
LossFunction = Callable[[Any, Any], Any]
"""(y_true, y_pred) -> losses, before any reduction over rows."""


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is untyped
    """Pickles all attributes of Keras losses: by their own way, `get_config()`, Huber(delta=2) would become Huber()."""

    def reducer_override(self, obj: Any) -> Any:
        from keras.losses import Loss

        if isinstance(obj, Loss):
            return copyreg.__newobj__, (type(obj),), vars(obj)  # type: ignore[attr-defined]  # not in typeshed
        return super().reducer_override(obj)


def packed(create_model: CreateModel, loss: Any) -> bytes:
    """Return both as bytes: unpickling may import TensorFlow, which must not happen on an event loop.

    Raises:
        InputError: one of them has the wrong type, is unknown, or cannot be pickled.
    """
    _, keras = import_tensorflow()
    if isinstance(create_model, keras.Model):
        raise InputError(
            "create_model is a Keras model, but must be the function that makes it (def create_model(): ... "
            "return model), since each worker builds its own"
        )
    if isinstance(create_model, str):
        _imported(create_model)
    elif not callable(create_model):
        raise InputError(f"create_model is {create_model!r}, but must be a function or 'module:function'")
    _loss_function(loss)
    buffer = io.BytesIO()
    rest = ": define them at the top of a module, and open files inside the function"
    with usercode.refused("create_model or loss cannot be sent to workers", rest):
        _Pickler(buffer).dump((create_model, loss))
    return buffer.getvalue()


def unpacked(code: bytes) -> tuple[Callable[[], Any], LossFunction]:
    """Return create_model, and the loss as a function.

    Raises:
        InputError: what the code refers to cannot be imported in this process.
    """
    import_tensorflow()
    rest = "; their module must be on the Python path of the driver and of every worker"
    with usercode.refused("create_model or loss cannot be imported here", rest):
        create_model, loss = cloudpickle.loads(code)
    if isinstance(create_model, str):
        create_model = _imported(create_model)
    return create_model, _loss_function(loss)


def row_losses(function: LossFunction, dtype: str) -> Any:
    """Return a Keras loss that casts to `dtype`, applies `function` and returns one loss per row (0 where masked).

    As in Keras's compile(), labels of shape (rows,) become (rows, 1) for an output of that shape.
    """
    _, keras = import_tensorflow()

    class RowLosses(keras.losses.Loss):  # type: ignore[misc, name-defined]  # keras is imported late
        def call(self, y_true: Any, y_pred: Any) -> Any:
            if len(y_true.shape) == 1 and len(y_pred.shape) == 2 and y_pred.shape[-1] == 1:
                y_true = keras.ops.expand_dims(y_true, -1)
            return function(y_true, y_pred)

    return RowLosses(reduction=None, dtype=dtype)


def is_sparse(function: LossFunction) -> bool:
    """Return whether a loss takes class numbers as labels."""
    _, keras = import_tensorflow()
    owner = getattr(function, "__self__", None)
    return function is keras.losses.sparse_categorical_crossentropy or isinstance(
        owner, keras.losses.SparseCategoricalCrossentropy
    )


def _imported(spec: str) -> Callable[[], Any]:
    """Return the function named by `module:function`."""
    if not all(spec.partition(":")):
        raise InputError(f"create_model is {spec!r}, but must be a function or 'module:function'")
    function = usercode.load("create_model", spec, "my_network:create_model")
    if not callable(function):
        raise InputError(f"create_model {spec!r} is {type(function).__name__}, but must be a function")
    return function  # type: ignore[no-any-return]  # whatever the user's module holds


def _loss_function(loss: Any) -> LossFunction:
    """Return a loss as a function that does not reduce over rows, with any `reduction` of the user's instance.

    Raises:
        InputError: no Keras loss has this name, or it is not a loss.
    """
    _, keras = import_tensorflow()
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError as error:
            raise InputError(
                f"loss is {loss!r}, but Keras has no such loss{nearest(loss, dir(keras.losses))}"
            ) from error
    if isinstance(loss, keras.losses.Loss):
        return loss.call  # type: ignore[no-any-return]  # keras is untyped
    if isinstance(loss, type) or not callable(loss):
        raise InputError(
            f"loss is {loss!r}, but must be the name of a Keras loss, an instance such as "
            "keras.losses.MeanSquaredError(), or a function (y_true, y_pred) -> one loss a row"
        )
    return loss  # type: ignore[no-any-return]  # checked to be callable


def first_line(error: BaseException) -> str:
    """Return the most informative line of an exception's text, without TensorFlow's node and Keras's colours."""
    lines = [re.sub(r"\x1b\[\d+m", "", line) for line in str(error).splitlines() if line.strip()]
    cause = lines[1:] if "Exception encountered when calling" in str(error) else lines
    return re.sub(r"^\{\{.*?\}\} *", "", next(iter(cause), "")).partition(" for '{{node")[0]
