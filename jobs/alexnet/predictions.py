"""The classes of images by a trained network."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.images import BadImageError, Resize, decode
from jobs.errors import InputError
from jobs.formatting import error_line, plural, printable
from jobs.keras.runtime import import_tensorflow
from jobs.runs.folder import RunFolder, readable
from jobs.storage import Storage
from jobs.train.process.export import MODEL

TOP, ROWS = 5, 32


def show(run: RunFolder, storage: Storage, files: Sequence[str]) -> None:
    """Print the likeliest classes of images by the network of a run.

    Raises:
        InputError: the run has not ended, or an image is missing or cannot be read.
    """
    if not run.result:
        why = f"; it {run.state}: {error}" if (error := run.status.get("error")) else ""
        raise InputError(f"{run.url} has no network: it is written when the run has trained all epochs{why}")
    with readable(run.url, "result.json"):
        names = list(map(str, run.result["images"]["class_names"]))
    for found in predict(storage, files, names, run.options.get("resize", "squash")):
        sys.stdout.write(f"{printable(found.image)}\n")
        sys.stdout.writelines(f"  {chance:7.2%}  {printable(name)}\n" for name, chance in found.classes)


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
    model = _load(run)
    (_, size, _, _), (_, outputs) = model.input_shape, model.output_shape
    if outputs != len(classes):
        raise InputError(f"{run.address(MODEL)} has {plural(outputs, 'output')}, but {len(classes)} classes have names")
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


def _load(run: Storage) -> Any:
    _, keras = import_tensorflow()
    with TemporaryDirectory(prefix="dask-jobs-") as folder:
        path = Path(folder, MODEL)
        try:
            with path.open("wb") as file:
                for piece in run.stream(MODEL):
                    file.write(piece)
            if not zipfile.is_zipfile(path):  # Keras says of such a file that it is missing
                raise InputError(f"{run.address(MODEL)} is damaged: it is no zip file; train again in another folder")
            return keras.models.load_model(path, compile=False)
        except FileNotFoundError as error:
            raise InputError(f"there is no {run.address(MODEL)}: it is written when a run ends") from error
        except (ValueError, OSError) as error:
            raise InputError(f"{run.address(MODEL)} cannot be read: {error_line(error)}") from error
