"""A Keras callback that reports a trial's epochs; Keras is imported when the first one is created."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Mapping
from typing import Any

from jobs.tune.trials.trial import Stop, Trial


def Report(trial: Trial, monitor: str = "val_accuracy") -> Any:  # noqa: N802  called as Keras's callbacks are
    """Return a `keras.callbacks.Callback` that reports `logs[monitor]` after each epoch, the first as step 1.

    A second `fit` in the same trial continues the count, unless its `initial_epoch` is beyond it already.

    `model.fit(..., callbacks=[Report(trial)])` ends by `trial.Stop` if the trial is stopped early: pruned, out of
    time, or diverged, which it is when the monitored value or the training loss is NaN or infinite.

    Args:
        trial: the objective's second argument.
        monitor: a name in the logs of `fit`, the same one whose last value the objective returns.

    Raises:
        ValueError: from `fit`, after the first epoch: the logs have no such name; lists theirs.
    """
    return _callback()(trial, monitor)


@functools.cache
def _callback() -> type[Any]:
    keras: Any = importlib.import_module("keras")

    class ReportCallback(keras.callbacks.Callback):  # type: ignore[misc]  # keras is imported late
        """Reports each epoch."""

        def __init__(self, trial: Trial, monitor: str) -> None:
            super().__init__()
            self._trial, self._monitor = trial, monitor
            self._before, self._begins = 0, True

        def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002  Keras's signature
            """Called by Keras."""
            self._begins = True

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            """Called by Keras."""
            logs = logs or {}
            if self._monitor not in logs:
                raise ValueError(_missing(self._monitor, logs))
            if self._begins:
                self._before = max(0, (self._trial.last_step or 0) - epoch)
                self._begins = False
            finite = math.isfinite(logs.get("loss", 0.0))
            self._trial.report(logs[self._monitor] if finite else math.nan, self._before + epoch + 1)
            if self._trial.should_prune():  # of an objective of one argument, whose `report` does not raise
                raise Stop

    return ReportCallback


def _missing(monitor: str, logs: Mapping[str, float]) -> str:
    hint = "; val_ needs validation_data or validation_split" if monitor.startswith("val_") else ""
    return f"Report's monitor is {monitor!r}, but must be one of the logs of fit: {', '.join(logs) or 'none'}{hint}"
