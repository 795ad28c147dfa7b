"""A way to the cluster's API that can be broken: a TCP proxy, and a kubeconfig that leads through it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class Unsteady:
    """A proxy to the API server of KUBECONFIG; `kubeconfig` leads through it."""

    def __init__(self, folder: Path) -> None:
        config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        self._server = socket.create_server(("127.0.0.1", 0))
        for entry in config["clusters"]:
            url = urlsplit(entry["cluster"]["server"])
            self._target = (url.hostname, url.port or 443)
            port = self._server.getsockname()[1]
            entry["cluster"] |= {"server": f"https://127.0.0.1:{port}", "tls-server-name": url.hostname}
        self.kubeconfig = str(folder / "unsteady")
        Path(self.kubeconfig).write_text(yaml.safe_dump(config))
        self._broken = False
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections, and all that are tried, until `mend`."""
        self._broken = True
        for connection in list(self._open):
            self._drop(connection)

    def mend(self) -> None:
        """Let connections through again."""
        self._broken = False

    def close(self) -> None:
        """End the proxy."""
        self.cut()
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self._server.accept()
                if self._broken:
                    ours.close()
                    continue
                theirs = socket.create_connection(self._target, 10)
                theirs.settimeout(None)
                self._open |= {ours, theirs}
                for pair in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for connection in (source, target):
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._open.discard(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
