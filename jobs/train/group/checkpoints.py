"""Checkpoints of a cluster: pieces of the state, written and read by the workers, or by the driver in their place."""

from __future__ import annotations

import asyncio
import pickle
import secrets
from collections.abc import Callable
from typing import Any

from jobs.errors import ClusterError
from jobs.storage import Storage
from jobs.train.group.coordinator import Coordinator, boxed
from jobs.train.group.worker import TrainPlugin
from jobs.train.loop import checkpoint
from jobs.train.loop.checkpoint import Manifest, Shape

PROBE = "checkpoints/.probe"
Snapshot = tuple[int, list[tuple[list[int], str]]]
"""A step, and shapes and types of the state's arrays."""


class CheckpointWriter:
    """Writes and reads checkpoints; its coroutines run on the client's event loop.

    Args:
        group: the replicas.
        storage: the run folder, if there is one.

    Attributes:
        last: the last complete checkpoint.
    """

    def __init__(self, group: Coordinator, storage: Storage | None) -> None:
        self._group, self._given = group, storage
        self.last: Manifest | None = None
        self._shared: bool | None = None

    @property
    def _storage(self) -> Storage:
        if self._given is None:
            raise ClusterError("there is no run folder for checkpoints")
        return self._given

    async def read(self, address: str, manifest: Manifest) -> None:
        """Set a checkpoint's state on one worker; where it does not see the run folder, the driver sends the pieces."""
        url = self._storage.url if await self._sees(address) else None
        for index in range(len(manifest.digests)):
            data = b"" if url else await asyncio.to_thread(checkpoint.read_piece, self._storage, manifest, index)
            ask = self._group.ask
            await ask(address, TrainPlugin.restore, url=url, manifest=pickle.dumps(manifest), index=index, data=data)

    async def _sees(self, address: str) -> bool:
        """Return whether a worker sees the run folder that this process sees."""
        content = secrets.token_bytes(16)
        await asyncio.to_thread(self._storage.write, PROBE, content)
        try:
            message = {"url": self._storage.url, "file": PROBE, "content": content}
            return await self._group.ask(address, TrainPlugin.reaches, **message)
        finally:
            await asyncio.to_thread(self._storage.delete, PROBE)

    async def snapshot(self) -> dict[str, Snapshot]:
        """Copy the state on all members; return address -> its step, and its arrays' shapes."""
        while True:
            members = await self._group.sync()
            asks = [self._group.or_lost(one, boxed(self._group.ask(one, TrainPlugin.snapshot))) for one in members]
            answers = dict(zip(members, await asyncio.gather(*asks), strict=True))
            if found := {one: answer[0] for one, answer in answers.items() if answer is not None}:
                return found

    async def write(
        self,
        members: dict[str, Snapshot],
        progress: dict[str, Any],
        publish: Callable[[Manifest], None],
    ) -> None:
        """Have each member write pieces of its snapshot, and publish them; given up if one is lost meanwhile.

        Args:
            members: as `snapshot` returned them.
            progress: the driver's part of the state.
            publish: gets the manifest.
        """
        step, arrays = next(iter(members.values()))
        layout = tuple(Shape(tuple(shape), dtype) for shape, dtype in arrays)
        addresses, count = list(members), checkpoint.piece_count(layout)
        try:
            if self._shared is None:
                self._shared = await self._sees(addresses[0])
            pieces = (self._piece(addresses[index % len(addresses)], step, index) for index in range(count))
            digests = await asyncio.gather(*pieces)
        except OSError:
            return  # the next one will be whole
        manifest = Manifest(step, layout, tuple(digests), progress)
        await asyncio.to_thread(publish, manifest)
        self.last = manifest

    async def _piece(self, address: str, step: int, index: int) -> str:
        url = self._storage.url if self._shared else None
        digest, data = await self._group.ask(address, TrainPlugin.save, url=url, step=step, index=index)
        if url is None:
            await asyncio.to_thread(self._storage.write, checkpoint.piece_name(step, index), data)
        return digest
