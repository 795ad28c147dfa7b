"""What the tests of storages share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from jobs.storage import Storage

USES: dict[str, Callable[[Storage], object]] = {
    "read": lambda storage: storage.read("name"),
    "read_range": lambda storage: storage.read_range("name", 0, 10),
    "read_unchanged": lambda storage: storage.read_unchanged("name", (10, 'ETag ""'), 0, 10),
    "size": lambda storage: storage.size("name"),
    "exists": lambda storage: storage.exists("name"),
    "write": lambda storage: storage.write("name", b"data"),
    "write_file": lambda storage: storage.write_file("name", Path(__file__)),
    "create": lambda storage: storage.create("name", b"data"),
    "list": lambda storage: storage.list(),
    "append_log": lambda storage: storage.append_log("log"),
    "read_log": lambda storage: storage.read_log("log"),
    "check_writable": lambda storage: storage.check_writable(),
}


class _Handler(BaseHTTPRequestHandler):
    server: Replies
    protocol_version = "HTTP/1.1"  # boto3 waits 1 s for "100 Continue" from older ones

    def do_GET(self) -> None:
        status, length, body, *headers = self.server.next_reply()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.send_header("Content-Length", length or str(len(body)))
        self.send_header("Connection", "close")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *arguments: Any) -> None:
        pass


class Replies(HTTPServer):
    """A server that gives each request the next of some replies, the last one again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.give()
        self._thread = threading.Thread(target=self.serve_forever, args=[0.01])
        self._thread.start()

    def give(self, *replies: tuple[Any, ...]) -> None:
        """Give (status, Content-Length or "" for the right one, body, (header, value)...) in turn from now on."""
        self.requests = 0
        self._replies = replies

    def next_reply(self) -> tuple[Any, ...]:
        self.requests += 1
        return self._replies[min(self.requests, len(self._replies)) - 1]

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


def failure(status: int, code: str) -> tuple[int, str, bytes]:
    return status, "", f"<Error><Code>{code}</Code><Message>told so</Message></Error>".encode()
