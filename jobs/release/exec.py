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


class Output(io.RawIOBase):
    """The standard output of a command as a stream; its frames are read one at a time, so that memory stays small.

    The kubernetes client's own reader keeps all output and copies it at every frame.

    Args:
        channels: what `Cluster.execute` returned.
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
            kind, frame = self._socket.recv_data_frame(True)
        except (WebSocketException, OSError) as error:
            raise ClusterError(f"the connection to the pod was lost ({error}); the same command tries again") from error
        if kind == ABNF.OPCODE_CLOSE:
            self._ended = True
        elif kind in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) and frame.data:
            channel, data = frame.data[0], frame.data[1:]
            if channel == STDOUT:
                self._rest = data
                self._digest.update(data)
                self.size += len(data)
            elif channel in (STDERR, STATUS):
                (self._stderr if channel == STDERR else self._status).extend(data)

    @property
    def digest(self) -> str:
        """SHA-256 of what has come."""
        return self._digest.hexdigest()

    def finish(self) -> tuple[int, str]:
        """Read to the end; return the command's exit code and its standard error.

        Raises:
            ClusterError: the connection was lost before the command's end was told.
        """
        while self.read(1 << 20):
            pass
        self._channels.close()
        try:
            status = json.loads(self._status)
        except ValueError:
            raise ClusterError("the connection to the pod was lost; the same command tries again") from None
        text = self._stderr.decode(errors="replace")
        if status.get("status") == "Success":
            return 0, text
        causes = {cause.get("reason"): cause.get("message") for cause in status.get("details", {}).get("causes", ())}
        return int(causes.get("ExitCode") or 1), text or str(status.get("message", ""))
