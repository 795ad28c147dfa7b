"""A model from its factory: the same weights in every process, without changing the caller's Keras or random state."""

from __future__ import annotations

import hashlib
import math
import random
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jobs.errors import InputError, UserCodeError
from jobs.keras.runtime import import_tensorflow
from jobs.keras.serialization import first_line
from jobs.usercode import is_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

building = threading.RLock()
"""Held while anything is built or traced in this process."""


def isolated(dtype: str, function: Callable[[], T]) -> T:
    """Return `function()`, with `dtype` as Keras's default.

    It runs in a thread of its own, where Keras's per-thread state is fresh: layers get the same names every time, and
    the caller's dtype policy does not change. One call at a time, since the default float type is the process's.
    """
    with building, ThreadPoolExecutor(1, thread_name_prefix="keras-build") as thread:
        return thread.submit(_with_floatx, dtype, function).result()


def _with_floatx(dtype: str, function: Callable[[], T]) -> T:
    _, keras = import_tensorflow()
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        return function()
    finally:
        keras.config.set_floatx(before)


def build(create_model: Callable[[], Any], frozen: str | None) -> Any:
    """Return a new model with the initial weights of seed 0. Called within `isolated`.

    Keras draws its seeds from Python's `random`, from which another thread of the process may draw meanwhile: a model
    whose weights outside theta have another digest than `frozen` is built once more.

    Raises:
        UserCodeError: create_model raised, or makes other frozen weights at each call.
        InputError: it returned something else than a built model of one input with trainable variables.
    """
    for _ in range(2):
        model = make(create_model)
        if not model.built:
            raise InputError(unbuilt(model))
        check_inputs(model)
        check_trainable(model, "minimize")
        if frozen in (None, frozen_digest(model)):
            return model
    raise UserCodeError(
        "create_model makes weights outside theta (of layers with trainable=False, say) that differ from the driver's: "
        "give every source of randomness a seed, and every process the same files"
    )


def make(create_model: Callable[[], Any], seed: int = 0, x_row: tuple[int, ...] | None = None) -> Any:
    """Return a new model, built under a seed. Called within `isolated`.

    Args:
        create_model: the user's.
        seed: of Keras, Python and NumPy meanwhile.
        x_row: shape of one row of the data, by which a model is built that is not; without it, it stays unbuilt.

    Raises:
        UserCodeError: create_model raised.
        InputError: it returned something else than a model, or one that cannot take such rows.
    """
    _, keras = import_tensorflow()
    with _seeded(seed):
        try:
            model = create_model()
        except BaseException as error:
            if is_interrupt(error):
                raise
            text = f"create_model raised {type(error).__name__}: {first_line(error)}"
            raise UserCodeError(text, traceback.format_exc()) from error
        if not isinstance(model, keras.Model):
            raise InputError(f"create_model returned {type(model).__name__}, but must return a keras.Model")
        if not model.built and x_row is not None:
            try:
                model.build((None, *x_row))
            except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
                text = f"the model {model.name!r} cannot take rows of shape {x_row}: {first_line(error)}"
                raise InputError(text, traceback.format_exc()) from error
    return model


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed everything, and restore the state of Python's and NumPy's generators afterwards."""
    _, keras = import_tensorflow()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  keras.utils.set_random_seed seeds it
    keras.utils.set_random_seed(seed)
    try:
        with _own_randint(seed):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def _own_randint(seed: int) -> Iterator[None]:
    """Give this thread a `random.randint` of its own, from which Keras draws the seeds of initializers.

    The threads of a Dask worker draw from the shared one meanwhile: runs were seen to begin with other weights.
    """
    thread, own, shared = threading.get_ident(), random.Random(seed).randint, random.randint  # noqa: S311  not secrets

    def randint(a: int, b: int) -> int:
        return (own if threading.get_ident() == thread else shared)(a, b)

    random.randint = randint
    try:
        yield
    finally:
        random.randint = shared


def unbuilt(model: Any) -> str:
    """Return the error's text for a model whose shapes are not known."""
    return f"create_model returned the model {model.name!r} unbuilt: begin it with keras.Input(shape), or call it once"


def check_inputs(model: Any) -> None:
    """Check that a model has one input at most.

    Raises:
        InputError: it has several.
    """
    inputs = getattr(model, "inputs", None) or ()
    if len(inputs) > 1:
        raise InputError(
            f"the model {model.name!r} has {len(inputs)} inputs, but must have one, since the data have one x"
        )


def check_trainable(model: Any, purpose: str) -> None:
    """Check that a model, which is built, has trainable variables.

    Args:
        model: the model.
        purpose: a verb, what else there is nothing to do it with.

    Raises:
        InputError: it has none.
    """
    if not model.trainable_variables:
        raise InputError(f"the model {model.name!r} has no trainable variables: there is nothing to {purpose}")


def fitting(row: tuple[int, ...], wanted: tuple[int | None, ...]) -> tuple[int, ...]:
    """Return the shape that rows of the data take to enter a model of input shape `wanted`.

    Raises:
        InputError: they hold another number of values.
    """
    if len(row) == len(wanted) and all(size in (None, have) for size, have in zip(wanted, row, strict=True)):
        return row
    fixed = tuple(size for size in wanted if size is not None)
    if len(fixed) == len(wanted) and math.prod(fixed) == math.prod(row):
        return fixed
    raise InputError(
        f"the model's input has shape {wanted}, but one row of the data has {row}: give it keras.Input({row})"
    )


def frozen_digest(model: Any) -> str:
    """Return a digest of the weights that are not trained."""
    digest = hashlib.blake2b(digest_size=16)
    for variable in model.non_trainable_variables:
        digest.update(variable.value.numpy().tobytes())
    return digest.hexdigest()
