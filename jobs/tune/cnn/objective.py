"""The shipped objective: a convolutional network on images, the default of `dask-jobs tune`.

Its hyperparameters are `SPACE`; `--fixed data=...` and `--fixed epochs=...` are the same for all trials. TensorFlow is
imported by a worker's first trial, and not by the driver.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from jobs.errors import InputError, argument, nearest
from jobs.keras.model_file import MODEL
from jobs.tune import space
from jobs.tune.cnn.images import files_of, images_of
from jobs.tune.cnn.training import State, step_of
from jobs.tune.trials.trial import Trial

SPACE = {
    "learning_rate": space.log(1e-6, 10),
    "batch_size": space.integer(30, 100),
    "dropout": space.uniform(0, 1),
    "stddev": space.log(1e-3, 10),
}
SAVE_SECONDS = 5.0
"""Training between two checkpoints: no more than that is repeated after a worker was lost."""


class Settings(BaseModel):
    """All parameters of a trial: its hyperparameters, and the fixed ones.

    Attributes:
        learning_rate: of gradient descent with momentum, in the first epoch; it falls linearly.
        batch_size: rows of a step.
        dropout: the share of the dense layer's units that each step drops.
        stddev: of the normal distribution of the initial kernels.
        data: as of `jobs.datasets.open_dataset`, of images.
        epochs: of a trial that is not stopped early.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    learning_rate: PositiveFloat
    batch_size: PositiveInt
    dropout: Annotated[float, Field(ge=0, le=1)]
    stddev: PositiveFloat
    data: str = "digits"
    epochs: PositiveInt = 64

    def rate(self, epoch: int) -> float:
        """Return the learning rate after so many epochs; the last ones settle what the first ones found."""
        return self.learning_rate * (1 - epoch / self.epochs)


def check_parameters(parameters: Mapping[str, Any]) -> Settings:
    """Return a trial's parameters, checked.

    Raises:
        InputError: one is unknown, missing or wrong.
    """
    known = list(Settings.model_fields)
    for name in parameters:
        if name not in known:
            hint = nearest(name, known)
            raise InputError(f"the shipped network takes no {name!r}{hint} (it takes {', '.join(known)})")
    try:
        return Settings.model_validate(dict(parameters))
    except ValidationError as error:
        detail = error.errors()[0]
        which, rule = detail["loc"][0], detail["msg"].removeprefix("Input ").replace("should", "must", 1)
        if detail["type"] == "missing":
            raise InputError(
                f"the shipped network needs {which!r}: put it into {argument('space')} or {argument('fixed')}"
            ) from None
        raise InputError(f"the shipped network's {which} is {detail['input']!r}, but {rule}") from None


def data_files(parameters: Mapping[str, Any]) -> list[str]:
    """Return the paths or s3:// URLs of all files that trials read, those of a test set too.

    Args:
        parameters: the fixed ones, as far as they are given.

    Raises:
        InputError: `data` does not name a data set.
        DataError: the data are damaged.
        ClusterError: the storage cannot be reached.
    """
    return files_of(parameters.get("data", Settings.model_fields["data"].default))


def train(parameters: Mapping[str, Any], trial: Trial) -> float:
    """Train the network, report the validation accuracy after each epoch, and return that of the best epoch.

    Everything random depends on `trial.seed` alone: the same trial has the same bits in every worker of the same kind,
    whatever else runs there, and also if it is resumed from a checkpoint. The network after the best epoch is left in
    the checkpoint as model.keras.

    Raises:
        trial.Stop: it is stopped early; at once when a loss is NaN or infinite.
        InputError: a parameter is wrong, TensorFlow is missing, or there are no such data.
    """
    settings = check_parameters(parameters)
    images = images_of(settings.data)
    step = step_of(images, trial.threads)
    checkpoint = trial.checkpoint / "training.npz"
    state = _load(checkpoint) if checkpoint.exists() else step.start(trial.seed, settings.stddev)
    saved = time.monotonic()
    while state.epoch < settings.epochs:
        state = step.train(
            state,
            images,
            trial.seed,
            rate=settings.rate(state.epoch),
            batch=settings.batch_size,
            dropout=settings.dropout,
        )
        if time.monotonic() - saved >= SAVE_SECONDS:
            _save(checkpoint, state)
            saved = time.monotonic()
        trial.report(state.accuracy if math.isfinite(state.loss) else math.nan, state.epoch)
    step.save(trial.checkpoint / MODEL, state.best_weights or state.weights, images.x.shape[1:])
    return state.best


def _save(path: Path, state: State) -> None:
    """Write the state; a file that is torn when the worker dies is lost with it, the stored one is complete."""
    best = [] if state.best_weights is None or state.best_weights is state.weights else state.best_weights
    kinds = {"weight": state.weights, "momentum": state.momenta, "best": best}
    arrays = {f"{kind}{number}": np.asarray(value) for kind, of in kinds.items() for number, value in enumerate(of)}
    scalars = {"epoch": state.epoch, "loss": state.loss, "accuracy": state.accuracy, "highest": state.best}
    np.savez(path, **arrays, **scalars)  # type: ignore[arg-type]  # one of its arguments is not an array


def _load(path: Path) -> State:
    with np.load(path) as saved:
        layers = range(sum(name.startswith("weight") for name in saved))
        weights, momenta = ([saved[f"{kind}{n}"] for n in layers] for kind in ("weight", "momentum"))
        best = [saved[f"best{n}"] for n in layers] if "best0" in saved else weights
        loss, accuracy, highest = (float(saved[name]) for name in ("loss", "accuracy", "highest"))
        return State(weights, momenta, int(saved["epoch"]), loss, accuracy, highest, best)
