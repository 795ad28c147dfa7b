"""Checkpoints: the state of training as pieces of bytes in the run folder, and a manifest that is written last."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError, argument
from jobs.storage import Storage

FOLDER = "checkpoints/"
PIECE_BYTES = 1 << 25
KEPT = 2
"""How many of the last checkpoints are kept, beside the best by validation."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """An array of the state: its name, shape and type."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


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
        return f"{FOLDER}{self.step:010d}.json"


def piece_name(step: int, index: int) -> str:
    """Return the name of a piece in the run folder."""
    return f"{FOLDER}{step:010d}-{index:04d}"


def shapes(state: Sequence[Array]) -> tuple[Shape, ...]:
    """Return the shapes of a state's arrays."""
    return tuple(Shape(tuple(array.shape), str(array.dtype)) for array in state)


def piece_count(layout: Sequence[Shape]) -> int:
    """Return the number of pieces of a state."""
    return max(-(-sum(shape.nbytes for shape in layout) // PIECE_BYTES), 1)


def piece(state: Sequence[Array], index: int) -> bytes:
    """Return a piece: bytes index * PIECE_BYTES and on of all arrays one after another."""
    low, high, at, found = index * PIECE_BYTES, (index + 1) * PIECE_BYTES, 0, []
    for array in state:
        if array.nbytes and at < high and at + array.nbytes > low:
            data = np.asarray(array, order="C").reshape(-1).view(np.uint8)
            found.append(data[max(low - at, 0) : high - at].tobytes())
        at += array.nbytes
    return b"".join(found)


def digest(data: bytes) -> str:
    """Return a piece's digest."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def joined(layout: Sequence[Shape], pieces: Sequence[bytes]) -> list[Array]:
    """Return the state's arrays from all pieces."""
    data, at, arrays = b"".join(pieces), 0, []
    for shape in layout:
        arrays.append(np.frombuffer(data, shape.dtype, math.prod(shape.shape), at).reshape(shape.shape))
        at += shape.nbytes
    return arrays


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
        return self._read(max(names)) if names else None

    def _read(self, name: str) -> Manifest:
        try:
            content = json.loads(self._storage.read(name))
            layout = tuple(Shape(tuple(one["shape"]), one["dtype"]) for one in content["shapes"])
            step, digests, progress = int(content["step"]), tuple(content["digests"]), dict(content["progress"])
            assert len(digests) == piece_count(layout), f"{len(digests)} digests"
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
    return int(digits) if digits.isdigit() else -1
