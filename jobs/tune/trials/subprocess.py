"""`--isolate`: each execution in a process of its own, a child of the worker's, so that all its memory is released.

The child is `python -m jobs.tune.trials.subprocess FD`, where FD is its end of a pipe. The worker sends its Python
path and the task, then the driver's answers; the child sends its messages to the driver, and last its end.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal as signals
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection, Pipe
from typing import Any, Literal, TypeAlias, cast

import cloudpickle

from jobs.errors import JobError
from jobs.runs.display.log import ROLE, collect_logs
from jobs.tune.trials import execution as tasks
from jobs.tune.trials.code import checked
from jobs.tune.trials.execution import Task
from jobs.tune.trials.messages import ExecutionEnd, TrialMessage
from jobs.tune.trials.trial import Answer, Link, Signal

LOOK_SECONDS = 0.5
"""Interval of checks whether a trial that is to end has ended."""
END_SECONDS = 3.0
"""Grace period of such a trial, or one that closed its pipe; then its process is killed, before the worker's is."""

_Message: TypeAlias = tuple[Literal["message"], TrialMessage] | tuple[Literal["end"], ExecutionEnd]
"""The child's messages."""


def run(task: Task, link: Link, signal: Signal) -> ExecutionEnd:
    """Run an execution in a child process, and return its end; `died` if the process ended without one."""
    ours, theirs = Pipe()
    with ours, theirs:
        command = [sys.executable, "-m", "jobs.tune.trials.subprocess", str(theirs.fileno())]
        # A session of its own: Ctrl-C in a terminal is the driver's, which ends its trials in order.
        child = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)  # noqa: S603  ours
        theirs.close()  # else the pipe would not end with the child, since this process holds the child's end too
        try:
            ours.send(sys.path)  # the user's modules are found as they are here
            # `send` has plain pickle, which takes no function of a script or notebook.
            ours.send_bytes(cloudpickle.dumps(task))
            signal.follow(lambda answer: _pass_on(ours, answer))
            return _listen(child, ours, link, signal)
        except (EOFError, OSError):
            return {"state": "died", "error": f"its process {_how(child)}"}
        finally:
            signal.follow(None)
            child.kill()
            child.wait()  # until its memory is free: the next trial may take this slot at once


def _pass_on(pipe: Connection, answer: Answer) -> None:
    try:
        pipe.send(answer)
    except OSError:
        return  # it has ended, which `_listen` reads from the pipe as well


def _listen(child: subprocess.Popen[bytes], pipe: Connection, link: Link, signal: Signal) -> ExecutionEnd:
    """Forward the child's messages until it sends its end, or is to end and does not.

    Raises:
        EOFError, OSError: the child has ended, or closed the pipe.
    """
    stopped: float | None = None
    while True:
        has_ended = child.poll() is not None  # before the pipe is looked at, which may still have what it sent
        if pipe.poll(LOOK_SECONDS):
            message: _Message = pipe.recv()
            if message[0] == "end":
                return message[1]
            link.send(**message[1])
        elif has_ended:
            raise EOFError  # a process that it has forked holds the pipe
        if stopped is None and signal.reason in ("timeout", "abandoned"):
            stopped = time.monotonic()
        if stopped is not None and signal.reason is not None and time.monotonic() - stopped > END_SECONDS:
            return {"state": signal.reason}


def _how(child: subprocess.Popen[bytes]) -> str:
    """Return how a process without a pipe has ended, or that it lives on: it may have become another program."""
    try:
        code = child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        return f"closed its pipe, and did not end in {END_SECONDS:g} s"
    return f"ended with signal {-code} (memory?)" if code < 0 else f"ended with exit code {code}"


class _Link:
    """The child's way to the driver; its function's threads may use it too."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def send(self, **message: Any) -> None:
        self.put(("message", cast("TrialMessage", message)))

    def put(self, message: _Message) -> None:
        with self._lock:  # the user's threads may report beside each other, and a message is several writes
            self._pipe.send(message)


def _take_answers(pipe: Connection, signal: Signal) -> None:
    """Receive the driver's answers; end with the worker."""
    while True:
        try:
            answer: Answer = pipe.recv()
        except (EOFError, OSError):
            os._exit(1)  # the worker is gone; `sys.exit` in this thread would end the thread alone
        signal.take(answer)


def main() -> None:
    """Run the one execution that the worker sends.

    No other process sends this one SIGINT, so a KeyboardInterrupt is one that the user's code has raised.
    """
    signals.signal(signals.SIGINT, lambda *_: None)
    if role := os.environ.get(ROLE):
        collect_logs(role)
    pipe = Connection(int(sys.argv[1]))
    sys.path[:] = pipe.recv()
    task: Task = pickle.loads(pipe.recv_bytes())  # noqa: S301  from the worker
    signal, link = Signal(), _Link(pipe)
    threading.Thread(target=_take_answers, args=(pipe, signal), daemon=True).start()
    try:
        end: ExecutionEnd = tasks.run(checked(task.settings.source, task.settings.code), task, link, signal)
    except JobError as error:
        end = {"state": "broken", "error": tasks.clean(error.text), "details": tasks.clean(error.details)}
    with contextlib.suppress(Exception):  # the user's code may have closed it
        sys.stdout.flush()
    link.put(("end", end))


if __name__ == "__main__":
    main()
