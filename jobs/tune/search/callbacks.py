"""The user's functions that are called on the driver when a trial has ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from jobs import usercode
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import StudyRecorder
from jobs.tune.search.running import RunningTrial, Watcher

Callback: TypeAlias = Callable[..., None]
"""A function of Optuna's study, to be read, and its trial. `study.stop()` and `study.enqueue_trial(params)` work."""


class Callbacks:
    """A search's observer that calls functions beside another observer.

    Args:
        watcher: the other one, which comes first.
        recorder: the study.
        functions: the user's.
    """

    def __init__(self, watcher: Watcher, recorder: StudyRecorder, functions: Sequence[Callback]) -> None:
        self._watcher, self._recorder, self._functions = watcher, recorder, functions
        # Optuna's own stop its loop, which there is not, and add a trial, which the search would not know of.
        study: Any = recorder.study
        study.stop, study.enqueue_trial = self._stop, self._enqueue

    def on_change(self, running: Collection[RunningTrial]) -> None:
        """Called after each event."""
        self._watcher.on_change(running)

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Called when a trial has ended.

        Raises:
            UserCodeError: a function raised.
        """
        self._watcher.on_end(number, outcome)
        for function in self._functions:
            name = getattr(function, "__qualname__", type(function).__qualname__)
            usercode.call(f"callback {name}", function, self._recorder.study, self._recorder.trial(number))

    def log(self, event: str, message: str) -> None:
        """Called with an event for the log."""
        self._watcher.log(event, message)

    def _stop(self) -> None:
        self._recorder.stopped = True

    def _enqueue(self, params: Mapping[str, Any], *_attributes: Any, **_options: Any) -> None:
        self._recorder.source.enqueue_next(params)
