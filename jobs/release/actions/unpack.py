"""Unpacks the tar that `jobs.release.actions.archive` sends from a pod into a folder here; the pod is not trusted.

Only regular files with plain names are written: `tarfile` parses single headers, but neither follows links nor creates
anything (its `extractall` can be made to write outside of the folder, CVE-2025-4517).
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

from jobs.errors import ClusterError, InputError, JobError
from jobs.formatting import printable
from jobs.release.api.exec import Output
from jobs.storage import is_plain

BLOCK = tarfile.BLOCKSIZE
PIECE_BYTES = 1 << 20
RECORD_BYTES = 1 << 16
"""Maximum size of a pax header; `pack` writes a name and a size into it."""
NAME_BYTES, PART_BYTES, PARTS = 1000, 255, 16
"""Maximum bytes of a name and of a part of it, and maximum parts."""
SHOWN = 60
LINE = 500
INCOMPLETE = "not all of the run folder came; the same command tries again"


class _Refused(Exception):
    """The stream is not a tar of plain files; the text names what is not."""


def unpack(output: Output, folder: Path) -> None:
    """Write all files that a pod sends into an empty folder of this process's own, and check that they are complete.

    Raises:
        InputError: the pod could not read the run folder, or what it sent is not one.
        ClusterError: it is not complete.
        OSError: the folder cannot be written.
    """
    refused: _Refused | None = None
    try:
        _write_all(io.BufferedReader(output, PIECE_BYTES), folder)
    except _Refused as error:
        refused = error
    # Only now: the exit code and the digest come after all of the output. A pod that failed is the better explanation
    # of a tar that cannot be read.
    code, text = output.finish()
    lines = text.strip().splitlines() or [""]
    if code:
        raise _failure(code, lines[-1])
    if (output.size, output.digest) != _trailer(lines):
        raise ClusterError(INCOMPLETE)
    if refused:
        raise InputError(f"the pod sent what is no run folder: {refused}")


def _trailer(lines: list[str]) -> tuple[Any, Any] | None:
    """Return the pod's own count of bytes and its digest; after that line Python may write more at its exit."""
    for line in reversed(lines):
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(fields, dict) and "sha256" in fields:
            return fields.get("bytes"), fields["sha256"]
    return None


def _failure(code: int, text: str) -> JobError:
    plain = printable(text.strip())[:LINE]
    if code == ClusterError.exit_code:
        return ClusterError(plain)
    return InputError(plain or f"the run folder could not be read (exit code {code})")


def _write_all(stream: BinaryIO, folder: Path) -> None:
    while (member := _next(stream)) is not None:
        name, size = member
        try:
            path = _place(folder, name)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise _Refused(f"{_shown(name)} is both a file and a folder") from None
        with path.open("xb") as file:
            for start in range(0, size, PIECE_BYTES):
                file.write(_exactly(stream, min(PIECE_BYTES, size - start)))
        _exactly(stream, -size % BLOCK)  # a tar pads each file to whole blocks


def _place(folder: Path, name: str) -> Path:
    """Return the path of a file to create; an earlier one is removed, since of two in the tar the later counts."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(name)
    # The folder is this process's own and starts empty, so no link can be in the way.
    path.unlink(missing_ok=True)
    return path


def _next(stream: BinaryIO) -> tuple[str, int] | None:
    """Return the name and size in bytes of the next regular file; None at the end of the tar."""
    block = _exactly(stream, BLOCK)
    if not any(block):
        _check_end(stream)
        return None
    entry, records = _entry(block), {}
    if entry.type == tarfile.XHDTYPE:
        records = _records(stream, entry.size)
        entry = _entry(_exactly(stream, BLOCK))
    name = records.get("path", entry.name)
    size = records.get("size", str(entry.size))
    if entry.type != tarfile.REGTYPE or not _is_good(name):
        raise _Refused(f"{_shown(name)} is no regular file with a plain name")
    if not (size.isascii() and size.isdecimal() and len(size) < 20):
        raise _Refused(f"{_shown(name)} has no size")
    return name, int(size)


def _entry(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.TarError, ValueError):
        raise _Refused("a header of its tar cannot be read") from None


def _records(stream: BinaryIO, size: int) -> dict[str, str]:
    """Return the records of a pax header, of which `pack` writes those of long names and large sizes alone."""
    if not 0 <= size <= RECORD_BYTES:
        raise _Refused("a header of its tar is too long")
    content, records = _exactly(stream, size + -size % BLOCK)[:size], {}
    while content:
        digits = content.partition(b" ")[0]
        length = int(digits) if digits.isdigit() and len(digits) < 6 else 0
        record, content = content[len(digits) + 1 : length], content[length:]
        keyword, _, value = record.partition(b"=")
        if keyword not in (b"path", b"size") or not record.endswith(b"\n"):
            raise _Refused(f"a header of its tar has {_shown(keyword.decode(errors='replace'))}")
        try:
            records[keyword.decode()] = value[:-1].decode()
        except UnicodeDecodeError:
            raise _Refused("a name in its tar is no text") from None
    return records


def _is_good(name: str) -> bool:
    """Return whether a name is plain, and short enough for any file system and for a line of a terminal."""
    parts = name.split("/")
    if not is_plain(name) or not name.isprintable() or "\\" in name or len(parts) > PARTS:
        return False
    return len(name.encode()) <= NAME_BYTES and all(len(part.encode()) <= PART_BYTES for part in parts)


def _check_end(stream: BinaryIO) -> None:
    # tarfile fills the last record with zeros, up to a whole one.
    rest = stream.read(tarfile.RECORDSIZE + 1)
    if len(rest) > tarfile.RECORDSIZE or any(rest):
        raise _Refused("more comes after the end of its tar")


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise _Refused("its tar ends early")
    return data


def _shown(name: str) -> str:
    return repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}...")
