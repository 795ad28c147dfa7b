"""All observers of a run, made from its options before any work begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from jobs.errors import InputError, argument
from jobs.runs.observe.events import Event, Observer
from jobs.runs.observe.stream import Channel
from jobs.storage import Storage
from jobs.usercode import UserCode


class Observers:
    """The observers of one attempt.

    Args:
        observers: name -> observer.
    """

    def __init__(self, observers: Mapping[str, Observer]) -> None:
        self._channels = [Channel(name, observer) for name, observer in observers.items()]

    def send(self, event: Event) -> None:
        """Send an event to all; costs microseconds, whatever they do with it."""
        for channel in self._channels:
            channel.send(event)

    def end(self, seconds: float) -> str:
        """Wait until all is delivered, or for so many seconds; return what is wrong, or nothing."""
        until = time.monotonic() + seconds
        wrong = [channel.end(until) for channel in self._channels]
        self._channels = []
        return "; ".join(filter(None, wrong))


def trackers(names: Sequence[str], storage: Storage) -> dict[str, Observer]:
    """Return the trackers of these names.

    Raises:
        InputError: one is not installed.
    """
    made: dict[str, Callable[[Storage], Observer]] = {"mlflow": _mlflow, "wandb": _wandb, "tensorboard": _tensorboard}
    return {name: made[name](storage) for name in dict.fromkeys(names)}


def _mlflow(storage: Storage) -> Observer:
    from jobs.runs.observe.mlflow import MlflowObserver

    return MlflowObserver(storage)


def _wandb(storage: Storage) -> Observer:
    from jobs.runs.observe.wandb import WandbObserver

    return WandbObserver(storage)


def _tensorboard(storage: Storage) -> Observer:
    from jobs.runs.observe.tensorboard import TensorBoardObserver

    return TensorBoardObserver(storage)


class UserObserver:
    """The user's function, called with each event.

    Args:
        spec: `module:function`.

    Raises:
        InputError: it cannot be imported, or is no function.
    """

    def __init__(self, spec: str) -> None:
        self._code = UserCode("observer", spec, "my_module:observe")
        self._call = self._code.load()
        if not callable(self._call):
            raise InputError(f"{argument('observer')} {spec}: it is {self._call!r}, but must be a function of an event")

    def deliver(self, events: list[Event]) -> None:
        """Call it; later events are delivered also where it raises, and the first error is raised at the end."""
        first: BaseException | None = None
        for event in events:
            try:
                self._call(event)
            except BaseException as error:  # noqa: BLE001  the user's code
                first = first or error
        if first is not None:
            raise first
