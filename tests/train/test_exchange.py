"""The exchange between members of a group, here threads with queues between them."""

from __future__ import annotations

import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from jobs.sharding.assignment import assign
from jobs.sharding.blocks import TreeSum
from jobs.train.exchange import group as exchange
from jobs.train.exchange.group import ONE_PHASE_BYTES, Group, Roster
from jobs.train.exchange.inbox import AbortedError, Inbox, Key, LateError, Packet
from jobs.train.exchange.wire import Format

PARTS = 8
SMALL, LARGE = 1000, ONE_PHASE_BYTES // 4 + 5000


class Mesh:
    """Members of one group in this process."""

    def __init__(self, members: int, parts: int = PARTS, wire: str = "full", rounded: int = 0, timeout: float = 30):
        names = [f"w{number}" for number in range(members)]
        runs = assign(parts, dict.fromkeys(names[:parts], 1), {})
        self.roster = Roster(1, {name: runs.get(name, []) for name in names}, parts)
        self.inboxes = {name: Inbox() for name in names}
        self.groups = {
            name: Group(
                self.roster, name, self.inboxes[name], send=self._send, form=Format(wire, rounded), timeout=timeout
            )
            for name in names
        }

    def _send(self, address: str, key: Key, packet: Packet) -> Future[None]:
        arrays = [[np.array(array) for array in one] for one in packet.vectors]
        self.inboxes[address].put(key, Packet(packet.nodes, arrays))
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def totals(self, vectors: dict[int, np.ndarray], step: int = 0) -> list[np.ndarray]:
        size, dtype = vectors[0].size, str(vectors[0].dtype)

        def one(name: str) -> np.ndarray:
            mine = {part: vectors[part].copy() for part in self.roster.mine(name)}
            return self.groups[name].total(step, mine.items(), size, dtype)

        with ThreadPoolExecutor(len(self.groups)) as threads:
            return [np.array(total) for total in threads.map(one, self.groups)]


def _vectors(size: int, parts: int = PARTS, dtype: str = "float32") -> dict[int, np.ndarray]:
    random = np.random.default_rng(size)
    scale = 10.0 ** random.integers(-3, 4, size)
    return {part: (scale * random.standard_normal(size)).astype(dtype) for part in range(parts)}


@pytest.fixture(autouse=True, params=[1 << 16, 1 << 30], ids=["in pieces", "whole"])
def piece_bytes(request, monkeypatch):
    """Exchange large slices in many pieces, and in one."""
    monkeypatch.setattr(exchange, "PIECE_BYTES", request.param)


@pytest.mark.parametrize("members", [1, 2, 3, 5, 8, 10])
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_members_have_the_tree_sum(members, size, dtype):
    """The bits of the sum in one process, in one phase or two, with spares, for any number of members."""
    vectors = _vectors(size, dtype=dtype)
    tree = TreeSum(PARTS)
    for part, vector in vectors.items():
        tree.add(0, part, vector.copy())
    for total in Mesh(members).totals(vectors):
        assert total.tobytes() == tree.total().tobytes()


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_half_precision_does_not_depend_on_the_members_either(size):
    """Gradients are rounded at each node, what follows them is not."""
    vectors = _vectors(size)
    rounded = size - 10
    totals = [
        total for members in (1, 2, 3, 8) for total in Mesh(members, wire="bfloat16", rounded=rounded).totals(vectors)
    ]
    assert len({total.tobytes() for total in totals}) == 1
    exact = Mesh(1).totals(vectors)[0]
    assert np.array_equal(totals[0][rounded:], exact[rounded:])
    assert np.abs(totals[0] - exact).max() > 0
    assert np.linalg.norm(totals[0] - exact) < 0.02 * np.linalg.norm(exact)


@pytest.mark.parametrize("members", [2, 4, 8])
def test_bytes_of_a_large_vector(members):
    """Each member sends 2 (n - 1) / n of the vector where the parts are aligned runs; half of it in bfloat16."""
    vectors = _vectors(LARGE)
    wanted = 2 * (members - 1) / members * LARGE * 4
    for wire, share in (("full", 1.0), ("bfloat16", 0.5)):
        mesh = Mesh(members, wire=wire, rounded=LARGE)
        mesh.totals(vectors)
        for group in mesh.groups.values():
            assert group.sent == pytest.approx(share * wanted, rel=0.01)


def test_a_large_sum_takes_the_memory_of_a_part():
    """Fresh memory of 244 MB costs more than its exchange; a part's vector is used up anyway."""
    mesh, vectors = Mesh(4), _vectors(LARGE)
    given = {name: {part: vectors[part].copy() for part in mesh.roster.mine(name)} for name in mesh.groups}
    with ThreadPoolExecutor(4) as threads:
        totals = threads.map(
            lambda name: mesh.groups[name].total(0, given[name].items(), LARGE, "float32"), mesh.groups
        )
    for total, mine in zip(totals, given.values(), strict=True):
        assert any(np.shares_memory(total, vector) for vector in mine.values())


def test_few_vectors_of_many_parts_are_held_at_once():
    """A part's vector is added before the next part computes: of 8 parts at most 4 are held, not 8."""
    held, most = [], 0

    class Tracked(np.ndarray):
        """An array that counts those that are alive."""

    def parts():
        nonlocal most
        for part in range(PARTS):
            vector = np.full(SMALL, part, "float32").view(Tracked)
            held.append(weakref.ref(vector))
            most = max(most, sum(one() is not None for one in held))
            yield part, vector
            del vector

    total = Mesh(1).groups["w0"].total(0, parts(), SMALL, "float32")
    assert total[0] == sum(range(PARTS))
    assert most == 4


def test_many_steps_one_after_another():
    """A member may be a step ahead of the others: messages are kept apart by step."""
    mesh = Mesh(3)
    vectors = {step: {part: vector + step for part, vector in _vectors(SMALL).items()} for step in range(20)}

    def one(name: str) -> list[bytes]:
        mine = mesh.roster.mine(name)
        return [
            mesh.groups[name]
            .total(step, [(part, vectors[step][part].copy()) for part in mine], SMALL, "float32")
            .tobytes()
            for step in vectors
        ]

    with ThreadPoolExecutor(3) as threads:
        first, *others = threads.map(one, mesh.groups)
    assert all(other == first for other in others)


def test_who_does_not_send_is_named():
    """A step ends after its timeout, and says who was late."""
    mesh = Mesh(2, timeout=0.2)
    mine = [(part, _vectors(SMALL)[part]) for part in mesh.roster.mine("w0")]
    with pytest.raises(LateError) as caught:
        mesh.groups["w0"].total(0, mine, SMALL, "float32")
    assert caught.value.addresses == ["w1"]


def test_an_abort_wakes_who_waits():
    """At once; messages of the group are dropped, those of the next one are kept."""
    mesh = Mesh(2)
    inbox = mesh.inboxes["w0"]
    threading.Timer(0.2, lambda: inbox.abort(1)).start()
    began = time.monotonic()
    mine = [(part, _vectors(SMALL)[part]) for part in mesh.roster.mine("w0")]
    with pytest.raises(AbortedError):
        mesh.groups["w0"].total(0, mine, SMALL, "float32")
    assert time.monotonic() - began < 20
    with pytest.raises(AbortedError):
        mesh.groups["w0"].check()
    packet = Packet([(0, 0)], [[np.zeros(1)]])
    inbox.put(Key(1, 0, "all", "w1"), packet)
    inbox.put(Key(2, 0, "all", "w1"), packet)
    assert inbox.take(Key(2, 0, "all", "w1"), time.monotonic() + 1) is packet
    with pytest.raises(AbortedError):
        inbox.take(Key(1, 0, "all", "w1"), time.monotonic() + 1)
