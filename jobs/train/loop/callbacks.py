"""What may act at the end of an epoch: early stopping, a lower learning rate, the user's Keras callbacks."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jobs.errors import InputError, argument
from jobs.train.loop.trainer import Trainer
from jobs.usercode import UserCode, call

Logs = Mapping[str, float]
REPLACED = {
    "ModelCheckpoint": f"{argument('save_every')} writes checkpoints, {argument('restore_best')} ends with the best",
    "BackupAndRestore": f"{argument('save_every')} writes checkpoints, and the same command resumes the run",
    "TerminateOnNaN": f"{argument('on_nan')} says what such a loss does",
}
"""Keras's callbacks that cannot work without the model itself, or without batches, and what there is instead."""
BATCH_HOOKS = tuple(f"on_{kind}batch_{at}" for kind in ("", "train_", "test_", "predict_") for at in ("begin", "end"))


class EpochEnd(Protocol):
    """Acts at the end of an epoch, or before the first step of one; its state is part of a checkpoint."""

    def begin_epoch(self, epoch: int) -> None:
        """Act before the first step of an epoch, from 0; called again when an epoch that has begun goes on."""

    def __call__(self, epoch: int, logs: Logs, trainer: Trainer) -> str | None:
        """Act, and return why training shall end, if it shall.

        Args:
            epoch: from 0.
            logs: name -> value.
            trainer: what trains.
        """

    def ended(self) -> str | None:
        """Return why training shall end, by the state alone: that of a run that is resumed, say."""

    def state(self) -> dict[str, Any]:
        """Return its state, as JSON has it."""

    def restore(self, state: Mapping[str, Any] | None, history: Mapping[str, Sequence[float]]) -> None:
        """Set it; None: there was none of its type until now.

        Args:
            state: as of `state`.
            history: name -> value of each epoch so far.
        """

    def end(self) -> None:
        """Act when all epochs are done."""


def monitored(logs: Logs) -> float:
    """Return what decides: the loss on the validation data, or without these the training loss."""
    return float(logs[monitor(logs)])


def monitor(names: Container[str]) -> str:
    """Return the name of what decides, of the names in logs or a history."""
    return "val_loss" if "val_loss" in names else "loss"


@dataclass
class Patience:
    """Counts the epochs since the monitored loss was lowest."""

    patience: int
    best: float = math.inf
    waited: int = 0

    def is_over(self, logs: Logs) -> bool:
        """Count an epoch, and return whether there was no lower loss for `patience` epochs."""
        value = monitored(logs)
        self.best, self.waited = (value, 0) if value < self.best else (self.best, self.waited + 1)
        return self.waited >= self.patience

    def begin_epoch(self, epoch: int) -> None:
        """Nothing."""

    def ended(self) -> str | None:
        """Not by this alone."""
        return None

    def state(self) -> dict[str, Any]:
        """Return its state."""
        return {"best": self.best, "waited": self.waited}

    def restore(self, state: Mapping[str, Any] | None, history: Mapping[str, Sequence[float]]) -> None:
        """Set it; None: it counts what it has missed."""
        if state is not None:
            self.best, self.waited = float(state["best"]), int(state["waited"])
            return
        for values in zip(*history.values(), strict=True):
            self.is_over(dict(zip(history, values, strict=True)))

    def end(self) -> None:
        """Nothing is left to do."""


class EarlyStopping(Patience):
    """Ends the training when the monitored loss has not become lower for `patience` epochs."""

    def __call__(self, epoch: int, logs: Logs, trainer: Trainer) -> str | None:  # noqa: ARG002
        """Count epochs without a lower loss."""
        self.is_over(logs)
        return self.ended()

    def ended(self) -> str | None:
        """Return the reason, once there was no lower loss for `patience` epochs."""
        if self.waited < self.patience:
            return None
        return f"no lower loss for {self.waited} epochs, the lowest is {self.best:.6g}"


class ReduceOnPlateau(Patience):
    """Divides the learning rate by 10 when the monitored loss has not become lower for `patience` epochs."""

    def __call__(self, epoch: int, logs: Logs, trainer: Trainer) -> str | None:  # noqa: ARG002
        """Count epochs without a lower loss."""
        if self.is_over(logs):
            self.waited = 0
            trainer.on_all(ScaleRate(0.1))
        return None


@dataclass(frozen=True)
class ScaleRate:
    """A function of a model: multiplies its optimizer's learning rate."""

    factor: float

    def __call__(self, model: Any) -> float:
        """Set the rate, and return it."""
        optimizer = model.optimizer
        optimizer.learning_rate = float(optimizer.learning_rate) * self.factor
        return float(optimizer.learning_rate)


@dataclass(frozen=True)
class SetRate:
    """A function of a model: sets its optimizer's learning rate."""

    rate: float

    def __call__(self, model: Any) -> float:
        """Set the rate, and return it."""
        model.optimizer.learning_rate = self.rate
        return self.rate


def rate_of(model: Any) -> float:
    """Return the learning rate of a model's optimizer."""
    return float(model.optimizer.learning_rate)


class RemoteModel:
    """What Keras callbacks on the driver see as their model.

    Attributes:
        stop_training: set by a callback to end the training.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self.stop_training = False

    def __getattr__(self, name: str) -> Any:
        """Say what there is of a model here.

        Raises:
            AttributeError: always; it is called for what there is not.
        """
        raise AttributeError(
            f"the model is on the workers: callbacks have its optimizer.learning_rate, stop_training, get_weights() "
            f"and set_weights(), but no {name}"
        )

    @property
    def optimizer(self) -> RemoteModel:
        """Itself: it has the learning rate."""
        return self

    @property
    def learning_rate(self) -> float:
        """The learning rate, the same on all replicas."""
        return float(self._trainer.on_one(rate_of))

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self._trainer.on_all(SetRate(float(rate)))

    def get_weights(self) -> list[Any]:
        """Return weights and statistics in the model's order."""
        return list(self._trainer.weights().values())

    def set_weights(self, weights: list[Any]) -> None:
        """Set them on all replicas."""
        names = self._trainer.weights()
        self._trainer.set_weights(dict(zip(names, weights, strict=True)))


def _check_callback(callback: Any) -> None:
    """Check that it is a callback all of which will be called.

    Raises:
        InputError: it is none, or needs the model itself or batches.
    """
    name, bases = type(callback).__name__, type(callback).__mro__
    if not hasattr(callback, "on_epoch_end"):
        raise InputError(f"callbacks has {name}, but must be a list of keras.callbacks.Callback")
    for base in bases:
        if base.__name__ in REPLACED:
            raise InputError(f"the callback {name} does not work here, leave it out: {REPLACED[base.__name__]}")
    # Keras's own base class has all hooks, its TensorBoard some that serve profiling alone.
    given = set(vars(callback)).union(*(vars(base) for base in bases if base.__module__.partition(".")[0] != "keras"))
    if hooks := [hook for hook in BATCH_HOOKS if hook in given]:
        raise InputError(f"the callback {name} has {hooks[0]}, which is not called: callbacks act at epochs alone")


class KerasCallbacks:
    """The user's Keras callbacks, which run on the driver where epochs begin and end.

    Args:
        given: `module:function` that returns a list of keras.callbacks.Callback, or the list.
        trainer: what trains.
        epochs: of the whole run.

    Raises:
        InputError: these are not callbacks.
        UserCodeError: the function raised.
    """

    def __init__(self, given: Any, trainer: Trainer, epochs: int) -> None:
        if isinstance(given, str):
            given = call("callbacks", UserCode("callbacks", given, "my_model:callbacks").load())
        if not isinstance(given, (list, tuple)):
            raise InputError(f"callbacks are {type(given).__name__}, but must be a list of keras.callbacks.Callback")
        self._callbacks, self._model = list(given), RemoteModel(trainer)
        for one in self._callbacks:
            _check_callback(one)
            one.set_params({"epochs": epochs, "verbose": 0, "steps": None})
            one.set_model(self._model)
            # Each attempt's own beginning: what a user's callback has is not in the checkpoint.
            call("a callback", one.on_train_begin)
        self._begun = -1

    def begin_epoch(self, epoch: int) -> None:
        """Call each, once for an epoch: what it did is part of the replicas' state, as the learning rate is."""
        if epoch != self._begun:
            for one in self._callbacks:
                call(f"the callback {type(one).__name__}", one.on_epoch_begin, epoch)
            self._begun = epoch

    def __call__(self, epoch: int, logs: Logs, trainer: Trainer) -> str | None:  # noqa: ARG002
        """Call each with the epoch's logs."""
        for one in self._callbacks:
            # A copy: they may add to it, as Keras's do.
            call(f"the callback {type(one).__name__}", one.on_epoch_end, epoch, dict(logs))
        return "a callback has ended it" if self._model.stop_training else None

    def end(self) -> None:
        """Tell each that the training has ended."""
        for one in self._callbacks:
            call(f"the callback {type(one).__name__}", one.on_train_end)

    def ended(self) -> str | None:
        """Nothing: what a user's callback has is its own."""
        return None

    def state(self) -> dict[str, Any]:
        """Return the epoch that has begun; what a user's callback has is its own."""
        return {"begun": self._begun}

    def restore(self, state: Mapping[str, Any] | None, history: Mapping[str, Sequence[float]]) -> None:  # noqa: ARG002
        """Set it."""
        self._begun = int(state["begun"]) if state else -1
