"""A group of workers that add vectors, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.sharding.blocks import Run, TreeSum, numbers
from jobs.train.exchange.inbox import Inbox, Key, Packet
from jobs.train.exchange.wire import Format, Vector

ONE_PHASE_BYTES = 1 << 20
"""Up to so many bytes every member sends its nodes to every other: one round trip less than two phases, more bytes."""
PIECE_BYTES = 1 << 23
"""Larger slices are exchanged in pieces of at most so many bytes, whose memory the process uses again, see
`process/memory`: fresh memory costs more than the exchange."""
ALIGN = 64
"""Slices begin at multiples of so many entries."""
Send = Callable[[str, Key, Packet], "Future[None]"]


@dataclass(frozen=True)
class Roster:
    """Who takes part in a group.

    Attributes:
        generation: larger than that of every group before.
        runs: address -> the parts it computes, in the order of members; members without parts are spares.
        parts: number of parts.
    """

    generation: int
    runs: Mapping[str, Sequence[Run]]
    parts: int

    def mine(self, address: str) -> list[int]:
        """Return a member's parts."""
        return list(numbers(self.runs[address]))

    @property
    def senders(self) -> list[str]:
        """Members with parts."""
        return [address for address, runs in self.runs.items() if runs]


class Group:
    """One member's side of a group.

    Args:
        roster: the group.
        address: this member's.
        inbox: where the others' messages arrive.
        send: sends a packet to a member; its future fails with OSError if the member is gone.
        form: how vectors travel.
        timeout: seconds to wait for one message.

    Attributes:
        sent: bytes of vectors that were sent.
    """

    def __init__(self, roster: Roster, address: str, inbox: Inbox, *, send: Send, form: Format, timeout: float) -> None:
        self.roster, self._address, self._inbox, self._send = roster, address, inbox, send
        self._form, self._timeout = form, timeout
        self._others = [one for one in roster.runs if one != address]
        self.mine = roster.mine(address)
        self.sent = 0

    def check(self) -> None:
        """Check that the group lives; a group of one receives no message that would tell.

        Raises:
            AbortedError: it has ended.
        """
        self._inbox.check(self.roster.generation)

    def total(self, step: int, vectors: Iterable[tuple[int, Vector]], size: int, dtype: str) -> Vector:
        """Return the sum of all parts' vectors, the same bits on every member.

        Args:
            step: the step's number.
            vectors: (part, its vector (size,)) of all parts of this member, which are used up; each is added before
                the next is asked for, so that of n parts at most log2(n) + 1 vectors are held.
            size: entries of a vector.
            dtype: its type.

        Raises:
            AbortedError: the group has ended.
            LateError: a member did not send in time.
            OSError: a member is gone.
        """
        tree = TreeSum(self.roster.parts, self._form.adder(0))
        for part, vector in vectors:
            tree.add(0, part, self._form.leaf(vector))
        if not self._others:  # not `roster.senders`: a spare sends nothing, but needs the sum
            return tree.total()
        nodes = tree.nodes()
        if size * np.dtype(dtype).itemsize <= ONE_PHASE_BYTES:
            return self._one_phase(step, tree, nodes)
        return self._two_phases(step, nodes, self._room(nodes, size, dtype))

    @staticmethod
    def _room(nodes: Sequence[tuple[int, int, Vector]], size: int, dtype: str) -> Vector:
        """Return where the sum is put together: in a node of this member, since fresh memory is slow."""
        own = next((vector for _, _, vector in nodes if vector.flags.writeable), None)
        return np.empty(size, dtype) if own is None else own

    def _one_phase(self, step: int, tree: TreeSum, nodes: Sequence[tuple[int, int, Vector]]) -> Vector:
        for _, _, vector in nodes:
            vector.flags.writeable = False  # the tree adds in place, and Dask may not have sent it by then
        # Not waited for: nothing writes into these vectors any more, and a member that is gone shows to the driver.
        self._post(step, "all", {one: (0, nodes) for one in self._others if nodes})
        for source in self.roster.senders:
            if source != self._address:
                self._receive(step, "all", source, tree)
        return tree.total()

    def _two_phases(self, step: int, nodes: Sequence[tuple[int, int, Vector]], out: Vector) -> Vector:
        """Add one slice here, and gather the others' (reduce-scatter, all-gather), piece by piece.

        While a piece is added the next one arrives, and few are held at once.
        """
        members = list(self.roster.runs)
        count = -(-out.nbytes // (len(members) * PIECE_BYTES))
        slices = self._slices(out.size, len(members) * count)
        pieces = [dict(zip(members, slices[number::count], strict=True)) for number in range(count)]
        sends = []
        for number in range(count + 2):
            if number < count and nodes:
                sends += self._scatter(step, number, nodes, pieces[number])
            if 0 <= number - 1 < count:
                sends += self._add(step, number - 1, nodes, pieces[number - 1][self._address], out)
            if number - 2 >= 0:
                self._gather(step, number - 2, pieces[number - 2], out)
        for send in sends:
            send.result(self._timeout)  # the vectors' memory is used again in the next step
        return out

    def _scatter(
        self, step: int, number: int, nodes: Sequence[tuple[int, int, Vector]], slices: Mapping[str, slice]
    ) -> list[Future[None]]:
        """Send each member its slice of a piece."""
        pieces = {
            one: (slices[one].start, [(level, index, vector[slices[one]]) for level, index, vector in nodes])
            for one in self._others
        }
        return self._post(step, f"scatter {number}", pieces)

    def _add(
        self, step: int, number: int, nodes: Sequence[tuple[int, int, Vector]], own: slice, out: Vector
    ) -> list[Future[None]]:
        """Add this member's slice of a piece, and send the others its sum."""
        tree = TreeSum(self.roster.parts, self._form.adder(own.start))
        for level, index, vector in nodes:
            tree.add(level, index, vector[own])
        for source in self.roster.senders:
            if source != self._address:
                self._receive(step, f"scatter {number}", source, tree)
        total = tree.total()
        sends = self._post(step, f"gather {number}", {one: (own.start, [(0, 0, total)]) for one in self._others})
        if not np.may_share_memory(total, out):  # else the tree has added in place there
            out[own] = total
        return sends

    def _gather(self, step: int, number: int, slices: Mapping[str, slice], out: Vector) -> None:
        """Take the others' sums of a piece."""
        for source in self._others:
            packet = self._take(step, f"gather {number}", source)
            # Of `out` this slice was sent to the source, which has it: else it could not have added it up.
            out[slices[source]] = self._form.decode(packet.vectors[0])

    @staticmethod
    def _slices(size: int, count: int) -> list[slice]:
        ends = [round(size * number / count / ALIGN) * ALIGN for number in range(1, count)]
        return [slice(low, high) for low, high in zip([0, *ends], [*ends, size], strict=True)]

    def _post(
        self, step: int, phase: str, pieces: Mapping[str, tuple[int, Sequence[tuple[int, int, Vector]]]]
    ) -> list[Future[None]]:
        """Send nodes, address -> (entry at which their vectors begin, nodes)."""
        sends = []
        for address, (start, nodes) in pieces.items():
            vectors = [self._form.encode(vector, start) for _, _, vector in nodes]
            self.sent += sum(array.nbytes for arrays in vectors for array in arrays)
            key = Key(self.roster.generation, step, phase, self._address)
            sends.append(self._send(address, key, Packet([node[:2] for node in nodes], vectors)))
        return sends

    def _receive(self, step: int, phase: str, source: str, tree: TreeSum) -> None:
        packet = self._take(step, phase, source)
        for (level, index), arrays in zip(packet.nodes, packet.vectors, strict=True):
            tree.add(level, index, self._form.decode(arrays))

    def _take(self, step: int, phase: str, source: str) -> Packet:
        key = Key(self.roster.generation, step, phase, source)
        return self._inbox.take(key, time.monotonic() + self._timeout)


def alone(parts: int, form: Format) -> Group:
    """Return the group of one process without a cluster."""

    def send(address: str, key: Key, packet: Packet) -> Future[Any]:
        raise NotImplementedError

    return Group(Roster(0, {"": [(0, parts)]}, parts), "", Inbox(), send=send, form=form, timeout=0.0)
