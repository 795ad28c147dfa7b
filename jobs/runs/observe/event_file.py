"""TensorBoard's event files, written without TensorFlow, each once."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import NamedTuple

from jobs.errors import InputError

FOLDER = "tensorboard/"
AGE_SHARE, MIN_SECONDS, MAX_SECONDS = 0.05, 2.0, 300.0
"""Values wait for so large a share of the attempt's time before they are written: a long run makes few files."""


class Scalar(NamedTuple):
    """A value of a curve: its run (TensorBoard's), name, step, and when it was, in seconds since 1970."""

    run: str
    tag: str
    step: int
    value: float
    moment: float


def check_installed() -> None:
    """Check that TensorBoard is there.

    Raises:
        InputError: it is not.
    """
    try:
        # Not its EventFileWriter, which imports TensorFlow where that is installed.
        import tensorboard.compat.proto.event_pb2
        import tensorboard.summary.writer.record_writer  # noqa: F401
    except ImportError as error:
        raise InputError(f"TensorBoard is needed here ({error}): pip install tensorboard") from error


def is_due(began: float, written: float) -> bool:
    """Return whether values that wait are to be written now.

    Args:
        began: when the attempt began, by `time.monotonic`.
        written: when a file was written last.
    """
    now = time.monotonic()
    return now - written >= min(max(AGE_SHARE * (now - began), MIN_SECONDS), MAX_SECONDS)


def event_file(scalars: Sequence[Scalar], anew_from: int | None) -> bytes:
    """Return the content of a file with these values.

    Args:
        scalars: at least one.
        anew_from: the step from which on a reader forgets what was written before, since the steps are taken again;
            None: nothing.
    """
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.summary.writer.record_writer import RecordWriter

    began = scalars[0].moment
    events = [Event(wall_time=began, file_version="brain.Event:2")]
    if anew_from is not None:
        events.append(Event(wall_time=began, step=anew_from, session_log=SessionLog(status=SessionLog.START)))
    for one in scalars:
        made = Event(wall_time=one.moment, step=one.step)
        made.summary.value.add(tag=one.tag, simple_value=one.value)
        events.append(made)
    data = io.BytesIO()
    writer = RecordWriter(data)
    for event in events:
        writer.write(event.SerializeToString())
    return data.getvalue()
