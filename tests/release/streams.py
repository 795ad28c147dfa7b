"""What the API sends for a command in a pod, frame by frame: an honest pod's output, or that of one that lies."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from websocket import ABNF, WebSocketConnectionClosedException

from jobs.release.api.exec import Output

FRAME = 1000
SUCCESS = b'{"status": "Success"}'


class Socket:
    """A websocket that gives these frames, the first byte of each its channel: STDOUT 1, STDERR 2, status 3."""

    def __init__(self, frames: Iterable[bytes]) -> None:
        self._frames = iter(frames)

    def settimeout(self, seconds: float) -> None:
        """Do nothing: nothing is waited for."""

    def recv_data_frame(self, control: bool) -> tuple[int, Any]:  # noqa: FBT001
        data = next(self._frames, None)
        return (ABNF.OPCODE_CLOSE, None) if data is None else (ABNF.OPCODE_BINARY, SimpleNamespace(data=data))


def output(frames: Iterable[bytes]) -> Output:
    """Return the output of a command whose frames these are."""
    return Output(SimpleNamespace(sock=Socket(frames), close=lambda: None))


def packed(url: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run `jobs.release.actions.archive` as it runs in a pod."""
    line = [sys.executable, "-m", "jobs.release.actions.archive", url, *options]
    return subprocess.run(line, capture_output=True, check=False, env=dict(os.environ), timeout=240)


def of(done: subprocess.CompletedProcess[bytes], cut: int | None = None) -> Output:
    """Return an ended command as the API sends it; the connection breaks after `cut` bytes."""
    return output(_frames(done, cut))


def _frames(done: subprocess.CompletedProcess[bytes], cut: int | None) -> Iterator[bytes]:
    for start in range(0, len(done.stdout[:cut]), FRAME):
        yield b"\x01" + done.stdout[:cut][start : start + FRAME]
    if cut is not None:
        raise WebSocketConnectionClosedException("gone")
    yield b"\x02" + done.stderr
    causes = b'{"causes": [{"reason": "ExitCode", "message": "%d"}]}' % done.returncode
    yield b"\x03" + (b'{"status": "Failure", "details": ' + causes + b"}" if done.returncode else SUCCESS)


def trailer(sent: bytes) -> bytes:
    """Return the last line that an honest pod writes to standard error."""
    return json.dumps({"bytes": len(sent), "sha256": hashlib.sha256(sent).hexdigest()}).encode() + b"\n"


def tar(*members: tarfile.TarInfo | tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar of these members: regular files given as (name, content), others as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member, io.BytesIO(bytes(member.size)))
            else:
                entry = tarfile.TarInfo(member[0])
                entry.size = len(member[1])
                archive.addfile(entry, io.BytesIO(member[1]))
    return out.getvalue()


def sent(stream: bytes, stderr: bytes | None = None, status: bytes = SUCCESS) -> Output:
    """Return the output of a pod that sends `stream`, with the right trailer if no other standard error is given."""
    stderr = trailer(stream) if stderr is None else stderr
    pieces = [b"\x02" + stderr[start : start + 2**16] for start in range(0, len(stderr), 2**16)]
    return output([b"\x01" + stream, *pieces, b"\x03" + status])
