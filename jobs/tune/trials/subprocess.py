"""`--isolate`: each try in a process of its own, a child of the worker's, so that all its memory comes back.

The child is `python -m jobs.tune.trials.subprocess FD`, where FD is its end of a pipe. The worker sends its Python
path and the task, then the driver's answers; the child sends its words to the driver, the last of them how it ended.
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
from typing import Any

import cloudpickle

from jobs.errors import JobError
from jobs.runs.log import ROLE, collect_logs
from jobs.tune.trials import execution as tasks
from jobs.tune.trials.code import checked
from jobs.tune.trials.execution import Task
from jobs.tune.trials.trial import Link, Signal

LOOK_SECONDS = 0.5
"""How often the worker looks whether a trial that was told to end has done so."""
END_SECONDS = 3.0
"""How long such a trial may take to notice; its process is killed then, before the search ends the worker's."""


def run(task: Task, link: Link, signal: Signal) -> dict[str, Any]:
    """Run a try in a child process, and say how it ended, as `task.run` does; or `died`, with its process."""
    ours, theirs = Pipe()
    with ours, theirs:
        command = [sys.executable, "-m", "jobs.tune.trials.subprocess", str(theirs.fileno())]
        child = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)  # noqa: S603  ours
        theirs.close()
        try:
            ours.send(sys.path)
            ours.send_bytes(cloudpickle.dumps(task))
            signal.follow(lambda step, reason: _tell(ours, step, reason))
            return _listen(ours, link, signal)
        except (EOFError, OSError):
            return {"state": "died", "error": f"its process ended with {_how(child.wait())}"}
        finally:
            signal.follow(None)
            child.kill()
            child.wait()


def _tell(pipe: Connection, step: int, reason: str | None) -> None:
    try:
        pipe.send((step, reason))
    except OSError:
        return  # it has ended, which the worker hears from the pipe as well


def _listen(pipe: Connection, link: Link, signal: Signal) -> dict[str, Any]:
    """Pass the child's words on until it says how it ended, or has been told to end and does not."""
    told: float | None = None
    while True:
        if pipe.poll(LOOK_SECONDS):
            word: dict[str, Any] = pipe.recv()
            if "state" in word:
                return word
            link.send(**word)
        if told is None and signal.reason in ("timeout", "abandoned"):
            told = time.monotonic()
        if told is not None and time.monotonic() - told > END_SECONDS:
            return {"state": signal.reason}


def _how(code: int) -> str:
    return f"signal {-code} (memory?)" if code < 0 else f"exit code {code}"


class _Link:
    """The child's way to the driver; its function's threads may use it too."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def send(self, **word: Any) -> None:
        with self._lock:
            self._pipe.send(word)


def _hear(pipe: Connection, signal: Signal) -> None:
    """Take the driver's answers; end with the worker."""
    while True:
        try:
            step, reason = pipe.recv()
        except (EOFError, OSError):
            os._exit(1)
        signal.answer(step, reason)


def main() -> None:
    """Run the one try that the worker sends.

    Nobody sends this process SIGINT, so a KeyboardInterrupt is one that the user's code has raised.
    """
    signals.signal(signals.SIGINT, lambda *_: None)
    if role := os.environ.get(ROLE):
        collect_logs(role)
    pipe = Connection(int(sys.argv[1]))
    sys.path[:] = pipe.recv()
    task: Task = pickle.loads(pipe.recv_bytes())  # noqa: S301  from the worker
    signal, link = Signal(), _Link(pipe)
    threading.Thread(target=_hear, args=(pipe, signal), daemon=True).start()
    try:
        end = tasks.run(checked(task.settings.source, task.settings.code), task, link, signal)
    except JobError as error:
        end = {"state": "broken", "error": tasks.clean(str(error)), "details": tasks.clean(error.details)}
    with contextlib.suppress(Exception):  # the user's code may have closed it
        sys.stdout.flush()
    link.send(**end)


if __name__ == "__main__":
    main()
