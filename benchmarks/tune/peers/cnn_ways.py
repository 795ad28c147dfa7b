"""The shipped network's trial in other ways, and with notes of each epoch: objectives for `benchmarks.tune.cnn`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jobs.keras.runtime import import_tensorflow
from jobs.tune import cnn
from jobs.tune.cnn import training
from jobs.tune.cnn.images import images_of
from jobs.tune.keras import Report

SHARED = "ours: one compiled step a process"
FRESH = "our step, made anew in each trial"
PLAIN = "plain Keras: model, compile and fit anew in each trial"


def fresh(parameters: dict[str, Any], trial: Any) -> float:
    """Train with a model and a step of the trial's own."""
    training._steps.clear()  # noqa: SLF001  only a benchmark wants that
    return cnn.train(parameters, trial)


def plain(parameters: dict[str, Any], trial: Any) -> float:
    """Train the same network on the same rows as people write it, but without XLA, which takes longer to compile."""
    _, keras = import_tensorflow(trial.threads)
    settings = cnn.check_parameters(parameters)
    images = images_of(settings.data)
    keras.utils.set_random_seed(trial.seed)
    model = _model(keras, images, settings)
    optimizer = keras.optimizers.SGD(settings.learning_rate, momentum=training.MOMENTUM)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    x, validation_x = (np.float32(images.scale) * array.astype(np.float32) for array in (images.x, images.validation_x))
    history = model.fit(
        x,
        images.y,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        validation_data=(validation_x, images.validation_y),
        validation_batch_size=training.VALIDATED,
        callbacks=[keras.callbacks.LearningRateScheduler(settings.rate), Report(trial)],
        verbose=0,
    )
    return max(history.history["val_accuracy"])


def _model(keras: Any, images: Any, settings: Any) -> Any:
    layers, size = keras.layers, max(images.x.shape[1:3])
    start = keras.initializers.RandomNormal(stddev=settings.stddev)
    chain = [keras.Input(images.x.shape[1:])]
    while len(chain) == 1 or size > training.MIN_SIZE:
        filters = training.FILTERS[min(len(chain), len(training.FILTERS)) - 1]
        chain.append(
            layers.Conv2D(
                filters, 3, 2, "same", activation="leaky_relu", use_bias=False, kernel_initializer=start.clone()
            )
        )
        size = -(-size // 2)
    chain += [
        layers.Flatten(),
        layers.Dense(training.UNITS, "leaky_relu", kernel_initializer=start.clone()),
        layers.Dropout(min(settings.dropout, 0.999)),
        layers.Dense(images.classes, kernel_initializer=start.clone()),
    ]
    return keras.Sequential(chain)


WAYS: dict[str, Callable[..., float]] = {SHARED: cnn.train, FRESH: fresh, PLAIN: plain}


class Unwatched:
    """A trial that nobody listens to."""

    last_step = None

    def __init__(self, seed: int, folder: str) -> None:
        self.seed, self.threads, self.checkpoint = seed, 1, Path(folder)

    def report(self, value: float, step: int) -> None:
        """Do nothing."""

    def should_prune(self) -> bool:
        """Return False: nobody compares it with others."""
        return False


def seconds(way: str, parameters: dict[str, Any], seed: int) -> float:
    """Return the seconds of one trial in this process, after a short one in the same way: they leave traces.

    Keras's `set_random_seed`, for one, has TensorFlow drop what it made ready of all functions of the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = Unwatched(seed, folder)
        WAYS[way]({**parameters, "epochs": 1}, trial)
        began = time.perf_counter()
        WAYS[way](parameters, trial)
        return time.perf_counter() - began


class Noted:
    """A trial whose reports are also written down, with the time."""

    def __init__(self, trial: Any, folder: str) -> None:
        self._trial, self._file = trial, Path(folder) / f"{trial.number:04d}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def report(self, value: float, step: int) -> None:
        """Write the report down, and pass it on."""
        with self._file.open("a") as file:
            file.write(f"{time.time()!r} {step} {value!r}\n")
        self._trial.report(value, step)


def noted(parameters: dict[str, Any], trial: Any) -> float:
    """Train as shipped; `notes` is the folder where each epoch is written down."""
    given = {name: value for name, value in parameters.items() if name != "notes"}
    return cnn.train(given, Noted(trial, parameters["notes"]))


def notes(folder: Path) -> Iterator[tuple[int, int, float]]:
    """Yield (trial, step, accuracy) of each epoch that was trained, in the order of time."""
    lines = [(path.name, *line.split()) for path in folder.iterdir() for line in path.read_text().splitlines()]
    for _, trial, step, value in sorted((float(at), int(trial), int(step), value) for trial, at, step, value in lines):
        yield trial, step, float(value)
