"""The run folder: options, attempts, status and result of one job, and its signals and deadline."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from jobs.errors import AccessError, ClusterError, InputError, JobError, Stopped, Superseded, argument
from jobs.npy import read_array
from jobs.options import COMMON_OPTIONS, JobOptions, from_yaml
from jobs.runs.encoding import as_json, to_json
from jobs.runs.observe.events import Kind
from jobs.runs.observe.observation import Observation
from jobs.runs.owner import last_owner, this_process
from jobs.runs.stop import StopRequest
from jobs.sources import digest
from jobs.storage import AGAIN, open_storage

FIRST = "attempts/0001"
NOT_OBSERVED = "not_observed"
"""Key of what is wrong with a run's observers, in the result that a job returns; not in result.json."""
log = logging.getLogger(__name__)
# In S3 each status is three requests: HEAD of object and bucket for the next attempt, and PUT.
STATUS_SECONDS = {"local": 1.0, "s3": 10.0}


class Run:
    """One job on one run folder, from this attempt's start to its end.

    Args:
        url: the folder, a path or s3://bucket/prefix.
        job: the job's name.
        options: all its options.

    Attributes:
        on_status: called whenever status.json was written.

    Raises:
        InputError: no write access, or the folder is another job's.
    """

    def __init__(self, url: str, job: str, options: JobOptions) -> None:
        self.storage = open_storage(url)
        self.url, self.job, self.options = url, job, options
        self._check_folder()
        self.attempt = 0
        self.superseded = False
        self.on_status: Callable[[], None] = lambda: None
        self._observation = Observation()
        self._stop = StopRequest(options.deadline)
        self._written = -np.inf
        self._interval = STATUS_SECONDS["s3" if self.storage.url.startswith("s3://") else "local"]
        self._status: dict[str, Any] = {}

    def _check_folder(self) -> None:
        self.storage.check_writable()
        before = self._read_options()
        ours = (".", "attempts/")  # an attempt that ended before it had written its options
        if before is None and (names := [name for name in self.storage.list() if not name.startswith(ours)]):
            raise InputError(
                f"{argument('run')} {self.url} is no run folder: it holds {names[0]!r}; choose a new or empty one"
            )
        if before is not None and before.get("job") != self.job:
            raise InputError(
                f"{argument('run')} {self.url} is a run of {before.get('job')!r}, not of {self.job!r}; "
                "choose another one"
            )

    def _read_options(self) -> dict[str, Any] | None:
        try:
            options = from_yaml(self.storage.read("options.yaml"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise InputError(
                f"{argument('run')} {self.url}: its options.yaml is no YAML; choose another folder"
            ) from error
        if not isinstance(options, dict) or not isinstance(options.get("job"), str):  # such as a network's login page
            raise InputError(f"{argument('run')} {self.url}: its options.yaml holds no options; choose another folder")
        return options

    def result(self) -> dict[str, Any] | None:
        """Return the result if this job has ended successfully with the same options, else None."""
        before, now = self._read_options() or {}, as_yaml(self.job, self.options)
        return self.kept_result() if self._computes(before) == self._computes(now) else None

    def kept_result(self) -> dict[str, Any] | None:
        """Return the folder's result, whatever its options were; None if there is none."""
        try:
            result = json.loads(self.storage.read("result.json"))
        # A damaged one is none: the run goes on, and writes it anew.
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        return result if isinstance(result, dict) and result else None

    def _computes(self, options: Mapping[str, Any]) -> dict[str, Any]:
        may_change = COMMON_OPTIONS | set(self.options.MAY_CHANGE)
        return {name: value for name, value in options.items() if name not in may_change}

    def start(self) -> None:
        """Claim the next attempt's number and write the options.

        Raises:
            InputError: another driver on this machine runs on the folder.
        """
        self._check_alone()
        self.attempt = len(self.storage.list("attempts/")) + 1  # where to begin; `create` decides
        owner = this_process()
        # Only one driver can create each number. Before options.yaml, which only a driver that has a number may write.
        while not self.storage.create(_attempt(self.attempt), owner):
            self.attempt += 1
        self.storage.write("options.yaml", yaml.safe_dump(as_yaml(self.job, self.options), sort_keys=False).encode())
        # The result alone marks a run as ended, so it is deleted before the first status of an attempt that runs.
        self.storage.delete("result.json")
        self._observation.start(self.attempt, self.options.model_dump(mode="json"))
        self.status("running", now=True)

    def _check_alone(self) -> None:
        """Refuse to start beside a live driver on this machine; one elsewhere stops by itself, see `status`."""
        other = last_owner(self.storage)
        if other and other.is_here and other.lives and not other.is_this:
            raise InputError(
                f"{argument('run')} {self.url}: another driver, process {other.process}, is at work on it; "
                "wait for it, or stop it"
            )

    def status(self, state: str, *, now: bool = False, **fields: Any) -> None:
        """Update status.json: at once, or when the last one is old enough.

        Raises:
            Superseded: a later attempt has started; this one must not write any more.
        """
        self._status |= fields
        self._observation.status(fields)
        if now or time.monotonic() - self._written > self._interval:
            # Not a lock: until here both drivers may have written. Both compute the same bits, so no answer is lost.
            if self.storage.exists(_attempt(self.attempt + 1)):
                self.superseded = True
                raise Superseded(
                    f"attempt {self.attempt + 1} has taken over {argument('run')} {self.url}; this one has stopped"
                )
            content = {"job": self.job, "state": state, "attempt": self.attempt, **self._status, "updated": time.time()}
            self.storage.write("status.json", as_json(content))
            self.on_status()
            self._written = time.monotonic()

    def finish(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Write the result, last of all, and return the content of result.json."""
        content: dict[str, Any] = to_json({"job": self.job, "run_id": run_id(self.storage.read(FIRST)), **result})
        self.status("done", now=True)
        self.storage.write("result.json", as_json(content))
        # In what is returned alone: the file is there, and what is wrong with its observers is no part of the result.
        wrong = self._observation.end("done", 0, result=content)
        return content | ({NOT_OBSERVED: wrong} if wrong else {})

    def fail(self, error: BaseException) -> None:
        """Write this attempt's error to status.json; the storage itself may be what failed."""
        if self.superseded:
            return
        state = "stopped" if isinstance(error, Stopped) else "failed"
        details = getattr(error, "details", "")
        with contextlib.suppress(JobError):
            code = getattr(error, "exit_code", 1)
            text = str(error) or type(error).__name__
            self.status(state, now=True, error=text, details=details, exit_code=code)
            if wrong := self._observation.end(state, code, error=text):
                log.warning("not observed: %s", wrong)

    def observed(self) -> AbstractContextManager[None]:
        """Send events to the observers that the options name, within the context.

        Raises:
            InputError: one is not installed, or cannot be imported; or the port of the metrics is taken.
        """
        return self._observation.of(self.job, self.storage, self.options)

    def observe(self, kind: Kind, **fields: Any) -> None:
        """Send an event of the attempt to its observers, see `jobs.runs.observe.events.Event`."""
        self._observation.send(kind, **fields)

    def save_array(self, name: str, array: NDArray[np.float64]) -> None:
        """Write an array as NumPy's .npy."""
        buffer = io.BytesIO()
        np.save(buffer, array)
        self.storage.write(name, buffer.getvalue())

    def load_array(self, name: str) -> NDArray[np.float64] | None:
        """Return an array of the run folder, None if there is none."""
        try:
            return read_array(self.storage.read(name))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise InputError(
                f"{self.storage.address(name)} is damaged ({error}); choose another {argument('run')}"
            ) from error

    def poll(self) -> None:
        """Raise Stopped if a signal came or the deadline has passed; called at least twice per second."""
        self._stop.poll()

    def explained(self, error: BaseException) -> BaseException:
        """Return the error that the attempt ends with, in the place of this one; see `StopRequest.explained`.

        Credentials that a store refuses once the attempt has begun have expired: with new ones it goes on.
        """
        if self.attempt and isinstance(error, AccessError):
            error = ClusterError(f"{error.text}; renew them, {AGAIN}", error.details)
        return self._stop.explained(error)

    def heartbeat(self) -> None:
        """Poll, and update status.json when it is old: for work that has no steps to show.

        Raises:
            Stopped: as of `poll`.
            Superseded: as of `status`.
        """
        self.poll()
        self.status("running")

    def signals(self) -> AbstractContextManager[None]:
        """Stop the job on SIGTERM and SIGINT: before its start at once, later at its next poll; see `StopRequest`."""
        return self._stop.signals(lambda: self.attempt > 0)


def as_yaml(job: str, options: JobOptions) -> dict[str, Any]:
    """Return a job's options as the content of options.yaml."""
    return {"job": job, **options.model_dump(mode="json")}


def run_id(first: bytes) -> str | None:
    """Return the identifier of a run: 16 hex digits of the file of its first attempt, `FIRST`; None if it is empty."""
    # So it is on a file system without hard links, if the driver was killed as it began.
    return digest(first) if first else None


def _attempt(number: int) -> str:
    return f"attempts/{number:04d}"
