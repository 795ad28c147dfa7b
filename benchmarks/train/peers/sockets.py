"""The sum of all members' vectors over plain sockets: reduce-scatter and all-gather into kept buffers."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.train.peers.member import Work, serve, timed

CHUNK = 1 << 20
Vector = NDArray[np.float32]
Place = tuple[str, int] | str


class Mesh:
    """A connection to every other member.

    Args:
        rank: this member's number.
        ports: of all members.
        family: 'tcp' or 'unix'.
    """

    def __init__(self, rank: int, ports: list[int], family: str) -> None:
        kind = socket.AF_UNIX if family == "unix" else socket.AF_INET
        places = [_unix(port) if family == "unix" else ("127.0.0.1", port) for port in ports]
        self._rank, self._peers = rank, _connections(kind, places, rank)
        self._buffer = np.zeros(CHUNK // 4, np.float32)

    def sum(self, vector: Vector) -> None:
        """Replace a vector, the same size on all members, by the sum of all."""
        pieces = np.array_split(vector, len(self._peers) + 1)
        own = pieces[self._rank]
        senders = self._send({other: pieces[other] for other in self._peers})
        for peer in self._peers.values():
            for start in range(0, own.size, self._buffer.size):
                target = own[start : start + self._buffer.size]
                _receive(peer, self._buffer[: target.size])
                target += self._buffer[: target.size]
        _join(senders)
        senders = self._send(dict.fromkeys(self._peers, own))
        for other, peer in self._peers.items():
            _receive(peer, pieces[other])
        _join(senders)

    def _send(self, pieces: Mapping[int, Vector]) -> list[threading.Thread]:
        senders = [
            threading.Thread(target=self._peers[other].sendall, args=(memoryview(piece).cast("B"),))
            for other, piece in pieces.items()
        ]
        for sender in senders:
            sender.start()
        return senders


def _join(senders: list[threading.Thread]) -> None:
    for sender in senders:
        sender.join()


def _connections(kind: socket.AddressFamily, places: list[Place], rank: int) -> dict[int, socket.socket]:
    """Connect to all members of smaller rank, and wait for the others."""
    peers: dict[int, socket.socket] = {}
    with socket.socket(kind) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(places[rank])
        server.listen()
        for other in range(rank):
            peers[other] = _connect(kind, places[other])
            peers[other].sendall(bytes([rank]))
        while len(peers) < len(places) - 1:
            peer, _ = server.accept()
            peers[peer.recv(1)[0]] = peer
    for peer in peers.values() if kind == socket.AF_INET else ():
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return dict(sorted(peers.items()))


def _unix(port: int) -> str:
    return str(Path(tempfile.gettempdir()) / f"dask-jobs-bench-{port}")


def _connect(kind: socket.AddressFamily, place: Place) -> socket.socket:
    deadline = time.monotonic() + 60
    while True:
        peer = socket.socket(kind)
        try:
            peer.connect(place)
        except OSError:
            peer.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return peer


def _receive(peer: socket.socket, into: Vector) -> None:
    view = memoryview(into).cast("B")
    while view:
        view = view[peer.recv_into(view) :]


def make(rank: int, ports: list[int], family: str) -> Work:
    """Return a member's work: so many sums of vectors of so many numbers."""
    mesh = Mesh(rank, ports, family)
    if family == "unix":
        Path(_unix(ports[rank])).unlink()
    kept: dict[int, Vector] = {}

    def work(size: int, steps: int) -> dict[str, float]:
        if size not in kept:
            kept[size] = np.empty(size, np.float32)
        vector = kept[size]
        vector.fill(1)

        def sums() -> None:
            for _ in range(steps):
                mesh.sum(vector)

        answer = timed(sums)
        if vector[-1] != len(ports) ** steps and steps == 1:
            raise ArithmeticError(f"the sum of {len(ports)} ones is {vector[-1]}")
        return answer

    return work


if __name__ == "__main__":
    serve(make)
