"""The git commit of a folder, by the program `git`, which runs nothing that the repository's configuration names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from typing import TypedDict

SECONDS = 3.0
"""Maximum seconds of all requests: a repository may be huge, or on a disk that does not answer."""
SAFE = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.pager=cat",
    "core.untrackedCache=false",
)
KEPT = ("GIT_CONFIG", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
"""What begins the names of the user's own variables that count; others lead to another repository, as in a hook."""
DESCRIBED = re.compile(r"(?:(.+)-(\d+)-g)?([0-9a-f]{40,64})")
SHORT = 10


class Commit(TypedDict):
    """A folder's commit: all of its hash, as `git describe` has it, and whether a tracked file differs from it."""

    commit: str
    describe: str
    changed: bool | None
    """None: not known, since it took too long."""


def commit_of(folder: str) -> Commit | None:
    """Return the commit of the repository that a folder is in; None if it is in none, or git is not installed."""
    if (program := shutil.which("git")) is None:
        return None
    git = _Git(program, folder)
    if (text := git.ask("describe", "--always", "--tags", "--long", "--abbrev=64")) is None:
        return None
    if (found := DESCRIBED.fullmatch(text.strip())) is None:
        return None
    tag, count, commit = found.groups()
    describe = commit[:SHORT] if tag is None else tag if count == "0" else f"{tag}-{count}-g{commit[:SHORT]}"
    return {"commit": commit, "describe": describe, "changed": git.changed()}


class _Git:
    """Requests to git on one folder.

    Args:
        program: its path.
        folder: where.
    """

    def __init__(self, program: str, folder: str) -> None:
        self._command = [program, "--no-optional-locks", *(part for item in SAFE for part in ("-c", item))]
        self._folder, self._end = folder, time.monotonic() + SECONDS
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        kept |= {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
        # No protocol: a partial clone would fetch what is missing, by a program that its configuration names.
        ours = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        self._environment = kept | ours

    def changed(self) -> bool | None:
        """Return whether a tracked file differs from the commit; None if that is not known."""
        # Filters are commands of the repository's, by which git would read a file that may differ.
        names = self.ask("config", "-z", "--name-only", "--get-regexp", r"^filter\.") or ""
        drivers = {name.rpartition(".")[0] for name in names.split("\0") if "." in name}
        off = [f"{one}.{key}=" for one in sorted(drivers) for key in ("clean", "smudge", "process")]
        off += [f"{one}.required=false" for one in sorted(drivers)]
        self._command += [part for item in off for part in ("-c", item)]
        # No submodules: each has a configuration of its own.
        text = self.ask("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
        return None if text is None else bool(text.strip())

    def ask(self, *arguments: str) -> str | None:
        """Return what git answers; None if it fails, or takes too long."""
        try:
            done = subprocess.run(  # noqa: S603  no shell
                [*self._command, *arguments],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=max(0.0, self._end - time.monotonic()),
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.decode(errors="replace") if done.returncode == 0 else None
