"""Checkpoints: pieces, the manifest that is written last, what is kept, what is damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from serial_runs import plan_of

from jobs.errors import InputError
from jobs.storage import Storage
from jobs.train.loop import checkpoint
from jobs.train.loop.checkpoint import Checkpoints, Manifest
from jobs.train.loop.fit import Fit
from jobs.train.process.messages import Facts
from jobs.train.replica import pieces


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """A state of three pieces, one of its arrays empty, one a scalar."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1000)
    random = np.random.default_rng(0)
    return [random.standard_normal((17, 13)), np.zeros((0, 3), np.float32), np.int64(7), np.arange(100, dtype=np.int64)]


def _write(storage: Storage, state: list[np.ndarray], step: int, best: int | None = None) -> Manifest:
    layout = pieces.shapes(state)
    joined = [pieces.joined(state, cuts) for cuts in pieces.pieces(layout)]
    digests = [checkpoint.write_piece(storage, step, index, data) for index, data in enumerate(joined)]
    manifest = Manifest(step, layout, tuple(digests), {"history": {}})
    Checkpoints(storage).publish(manifest, best)
    return manifest


def test_what_is_written_is_read(storage, state):
    """Bit for bit, from a path and from S3."""
    written = _write(storage, state, 5)
    assert len(written.digests) == 3
    manifest = Checkpoints(storage).last()
    assert manifest == written
    found = [np.empty(shape.shape, shape.dtype) for shape in manifest.shapes]
    for index, cuts in enumerate(pieces.pieces(manifest.shapes)):
        data = checkpoint.read_piece(storage, manifest, index)
        assert len(data) <= pieces.PIECE_BYTES
        for cut, part in zip(cuts, pieces.split(data, manifest.shapes, cuts), strict=True):
            rows = pieces.rows_of(part, manifest.shapes[cut.array], cut)
            np.atleast_1d(found[cut.array])[cut.start : cut.stop] = rows
    for before, after in zip(state, found, strict=True):
        assert (before.shape, before.dtype, before.tobytes()) == (after.shape, after.dtype, after.tobytes())


def test_the_last_two_and_the_best_are_kept(storage, state):
    """What another attempt left half-written, before the last, is deleted too."""
    storage.write(checkpoint.piece_name(3, 0), b"left by a driver that was killed")
    for step in (1, 2, 4, 6, 8):
        _write(storage, state, step, best=2)
    assert {name for name in storage.list("checkpoints/") if name.endswith(".json")} == {
        f"checkpoints/{step:010d}.json" for step in (2, 6, 8)
    }
    assert len(storage.list("checkpoints/")) == 3 * 4


def test_a_checkpoint_without_its_manifest_does_not_count(storage, state):
    """Pieces that were written when the driver was killed are not a checkpoint; nor are they deleted under a writer."""
    _write(storage, state, 1)
    storage.write(checkpoint.piece_name(2, 0), b"half")
    last = Checkpoints(storage).last()
    assert last is not None
    assert last.step == 1


@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_a_damaged_piece_is_named(storage, state, damage):
    """And what to delete to go on from the checkpoint before."""
    manifest = _write(storage, state, 1)
    name = checkpoint.piece_name(1, 1)
    data = bytearray(storage.read(name))
    data[3] ^= 1
    {
        "missing": lambda: storage.delete(name),
        "cut": lambda: storage.write(name, bytes(data[:-1])),
        "flipped": lambda: storage.write(name, bytes(data)),
    }[damage]()
    with pytest.raises(InputError, match="0000000001-0001 is missing or damaged: delete .*0000000001.json"):
        checkpoint.read_piece(storage, manifest, 1)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"step": 1}', '{"step": 1, "shapes": [], "digests": [], "progress": 3}']
)
def test_a_damaged_manifest_is_named(storage, content):
    """One line that says what to do."""
    storage.write("checkpoints/0000000001.json", content.encode())
    with pytest.raises(InputError, match="0000000001.json is damaged .*remove it"):
        Checkpoints(storage).last()


def test_a_manifest_of_other_pieces_is_damaged(storage, state):
    """As many digests as there are pieces."""
    _write(storage, state, 1)
    name = "checkpoints/0000000001.json"
    content = json.loads(storage.read(name))
    storage.write(name, json.dumps({**content, "digests": content["digests"][:-1]}).encode())
    with pytest.raises(InputError, match="is damaged"):
        Checkpoints(storage).last()


def test_fewer_epochs_than_have_begun(storage, state):
    """Refused in the middle of an epoch; at an epoch's end the run is of the epochs that are done."""
    plan, facts = plan_of("digits"), Facts(samples=48, held_out=0, steps=26, structure="", means={})

    def check(epochs: int) -> None:
        Fit(None, plan, facts, epochs, checkpoints=Checkpoints(storage)).check(lambda _: None)  # type: ignore[arg-type]

    _write(storage, state, 24 * 26)
    check(20)
    _write(storage, state, 645)
    check(25)
    with pytest.raises(InputError, match="25 epochs have begun: give epochs at least 25, or another run"):
        check(20)
