"""The files that a cluster has in the run folder: checkpoints in pieces, and at the end the model.

The workers write and read them, or where these do not see the run folder, the driver in their place, a piece at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import secrets
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobs.errors import ClusterError
from jobs.keras.model_file import MODEL
from jobs.storage import Storage
from jobs.train.group.coordinator import Coordinator
from jobs.train.group.worker import TrainPlugin
from jobs.train.loop import checkpoint
from jobs.train.loop.checkpoint import Manifest
from jobs.train.process.export import PREFIX, WEIGHTS
from jobs.train.process.messages import Exported
from jobs.train.replica.pieces import Shape, pieces

PROBE = "checkpoints/.probe"
Snapshot = tuple[int, list[tuple[list[int], str]]]
"""A step, and shapes and types of the state's arrays."""


class RunFiles:
    """Writes and reads the files; its coroutines run on the client's event loop.

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
        self._passing = asyncio.Lock()  # one piece at a time goes through the driver

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
        content = secrets.token_bytes(16)  # random: another machine may have a run folder of the same path
        await asyncio.to_thread(self._storage.write, PROBE, content)
        try:
            message = {"url": self._storage.url, "file": PROBE, "content": content}
            return await self._group.ask(address, TrainPlugin.reaches, **message)
        finally:
            await asyncio.to_thread(self._storage.delete, PROBE)

    async def snapshot(self) -> dict[str, Snapshot]:
        """Copy the state on all members; return address -> its step, and its arrays' shapes."""
        # All were lost while they copied: the next call restores a state first.
        while not (found := await self._group.ask_all(TrainPlugin.snapshot)):
            continue
        return found

    async def write(
        self,
        members: dict[str, Snapshot],
        progress: dict[str, Any],
        publish: Callable[[Manifest], None],
    ) -> None:
        """Have the members write their snapshot, each some pieces, and publish them; given up if all are lost.

        Args:
            members: as `snapshot` returned them.
            progress: the driver's part of the state.
            publish: gets the manifest.
        """
        step, arrays = next(iter(members.values()))
        layout = tuple(Shape(tuple(shape), dtype) for shape, dtype in arrays)
        alive, digests = list(members), dict.fromkeys(range(len(pieces(layout))), "")
        with contextlib.suppress(OSError):  # lost meanwhile: it stays unknown, and the driver writes the pieces
            if self._shared is None:
                self._shared = await self._sees(alive[0])
        while missing := [index for index, digest in digests.items() if not digest]:
            shares = {one: missing[at :: len(alive)] for at, one in enumerate(alive)}
            ended = await asyncio.gather(*(self._share(one, step, mine, digests) for one, mine in shares.items()))
            alive = [one for one, is_alive in zip(alive, ended, strict=True) if is_alive]
            if not alive:
                return  # the next one will be whole
        manifest = Manifest(step, layout, tuple(digests.values()), progress)
        await asyncio.to_thread(publish, manifest)  # in a thread: a silent store would stop all heartbeats
        self.last = manifest  # not before: a restore reads it

    async def _share(self, address: str, step: int, indices: list[int], digests: dict[int, str]) -> bool:
        """Have a worker write pieces one after the other, and note their digests; return whether it lives."""
        try:
            for index in indices:
                digests[index] = await self._piece(address, step, index)
        except OSError:
            return False
        return True

    async def _piece(self, address: str, step: int, index: int) -> str:
        if self._shared:
            url = self._storage.url
            return (await self._group.ask(address, TrainPlugin.save, url=url, step=step, index=index))[0]
        async with self._passing:
            digest, data = await self._group.ask(address, TrainPlugin.save, url=None, step=step, index=index)
            await asyncio.to_thread(self._storage.write, checkpoint.piece_name(step, index), data)
        return digest

    async def export(self, address: str, manifest: Manifest | None) -> Exported:
        """Have a worker write weights and model, the present ones or those of a checkpoint.

        Raises:
            OSError: it is gone.
            ClusterError: the run folder cannot be written.
        """
        if manifest is not None:
            await self.read(address, manifest)
        if await self._sees(address):
            return await self._group.ask(address, TrainPlugin.export, url=self._storage.url)
        exported = await self._group.ask(address, TrainPlugin.export, url=None)
        for name in (WEIGHTS, MODEL):
            await self._pass_on(address, name)
        return exported

    async def _pass_on(self, address: str, name: str) -> None:
        """Write a file to the run folder that a worker has kept."""
        with TemporaryDirectory(prefix=PREFIX) as folder:
            path, start = Path(folder, name), 0
            while data := await self._group.ask(address, TrainPlugin.read_file, file=name, start=start):
                await asyncio.to_thread(_append, path, data)
                start += len(data)
            await asyncio.to_thread(self._storage.write_file, name, path)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
