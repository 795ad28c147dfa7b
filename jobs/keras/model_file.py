"""The file `model.keras` of a run folder: loading it, and predicting rows by it."""

from __future__ import annotations

import json
import traceback
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.prediction import Predictor
from jobs.errors import DataError, InputError, UserCodeError
from jobs.formatting import error_line
from jobs.keras.build import fitting, isolated, make
from jobs.keras.runtime import import_tensorflow
from jobs.keras.serialization import first_line
from jobs.storage import Storage
from jobs.usercode import UserCode, is_interrupt

MODEL = "model.keras"
Array = NDArray[Any]


def load_model(run: Storage, create_model: UserCode | None = None) -> Any:
    """Return the model of a run folder; TensorFlow is imported.

    Args:
        run: the run folder.
        create_model: the user's function that made it: it makes one for the file's weights where Keras cannot, as with
            layers of the user's own.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    return _from_file(run, create_model)[0]


def predictor(run: Storage, create_model: UserCode | None = None) -> Predictor:
    """Return what predicts rows by the model of a run folder; raises as `load_model` does."""
    model, loss = _from_file(run, create_model)
    classes, threshold = _meaning(loss)
    return Predictor(rows_function(model), "the model", classes=classes, threshold=threshold)


def rows_function(model: Any) -> Callable[[Array, float], Array]:
    """Return the function of rows as stored, and their scale, to the model's outputs.

    Its errors are those of the data, or of the user's layers:
        DataError: the rows do not fit the model.
        UserCodeError: a layer raised.
    """
    _, keras = import_tensorflow()
    inputs = getattr(model, "inputs", None) or ()
    wanted = tuple(inputs[0].shape[1:]) if inputs else None
    dtype = str(inputs[0].dtype) if inputs else str(model.compute_dtype)

    def outputs(x: Array, scale: float) -> Array:
        shape = x.shape[1:] if wanted is None else row_shape(x.shape[1:], wanted)
        rows = _typed(x, scale, dtype).reshape(len(x), *shape)
        try:
            found = model(rows, training=False)
        except Exception as error:
            if is_interrupt(error):
                raise
            text = f"the model cannot take rows of shape {x.shape[1:]}: {first_line(error) or error_line(error)}"
            raise UserCodeError(text, traceback.format_exc()) from error
        if isinstance(found, list | tuple | dict):
            raise InputError("the model has several outputs, but a table of predictions is of one")
        array = np.asarray(keras.ops.convert_to_numpy(found))
        return array if array.dtype.kind in "biuf" else array.astype(np.float32)  # bfloat16

    return outputs


def row_shape(row: tuple[int, ...], wanted: tuple[int | None, ...]) -> tuple[int, ...]:
    """Return the shape that rows take to enter a model.

    Raises:
        DataError: they hold another number of values.
    """
    try:
        return fitting(row, wanted)
    except InputError as error:
        raise DataError(f"the model takes rows of shape {wanted}, but those of the data have {row}") from error


def _plain(dtype: str) -> str:
    """Return the type for NumPy: it has no bfloat16."""
    return "float32" if dtype in ("bfloat16", "float16") else dtype


def _typed(x: Array, scale: float, dtype: str) -> Array:
    """Return rows as the model takes them: scaled as in training, or for a model of whole numbers as they are.

    Raises:
        DataError: they are no such numbers.
    """
    if np.dtype(_plain(dtype)).kind == "f":
        return np.multiply(x, scale, dtype=_plain(dtype))
    rows = x.astype(dtype)
    if not np.array_equal(rows, x):
        raise DataError(f"the model takes {dtype}, but the data are {x.dtype} that it does not hold: save x as {dtype}")
    return rows


def _from_file(run: Storage, create_model: UserCode | None) -> tuple[Any, Any]:
    """Return the model, and its loss as Keras has written it, None if there is none."""
    _, keras = import_tensorflow()
    with TemporaryDirectory(prefix="dask-jobs-") as folder:
        path = Path(folder, MODEL)
        try:
            with path.open("wb") as file:
                for piece in run.stream(MODEL):
                    file.write(piece)
        except FileNotFoundError as error:
            raise InputError(f"there is no {run.address(MODEL)}: it is written when a run ends") from error
        except OSError as error:
            raise InputError(f"{run.address(MODEL)} cannot be read: {error_line(error)}") from error
        if not zipfile.is_zipfile(path):  # Keras says of such a file that it is missing
            raise InputError(f"{run.address(MODEL)} is damaged: it is no zip file; train again in another folder")
        function = _loaded(create_model)  # first: a module of the user's may register layers
        try:
            return keras.models.load_model(path, compile=False), _loss(path)
        except Exception as error:
            if is_interrupt(error):
                raise
            if isinstance(error, TypeError | ValueError) and (model := _rebuilt(function, path)) is not None:
                return model, _loss(path)
            raise InputError(f"{run.address(MODEL)} cannot be read: {error_line(error)}") from error


def _loaded(create_model: UserCode | None) -> Any:
    try:
        return create_model and create_model.load()
    except InputError:
        return None  # a model of Keras's own layers needs no code of the user's


def _rebuilt(create_model: Any, path: Path) -> Any:
    """Return a model that the user's function makes, with the weights of the file; None if it does not fit."""
    if not callable(create_model):
        return None
    try:
        model = isolated("float32", lambda: make(create_model))
        model.load_weights(path)
    except Exception as error:
        if is_interrupt(error):
            raise
        return None
    return model


def _loss(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
        return (config.get("compile_config") or {}).get("loss")
    except (ValueError, KeyError, AttributeError, zipfile.BadZipFile):
        return None


def _meaning(loss: Any) -> tuple[bool | None, float | None]:
    """Return whether outputs are those of classes, and from which on a single one is class 1, by a model's loss."""
    name = loss.get("class_name", "") if isinstance(loss, Mapping) else loss
    options = loss.get("config") if isinstance(loss, Mapping) else None
    if not isinstance(name, str) or name in ("", "function"):
        return None, None
    plain = name.replace("_", "").lower()
    if plain.startswith(("binarycrossentropy", "binaryfocalcrossentropy")):
        logits = isinstance(options, Mapping) and bool(options.get("from_logits"))
        return False, 0.0 if logits else 0.5
    if "categorical" in plain:
        return True, None
    return (False, None) if isinstance(loss, str) or loss.get("module") == "keras.losses" else (None, None)
