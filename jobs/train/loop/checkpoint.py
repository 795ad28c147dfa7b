"""Checkpoints: the state of training as pieces of bytes in the run folder, and a manifest that is written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jobs.errors import InputError, argument
from jobs.storage import Storage
from jobs.train.replica.pieces import Shape, pieces

FOLDER = "checkpoints/"
KEPT = 2  # the one before is gone back to where a piece of the last is damaged
"""How many of the last checkpoints are kept, beside the best by validation."""


@dataclass(frozen=True)
class Manifest:
    """A complete checkpoint.

    Attributes:
        step: steps that were done.
        shapes: of the state's arrays, in order.
        digests: BLAKE2b of each piece.
        progress: the driver's own state: history, best value, callbacks.
    """

    step: int
    shapes: tuple[Shape, ...]
    digests: tuple[str, ...]
    progress: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The manifest's name in the run folder."""
        return _name(self.step)


def _name(step: int) -> str:
    return f"{FOLDER}{step:010d}.json"


def piece_name(step: int, index: int) -> str:
    """Return the name of a piece in the run folder."""
    return f"{FOLDER}{step:010d}-{index:04d}"


def digest(data: bytes) -> str:
    """Return a piece's digest."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def write_piece(storage: Storage, step: int, index: int, data: bytes) -> str:
    """Write a piece to the run folder, and return its digest.

    Raises:
        ClusterError: the run folder cannot be written.
    """
    storage.write(piece_name(step, index), data)
    return digest(data)


def read_piece(storage: Storage, manifest: Manifest, index: int) -> bytes:
    """Return a piece from the run folder.

    Raises:
        InputError: it is missing or damaged.
        ClusterError: the storage cannot be reached.
    """
    name = piece_name(manifest.step, index)
    try:
        data = storage.read(name)
    except FileNotFoundError:
        data = b""
    if digest(data) != manifest.digests[index]:
        raise InputError(
            f"{storage.address(name)} is missing or damaged: delete {storage.address(manifest.name)}, and the run goes "
            "on from the checkpoint before"
        )
    return data


class Checkpoints:
    """The checkpoints of a run folder, as its driver keeps them.

    Args:
        storage: the run folder.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def last(self) -> Manifest | None:
        """Return the last complete checkpoint.

        Raises:
            InputError: its manifest is damaged.
        """
        names = [name for name in self._storage.list(FOLDER) if name.endswith(".json")]
        return self._read(max(names)) if names else None  # numbers have leading zeros

    def at(self, step: int) -> Manifest | None:
        """Return the complete checkpoint of a step, if it was kept.

        Raises:
            InputError: its manifest is damaged.
        """
        return self._read(_name(step)) if self._storage.exists(_name(step)) else None

    def _read(self, name: str) -> Manifest:
        try:
            content = json.loads(self._storage.read(name))
            layout = tuple(Shape(tuple(one["shape"]), one["dtype"]) for one in content["shapes"])
            step, digests, progress = int(content["step"]), tuple(content["digests"]), dict(content["progress"])
            assert len(digests) == len(pieces(layout)), f"{len(digests)} digests"
        except (AssertionError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"checkpoint {self._storage.address(name)} is damaged ({error}); remove it, and the run goes on from "
                f"the one before, or choose another {argument('run')}"
            ) from error
        return Manifest(step, layout, digests, progress)

    def publish(self, manifest: Manifest, best: int | None) -> None:
        """Write a manifest, whose pieces are there, and delete checkpoints that are not kept.

        Args:
            manifest: the new checkpoint's.
            best: the step of the best checkpoint by validation, which is kept.
        """
        self._storage.write(manifest.name, json.dumps(asdict(manifest)).encode())
        self.clean(best)

    def clean(self, best: int | None) -> None:
        """Delete all but the last checkpoints, the best one, and pieces without a manifest that lie before the last."""
        names = self._storage.list(FOLDER)
        steps = sorted(_step(name) for name in names if name.endswith(".json"))
        kept = {*steps[-KEPT:], *([best] if best is not None else [])}
        # Manifests first: one without its pieces would be a checkpoint that cannot be read.
        for name in sorted(names, key=lambda name: not name.endswith(".json")):
            if _step(name) not in kept and (not steps or _step(name) <= steps[-1]):
                self._storage.delete(name)


def _step(name: str) -> int:
    digits = name.removeprefix(FOLDER)[:10]
    return int(digits) if digits.isdigit() else -1  # -1: of no step, hence never kept
