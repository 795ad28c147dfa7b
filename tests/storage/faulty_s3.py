"""A proxy before a real S3 server that injects faults into reads of objects."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import struct
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Fault = Literal["error", "slow down", "reset", "truncated", "slow", "stalled", "other range"] | None
REPLIES = {"error": (500, "InternalError"), "slow down": (503, "SlowDown")}


class FaultyS3(ThreadingHTTPServer):
    """Forwards requests to an S3 server; each read of a range meets the next of `faults`, none after the last.

    Attributes:
        faults: `error`, `slow down`: an answer of status 500, or 503; `reset`, `truncated`: half of the body, then a
            connection that is reset, or closed in order; `slow`: the body in four pieces, with pauses; `stalled`: half
            of it, and nothing for `stall` seconds; `other range`: the whole object.
        injected: how many there were.
        ranges: the `Range` header of each read.
        headers: those of the last request.
        dropped: the name of a header that is not forwarded, as by a store that does not know it.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, target: str, faults: Iterable[Fault] = (), stall: float = 1.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.injected, self.ranges, self.headers, self.stall = 0, list[str](), dict[str, str](), stall
        self.faults, self.dropped, self._lock = iter(faults), "", threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def fault(self, wanted: str) -> Fault:
        """Return the fault of the next read, of this range."""
        with self._lock:
            self.ranges.append(wanted)
            fault = next(self.faults, None)
            self.injected += fault is not None
            return fault

    def end(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of the proxy."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultyS3
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.headers = dict(self.headers)
        wanted = self.headers.get("Range", "") if self.command == "GET" else ""
        fault = self.server.fault(wanted) if wanted else None
        if fault in REPLIES:
            status, code = REPLIES[fault]
            self._reply(status, [], f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode())
        else:
            self._forward(fault)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def _forward(self, fault: Fault) -> None:
        dropped = "Range" if fault == "other range" else self.server.dropped
        headers = {name: value for name, value in self.headers.items() if name != dropped}
        connection = http.client.HTTPConnection(self.server.target)
        with contextlib.closing(connection):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection.request(self.command, self.path, body, headers)
            reply = connection.getresponse()
            self._reply(reply.status, reply.getheaders(), reply.read(), fault if reply.status == 206 else None)

    def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: Fault = None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self._send(body, fault)

    def _send(self, body: bytes, fault: Fault) -> None:
        half = len(body) // 2
        if fault in ("reset", "truncated", "stalled"):
            self.wfile.write(body[:half])
            self.close_connection = True
            if fault == "stalled":
                time.sleep(self.server.stall)
            if fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())  # not `close`, which the file objects of the handler put off
        else:
            pieces = 4 if fault == "slow" else 1
            for piece in range(pieces):
                self.wfile.write(body[len(body) * piece // pieces : len(body) * (piece + 1) // pieces])
                time.sleep(0.01 if fault == "slow" else 0)

    def log_message(self, *arguments: Any) -> None:
        pass
