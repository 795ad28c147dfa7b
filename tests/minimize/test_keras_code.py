"""What cannot work is told before any work begins."""

from __future__ import annotations

import functools
import logging
import sys
import threading

import keras_models as models
import pytest
from keras_models import Points

from jobs.errors import InputError, UserCodeError
from jobs.keras.runtime import import_tensorflow
from jobs.minimize.keras import problem


@pytest.mark.parametrize(
    ("create_model", "options", "message"),
    [
        (models.unbuilt, {}, "unbuilt: begin it with keras.Input"),
        (models.no_model, {}, "create_model returned int, but must return a keras.Model"),
        (models.all_frozen, {}, "no trainable variables"),
        (models.two_inputs, {}, "2 inputs"),
        (models.two_outputs, {}, "several outputs"),
        (models.activity, {}, "losses of activations"),
        (models.one_output, {}, "output has 1 entries a row, but the labels are of 3 classes"),
        (models.mlp, {"data": Points(shape=(7,))}, r"input has shape \(5,\), but one row of the data has \(7,\)"),
        (models.mlp, {"data": 7}, "data is int, which has no 'rows'"),
        (models.mlp, {"classes": 3}, "classes is 3"),
        (models.mlp, {"loss": "mean_square_eror"}, "did you mean 'mean_squared_error'"),
        (models.mlp, {"loss": 7}, "loss is 7, but must be the name"),
        (models.mlp, {"loss": "mse"}, "model, loss and data do not fit"),
        (models.mlp, {"loss": models.mean_of_squares, "data": Points(classes=0)}, "do not fit"),
        (models.one_output, {"loss": models.mean_of_squares}, r"loss gives shape \(\) for 1009 rows"),
        (models.one_output, {"loss": models.broadcast}, r"loss gives shape \(1009, 1009\)"),
        (models.mlp, {"dtype": "float16"}, "dtype is 'float16'"),
        (models.mlp, {"block_rows": 0}, "block_rows is 0"),
        (7, {}, "create_model is 7, but must be a function"),
        ("my_model", {}, "create_model is 'my_model', but must be a function or 'module:function'"),
        (
            "keras_models:mpl",
            {},
            "create_model keras_models:mpl: module 'keras_models' has no 'mpl'; did you mean 'mlp'",
        ),
        ("keras_models:__name__", {}, "is str, but must be a function"),
        (functools.partial(models.mlp, threading.Lock()), {}, "cannot be sent to workers"),
    ],
)
def test_what_cannot_work_is_refused_at_once(create_model, options, message):
    """Arguments that do not fit are named before any work begins."""
    with pytest.raises(InputError, match=message):
        problem(create_model, **{"loss": models.crossentropy(), "data": Points(), **options})


def test_a_model_in_place_of_its_function_is_refused():
    """A model itself does not travel."""
    with pytest.raises(InputError, match="is a Keras model, but must be the function that makes it"):
        problem(models.mlp(), "mse", Points())


def test_errors_of_the_factory_are_the_users():
    """What create_model raises is told with its text, the traceback as details."""
    with pytest.raises(UserCodeError, match=r"create_model raised RuntimeError: no weights\.h5 here") as caught:
        problem(models.raises, "mse", Points())
    assert "keras_models.py" in caught.value.details


def test_missing_or_other_backend_is_told(monkeypatch):
    """Without TensorFlow the text says what to install; with another backend of Keras, what to set."""
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="KERAS_BACKEND=tensorflow"):
        problem(models.mlp, "mse", Points())
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(InputError, match=r"pip install '\.\[tensorflow\]'"):
        problem(models.mlp, "mse", Points())


def test_tensorflow_that_runs_already_keeps_its_threads(monkeypatch, caplog):
    """Where TensorFlow was used before with more threads, a log line says that last bits may differ."""
    import tensorflow as tf

    def too_late(_: int) -> None:
        raise RuntimeError("Intra op parallelism cannot be modified after initialization.")

    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 8)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", too_late)
    with caplog.at_level(logging.WARNING):
        import_tensorflow()
    assert "keeps its threads" in caplog.text
