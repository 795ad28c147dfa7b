"""The provenance of a run as its folder has it, which may come from elsewhere: data, of bounded size, checked."""

from __future__ import annotations

import re
import shlex
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from jobs.errors import InputError
from jobs.formatting import plural
from jobs.runs.folder import readable
from jobs.runs.provenance.code import FOLDER as CODE
from jobs.storage import MIB

if TYPE_CHECKING:
    from jobs.storage import Storage

FOLDER = "provenance/"
MAX_BYTES = 4 * MIB
MAX_ROWS = 2000
"""Maximum rows of a table in a report: a folder from elsewhere may name any number of packages."""
_NAME = re.compile(r"\d{4,9}\.json")


class Git(BaseModel):
    """A commit, as of `jobs.runs.provenance.git`."""

    commit: str
    describe: str
    changed: bool | None


class Code(BaseModel):
    """The user's modules: label -> digest; label -> reason of those that are not copied; their commit."""

    name: str = Field(pattern=r"^[0-9a-f]{8}$")
    sources: dict[str, str]
    left_out: dict[str, str]
    git: Git | None = None

    @property
    def folder(self) -> str:
        """Where the copy is in the run folder."""
        return f"{CODE}{self.name}/"

    @property
    def text(self) -> str:
        """The code in a line."""
        first = next(iter(self.sources), "no module")
        more = f" and {plural(len(self.sources) - 1, 'more module')}" if len(self.sources) > 1 else ""
        return f"{first}{more}, code {self.name}{self._commit}"

    @property
    def _commit(self) -> str:
        if self.git is None:
            return ""
        state = {True: ", changed since", False: "", None: ", perhaps changed since"}[self.git.changed]
        return f"; git {self.git.describe}{state}"


class Provenance(BaseModel):
    """What `jobs.runs.provenance.record` has written of an attempt."""

    attempt: int
    time: str
    command: list[str]
    python: str
    platform: str
    image: str = ""
    release: str = ""
    namespace: str = ""
    identity: dict[str, Any]
    code: Code | None = None
    packages: dict[str, str]

    @property
    def command_line(self) -> str:
        """The command as typed, for a shell; of a run from Python that it was none."""
        return shlex.join(self.command) if self.command else "a Python program, no command"

    @property
    def software(self) -> str:
        """Python, packages, platform, and in a release its image."""
        release = f", release {self.release} in {self.namespace}" if self.release else ""
        image = f"; image {self.image}{release}" if self.image else ""
        return f"Python {self.python}, {plural(len(self.packages), 'package')}, {self.platform}{image}"

    def rows(self) -> list[tuple[str, str]]:
        """Return it in two or three lines: name and text."""
        code = [("code", self.code.text)] if self.code else []
        return [("made by", self.command_line), *code, ("software", self.software)]


def read_provenance(storage: Storage) -> Provenance | None:
    """Return the provenance of a run's last attempt that has one; None if none has.

    Raises:
        InputError: it is damaged.
        ClusterError: the storage failed.
    """
    names = [name for name in storage.list(FOLDER) if _NAME.fullmatch(name.removeprefix(FOLDER))]
    if not names:
        return None
    last = max(names, key=lambda name: int(name.removeprefix(FOLDER)[:-5]))
    with readable(storage.url, last):
        if (size := storage.size(last)) > MAX_BYTES:
            raise InputError(f"{storage.address(last)} is of {size:,} bytes, but at most {MAX_BYTES:,} are read")
        return Provenance.model_validate_json(storage.read(last), strict=True)


def tables(found: Provenance) -> dict[str, list[tuple[str, Any]]]:
    """Return title -> rows of name and value, for a report."""
    code = found.code
    named = {
        "Attempt": [("attempt", found.attempt), ("started", found.time), *found.rows()],
        "Identity": list(found.identity.items()),
        "Source code": [*code.sources.items(), *((name, f"not copied: {why}") for name, why in code.left_out.items())]
        if code
        else [],
        "Packages": list(found.packages.items()),
    }
    return {title: list(islice(rows, MAX_ROWS)) for title, rows in named.items() if rows}
