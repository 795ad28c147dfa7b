"""Writes a run folder as one tar to standard output: `python -m jobs.release.actions.archive RUN [--journal]`.

It runs where the folder can be read, in a pod. The last line of standard error is JSON: bytes and sha256 of the tar.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import sys
import tarfile
import time
from collections.abc import Generator, Sequence
from typing import BinaryIO

from jobs import registry
from jobs.errors import InputError, JobError
from jobs.options import from_yaml
from jobs.storage import MIB, Storage, as_file, open_storage

JOURNAL = "journal/"
"""Logs, which grow while they are read."""
PART = re.compile(r"^(journal/\d+(\.log)?)/\d{8}$")
TRIES = 3
"""Maximum copies of a file that changes while it is read; `unpack` keeps the last."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tar; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    counting = Counting(sys.stdout.buffer)
    try:
        pack(open_storage(arguments[0]), counting, journal="--journal" in arguments[1:])
    except JobError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.buffer.flush()
    sys.stderr.write(json.dumps({"bytes": counting.size, "sha256": counting.digest.hexdigest()}) + "\n")
    return 0


class Counting(io.RawIOBase):
    """Forwards bytes, and counts and digests them."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.size = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile writes bytes
        """Write all of `data`."""
        self._out.write(data)
        self.size += len(data)
        self.digest.update(data)
        return len(data)


def pack(storage: Storage, out: io.RawIOBase, *, journal: bool) -> None:
    """Write all files of a run folder to `out` as a tar; with `journal` also those that are needed only to resume.

    Raises:
        InputError: the folder is empty, or cannot be read.
        ClusterError: the storage does not answer.
    """
    members = _members(storage.list(), () if journal else _resume_only(storage))
    if not members:
        raise InputError(f"run folder {storage.url} holds no files (yet)")
    # "w|": standard output cannot seek.
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, parts in members.items():
            for _ in range(TRIES):
                if _add(tar, storage, name, parts):
                    break


def _resume_only(storage: Storage) -> tuple[str, ...]:
    """Return the files that are needed only to resume; none if no file names the job (yet)."""
    try:
        options = from_yaml(storage.read("options.yaml"))
    except (FileNotFoundError, ValueError):
        return ()
    job = registry.known(options.get("job")) if isinstance(options, dict) else None
    return job.resume_only if job else ()


def _members(names: Sequence[str], left_out: tuple[str, ...]) -> dict[str, list[str]]:
    """Return name in the tar -> the files that it consists of: in S3 a log is parts, in a local folder one file."""
    members: dict[str, list[str]] = {}
    for name in names:
        if not name.startswith(left_out):
            members.setdefault(PART.sub(r"\1", name), []).append(name)
    return members


def _add(tar: tarfile.TarFile, storage: Storage, name: str, parts: Sequence[str]) -> bool:
    """Add one file; return whether it was unchanged from its first byte to its last, or is gone."""
    try:
        # A journal is only appended to: its first `size` bytes stay as they are.
        before = None if name.startswith(JOURNAL) else [storage.fingerprint(part) for part in parts]
        entry = tarfile.TarInfo(name)
        entry.mtime = int(time.time())
        entry.size = sum(storage.size(part) for part in parts)
        tar.addfile(entry, as_file(_exactly(storage, parts, entry.size)))
        return before is None or [storage.fingerprint(part) for part in parts] == before
    except FileNotFoundError:
        return True  # deleted since it was listed, as a checkpoint may be: the tar is a snapshot of a moment later


def _exactly(storage: Storage, parts: Sequence[str], size: int) -> Generator[bytes]:
    """Yield `size` bytes of the parts; zeros where they have become shorter, since the tar's header has the size."""
    with contextlib.suppress(FileNotFoundError):
        for part in parts:
            for chunk in storage.stream(part):
                yield chunk[:size]
                size -= min(len(chunk), size)
    while size:
        yield bytes(min(size, MIB))
        size -= min(size, MIB)


if __name__ == "__main__":
    sys.exit(main())
