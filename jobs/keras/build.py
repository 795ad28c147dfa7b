"""A model from its factory: the same weights in every process, without changing the caller's Keras or random state."""

from __future__ import annotations

import hashlib
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
        with _seeded():
            try:
                model = create_model()
            except BaseException as error:
                if is_interrupt(error):
                    raise
                text = f"create_model raised {type(error).__name__}: {first_line(error)}"
                raise UserCodeError(text, traceback.format_exc()) from error
        _check(model)
        if frozen in (None, frozen_digest(model)):
            return model
    raise UserCodeError(
        "create_model makes weights outside theta (of layers with trainable=False, say) that differ from the driver's: "
        "give every source of randomness a seed, and every process the same files"
    )


@contextmanager
def _seeded() -> Iterator[None]:
    """Seed everything with 0, and restore the state of Python's and NumPy's generators afterwards."""
    _, keras = import_tensorflow()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  keras.utils.set_random_seed seeds it
    keras.utils.set_random_seed(0)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _check(model: Any) -> None:
    _, keras = import_tensorflow()
    if not isinstance(model, keras.Model):
        raise InputError(f"create_model returned {type(model).__name__}, but must return a keras.Model")
    if not model.built:
        raise InputError(
            f"create_model returned the model {model.name!r} unbuilt: begin it with keras.Input(shape), or call it once"
        )
    inputs = getattr(model, "inputs", None) or ()
    if len(inputs) > 1:
        raise InputError(
            f"the model {model.name!r} has {len(inputs)} inputs, but must have one, since the data have one x"
        )
    if not model.trainable_variables:
        raise InputError(f"the model {model.name!r} has no trainable variables: there is nothing to minimize")


def frozen_digest(model: Any) -> str:
    """Return a digest of the weights that are not trained."""
    digest = hashlib.blake2b(digest_size=16)
    for variable in model.non_trainable_variables:
        digest.update(variable.value.numpy().tobytes())
    return digest.hexdigest()
