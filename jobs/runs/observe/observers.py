"""The observers that a run's options name, made before any work begins."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from jobs.errors import InputError, argument
from jobs.runs.observe.events import Event, Observer
from jobs.storage import Storage
from jobs.usercode import UserCode

TRACKERS = {"mlflow": "MlflowObserver", "wandb": "WandbObserver", "tensorboard": "TensorBoardObserver"}
"""Name of a module here -> its class; imported where it is asked for, since each imports a package of its own."""


def trackers(names: Sequence[str], storage: Storage) -> dict[str, Observer]:
    """Return the trackers of these names.

    Raises:
        InputError: one is not installed.
    """
    return {
        name: getattr(importlib.import_module(f"jobs.runs.observe.{name}"), TRACKERS[name])(storage)
        for name in dict.fromkeys(names)
    }


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
