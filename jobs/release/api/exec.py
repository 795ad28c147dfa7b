"""Runs a command in a container and reads its output as bytes, through the API's websocket."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

from websocket import ABNF, WebSocketException

from jobs.errors import ClusterError

if TYPE_CHECKING:
    from typing_extensions import Buffer

SILENCE_SECONDS = 120.0
STDOUT, STDERR, STATUS = 1, 2, 3
KEPT_BYTES = 1 << 16
"""Bytes kept of the end of standard error; a status, the API's object on how the command ended, is shorter."""
LOST = "the connection to the pod was lost; the same command tries again"


class Output(io.RawIOBase):
    """The standard output of a command as a stream; its frames are read one at a time, so that memory stays small.

    The kubernetes client's own reader keeps all output and copies it at every frame.

    Args:
        channels: as `Cluster.execute` returns them.
    """

    def __init__(self, channels: Any) -> None:
        self._channels = channels
        self._socket = channels.sock
        self._socket.settimeout(SILENCE_SECONDS)
        self._rest = b""
        self._ended = False
        self._stderr = bytearray()
        self._status = bytearray()
        self._digest = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill the buffer with the next bytes of output; 0 at its end.

        Raises:
            ClusterError: the connection was lost.
        """
        while not self._rest and not self._ended:
            self._next()
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def _next(self) -> None:
        try:
            # Frame by frame on the socket: the client's own update() would keep all that has come. True: control frames
            # too, of which a close is the only sign that the command's output has ended.
            kind, frame = self._socket.recv_data_frame(True)
        except (WebSocketException, OSError) as error:
            raise ClusterError(f"the connection to the pod was lost ({error}); the same command tries again") from error
        if kind == ABNF.OPCODE_CLOSE:
            self._ended = True
        elif kind in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) and frame.data:
            # v4.channel.k8s.io: the first byte of each frame is the channel.
            channel, data = frame.data[0], frame.data[1:]
            if channel == STDOUT:
                self._rest = data
                self._digest.update(data)
                self.size += len(data)
            elif channel in (STDERR, STATUS):
                kept = self._stderr if channel == STDERR else self._status
                kept.extend(data)
                del kept[:-KEPT_BYTES]

    @property
    def digest(self) -> str:
        """SHA-256 of the output so far."""
        return self._digest.hexdigest()

    def finish(self) -> tuple[int, str]:
        """Read to the end; return the command's exit code and its standard error.

        Raises:
            ClusterError: the connection was lost before the command's status came.
        """
        while self.read(1 << 20):
            pass
        self._channels.close()
        try:
            status = json.loads(self._status)
        except (ValueError, RecursionError):
            raise ClusterError(LOST) from None
        if not isinstance(status, dict) or status.get("status") not in ("Success", "Failure"):
            raise ClusterError(LOST)
        text = self._stderr.decode(errors="replace")
        if status["status"] == "Success":
            return 0, text
        return _exit_code(status.get("details")), text or str(status.get("message", ""))


def _exit_code(details: Any) -> int:
    """Return the exit code in the details of a failure; 1 if there is none."""
    causes = details.get("causes") if isinstance(details, dict) else None
    for cause in causes if isinstance(causes, list) else ():
        if isinstance(cause, dict) and cause.get("reason") == "ExitCode":
            text = str(cause.get("message"))
            return int(text) if text in map(str, range(1, 256)) else 1  # not int() of any text: the pod is not trusted
    return 1
