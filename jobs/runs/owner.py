"""The driver of an attempt: the process that claimed its number, and whether it is alive."""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from jobs.errors import DAMAGED
from jobs.runs.encoding import as_json

if TYPE_CHECKING:
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

STALE = "stale"


@dataclass(frozen=True)
class Owner:
    """The process of an attempt's driver.

    Attributes:
        host: the name of its machine.
        process: its number there.
        started: when it was started, in seconds of the epoch.
    """

    host: str
    process: int
    started: float

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine; of another one's nothing is known."""
        return self.host == socket.gethostname()

    @property
    def lives(self) -> bool:
        """Whether this machine has the process."""
        try:
            process = psutil.Process(self.process)
            # The start time too: process ids are reused, in a restarted container nearly always.
            # A zombie has ended.
            return bool(process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE)
        except (psutil.NoSuchProcess, *DAMAGED):  # a damaged file may give any type for a process
            return False

    @property
    def is_this(self) -> bool:
        """Whether it is this process."""
        return self.process == os.getpid()


def this_process() -> bytes:
    """Return the content of an attempt's file whose driver is this process."""
    process = psutil.Process()
    owner = {"host": socket.gethostname(), "process": process.pid, "started": process.create_time()}
    return as_json(owner | {"id": secrets.token_hex(8)})  # one process may make several runs


def last_owner(storage: Storage) -> Owner | None:
    """Return the owner of a run's last attempt; None if there is none, or it cannot be read."""
    for name in storage.list("attempts/")[-1:]:
        try:
            owner = json.loads(storage.read(name))
            return Owner(owner["host"], owner["process"], owner["started"])
        except DAMAGED:
            return None
    return None


def state_of(run: RunFolder, dead: Owner | None) -> str:
    """Return a run's state; `stale` if it is as running, and its last driver, of this machine, is gone."""
    return STALE if dead and run.state == "running" else run.state


def dead_driver(storage: Storage) -> Owner | None:
    """Return the owner of a run's last attempt if it was a process of this machine and is gone; else None."""
    owner = last_owner(storage)
    return owner if owner and owner.is_here and not owner.lives else None
