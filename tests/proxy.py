"""A proxy before a release's scheduler, for faults at the moment at which a worker registers."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from typing import Literal

Fault = Literal["silent", "killed"]


class Proxy(socketserver.ThreadingTCPServer):
    """Forwards connections to a scheduler; those on which a worker registers meet with `fault`.

    Args:
        host: where it listens, an address of this machine.
        port: where it listens; 0: any.
        target: the scheduler's port on 127.0.0.1.

    Attributes:
        fault: `silent`: such a connection stays open, but nothing is forwarded any more, as by a frozen process;
            `killed`: the proxy ends, as the process in a pod that is killed; None: all is forwarded.
    """

    allow_reuse_address = daemon_threads = True

    def __init__(self, host: str, port: int, target: int, fault: Fault | None = None) -> None:
        super().__init__((host, port), _Connection)
        self.target, self.fault = target, fault
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def end(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()


class _Connection(socketserver.BaseRequestHandler):
    """Copies between a worker and the scheduler until either closes the connection."""

    server: Proxy

    def handle(self) -> None:
        """Called in a thread of its own for each connection; it is closed on return."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server.target)) as scheduler:
            threading.Thread(target=self._answers, args=(scheduler,), daemon=True).start()
            sent = b""
            while chunk := self.request.recv(1 << 16):
                sent += chunk
                if self.server.fault and b"register-worker" in sent:
                    break
                scheduler.sendall(chunk)
        if self.server.fault == "killed":
            self.server.end()
        with contextlib.suppress(OSError):
            while self.server.fault == "silent" and self.request.recv(1 << 16):
                pass

    def _answers(self, scheduler: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := scheduler.recv(1 << 16):
                self.request.sendall(chunk)
