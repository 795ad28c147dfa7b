"""The classes of images by a trained network."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.images import BadImageError, Resize, decode
from jobs.datasets.prediction import Predictor
from jobs.errors import DataError, InputError
from jobs.formatting import error_line, plural, printable
from jobs.keras.model_file import MODEL, load_model, rows_function
from jobs.runs.folder import RunFolder, readable
from jobs.storage import Storage

TOP, ROWS = 5, 32


def show(run: RunFolder, storage: Storage, files: Sequence[str]) -> None:
    """Print the likeliest classes of images by the network of a run.

    Raises:
        InputError: the run has not ended, or an image is missing or cannot be read.
    """
    if not run.result:
        why = f"; it {run.state}: {error}" if (error := run.status.get("error")) else ""
        raise InputError(f"{run.url} has no network: it is written when the run has trained all epochs{why}")
    names = _class_names(run)
    for found in predict(storage, files, names, run.options.get("resize", "squash")):
        sys.stdout.write(f"{printable(found.image)}\n")
        sys.stdout.writelines(f"  {chance:7.2%}  {printable(name)}\n" for name, chance in found.classes)


def predictor(run: RunFolder, storage: Storage) -> Predictor:
    """Return what predicts images in arrays, of the size that the network takes.

    Raises:
        InputError: there is no model, or it cannot be read.
    """
    names = _class_names(run)
    model = _load(storage, names)
    outputs = rows_function(model)

    def classes(x: NDArray[np.generic], _: float) -> NDArray[np.generic]:
        if x.shape[1:] != model.input_shape[1:]:
            raise DataError(
                f"the network takes images of shape {model.input_shape[1:]}, but those of the data have {x.shape[1:]}: "
                f"give image files, which are resized: dask-jobs predict {run.url} FILE..."
            )
        return outputs(x, 1.0)  # bytes, whatever a data set's scale is

    return Predictor(classes, "the network", names, classes=True)


def _class_names(run: RunFolder) -> list[str]:
    with readable(run.url, "result.json"):
        return list(map(str, run.result["images"]["class_names"]))


class Prediction(NamedTuple):
    """What a network sees in one image.

    Attributes:
        image: as given.
        classes: (name, probability) of the likeliest classes, at most 5, the likeliest first.
    """

    image: str
    classes: list[tuple[str, float]]


def predict(run: Storage, images: Sequence[str], classes: Sequence[str], resize: Resize = "squash") -> list[Prediction]:
    """Return the likeliest classes of images; TensorFlow is imported.

    Args:
        run: a run folder, which has model.keras.
        images: paths on this machine.
        classes: names of all classes, by number.
        resize: as the run's images were resized.

    Raises:
        InputError: there is no such model, it has another number of classes, or an image is missing or cannot be read.
    """
    contents = [_content(path) for path in images]  # before TensorFlow is imported
    model = _load(run, classes)
    size = model.input_shape[1]
    pixels = np.stack([_pixels(*each, size, resize) for each in zip(images, contents, strict=True)])
    found = np.concatenate([model(pixels[at : at + ROWS], training=False) for at in range(0, len(pixels), ROWS)])
    return [
        Prediction(image, [(classes[number], float(row[number])) for number in _top(row)])
        for image, row in zip(images, found, strict=True)
    ]


def _top(row: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.argsort(-row, kind="stable")[:TOP]


def _pixels(path: str, content: bytes, size: int, resize: Resize) -> NDArray[np.uint8]:
    try:
        return decode(content, size, resize)
    except BadImageError as error:
        raise InputError(f"the image {path} {error}") from error


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"the image {path} cannot be read: {error.strerror or error_line(error)}") from error


def _load(run: Storage, classes: Sequence[str]) -> Any:
    """Return the network of a run.

    Raises:
        InputError: there is none, or it has another number of classes.
    """
    model = load_model(run)
    outputs = model.output_shape[-1]
    if outputs != len(classes):
        raise InputError(f"{run.address(MODEL)} has {plural(outputs, 'output')}, but {len(classes)} classes have names")
    return model
