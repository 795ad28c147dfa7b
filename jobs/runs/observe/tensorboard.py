"""Curves for TensorBoard, as files of the run folder."""

from __future__ import annotations

import time

from jobs.runs.observe.event_file import FOLDER, Scalar, check_installed, event_file, is_due
from jobs.runs.observe.events import Event
from jobs.storage import Storage


class TensorBoardObserver:
    """Writes each value over its step; of a search, the values of trials over their numbers.

    Args:
        storage: the run folder.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, storage: Storage) -> None:
        check_installed()
        self._storage = storage
        self._waiting: list[Scalar] = []
        self._began = self._written = time.monotonic()
        self._files = 0

    def deliver(self, events: list[Event]) -> None:
        """Collect values, and write them when that is due, or at the end."""
        for event in events:
            step = event.get("step", event.get("number"))
            if step is not None:
                self._waiting += [
                    Scalar(event["job"], name, step, float(value), event["time"])
                    for name, value in event["values"].items()
                ]
        if is_due(self._began, self._written) or events[-1]["event"] == "end":
            self._write(events[-1]["attempt"])

    def _write(self, attempt: int) -> None:
        if self._waiting:
            self._files += 1
            name = f"{FOLDER}{self._waiting[0].run}/events.out.tfevents.{attempt:04}.{self._files:04}"
            self._storage.write(name, event_file(self._waiting, None))
        self._waiting, self._written = [], time.monotonic()
