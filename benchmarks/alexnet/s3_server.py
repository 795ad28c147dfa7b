"""An S3 server on this machine, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from unittest import mock

KEYS = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
START_SECONDS = 30.0


@contextlib.contextmanager
def served(folder: str) -> Iterator[str]:
    """Serve S3 with its objects in a folder, where the server keeps them in files; yield the server's name.

    The `AWS_` variables name it meanwhile, also for processes that are started.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    key, secret = KEYS.values()
    name, command = "moto", [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    if found := shutil.which("versitygw"):
        name, command = "versitygw", [found, "--port", f"127.0.0.1:{port}", "--quiet", "posix", folder]
    roots = {"ROOT_ACCESS_KEY_ID": key, "ROOT_SECRET_ACCESS_KEY": secret}
    quiet = subprocess.DEVNULL
    endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    with subprocess.Popen(command, env=os.environ | roots, stdout=quiet, stderr=quiet) as server:
        try:
            _wait(port)
            with mock.patch.dict(os.environ, KEYS | endpoint):
                yield name
        finally:
            server.terminate()


def _wait(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"the S3 server does not answer after {START_SECONDS:g} s")
        time.sleep(0.1)
