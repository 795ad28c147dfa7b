"""TensorBoard's event files, written without TensorFlow, each once."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

from jobs.errors import InputError

FOLDER = "tensorboard/"


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
