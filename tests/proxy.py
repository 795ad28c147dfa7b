"""A proxy before a server: a scheduler that fails at the moment at which a worker registers, or one that is away."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from typing import Literal

Fault = Literal["silent", "killed", "away", "frozen"]


class Proxy(socketserver.ThreadingTCPServer):
    """Forwards connections to a server; new ones, or those on which a worker registers, meet with `fault`.

    Args:
        host: where it listens, an address of this machine.
        port: where it listens; 0: any.
        target: the server's port on 127.0.0.1.

    Attributes:
        fault: `away`: each new connection is closed at once, as where the server is away; `silent`: one on which a
            worker registers stays open, but nothing is forwarded any more, as by a frozen process; `killed`: with
            such a one the proxy ends, as the process in a pod that is killed; `frozen`: all connections stay open, and
            nothing is answered; None: all is forwarded.
        closed: connections that were closed since the server is away.
        unanswered: pieces of requests that a frozen server got.
    """

    allow_reuse_address = daemon_threads = True

    def __init__(self, host: str, port: int, target: int, fault: Fault | None = None) -> None:
        super().__init__((host, port), _Connection)
        self.target, self.fault = target, fault
        self.port, self.closed, self.unanswered = self.server_address[1], 0, 0
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def end(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()


class _Connection(socketserver.BaseRequestHandler):
    """Copies between a client and the server until either closes the connection."""

    server: Proxy

    def handle(self) -> None:
        """Called in a thread of its own for each connection; it is closed on return."""
        if self.server.fault == "away":
            self.server.closed += 1
            return
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server.target)) as target:
            threading.Thread(target=self._answers, args=(target,), daemon=True).start()
            sent = b""
            while chunk := self.request.recv(1 << 16):
                if self.server.fault == "frozen":
                    self.server.unanswered += 1
                    continue
                sent += chunk
                if self.server.fault in ("silent", "killed") and b"register-worker" in sent:
                    break
                target.sendall(chunk)
        if self.server.fault == "killed":
            self.server.end()
        with contextlib.suppress(OSError):
            while self.server.fault == "silent" and self.request.recv(1 << 16):
                pass

    def _answers(self, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := target.recv(1 << 16):
                self.request.sendall(chunk)
