"""What a worker reads from the run folder and writes to it: checkpoints, and at the end the model."""

from __future__ import annotations

import functools
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar

import numpy as np

from jobs.cluster.plugin import CallPlugin
from jobs.errors import ClusterError
from jobs.storage import open_storage
from jobs.train.loop import checkpoint
from jobs.train.process.export import PREFIX, export
from jobs.train.process.messages import Exported
from jobs.train.process.training import Training
from jobs.train.replica.pieces import PIECE_BYTES, Array, joined, pieces, shapes
from jobs.usercode import call as call_user

P = ParamSpec("P")
R = TypeVar("R")


class RunFolderPlugin(CallPlugin):
    """The part of the plugin that knows the run folder.

    A `url` is the run folder's where this worker sees it; else None, and the bytes go to the driver, a piece at a time.
    """

    _training: Training | None
    _snapshot: list[Array]

    async def _work(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in a thread, beside the event loop.

        Raises:
            JobError: it raised one; all else is an error of the user's model or data.
        """
        # Not as it is: what a call raises that is no JobError would count as a worker's loss, and be tried for ever.
        work = functools.partial(function, *args, **kwargs)
        return await self._in_thread(call_user, f"worker {self.worker.address}", work)

    @property
    def _its(self) -> Training:
        if self._training is None:
            # A worker whose plugin was set up anew meanwhile: the driver prepares it like one that joins.
            raise ClusterError(f"worker {self.worker.address} has no model")
        return self._training

    async def snapshot(self) -> tuple[int, list[tuple[list[int], str]]]:
        """Copy the state, which `save` writes while training goes on; return its step, and its arrays' shapes."""

        def work() -> tuple[int, list[tuple[list[int], str]]]:
            # Copies: the epoch's sums are added to in place.
            self._snapshot = [np.array(array) for array in self._its.state()]
            return self._its.step, [(list(one.shape), one.dtype) for one in shapes(self._snapshot)]

        return await self._work(work)

    async def save(self, *, url: str | None, step: int, index: int) -> tuple[str, bytes]:
        """Write a piece of the snapshot to the run folder; return its digest, and where there is no `url` the piece.

        Raises:
            ClusterError: the run folder cannot be written.
        """

        def work() -> tuple[str, bytes]:
            data = joined(self._snapshot, pieces(shapes(self._snapshot))[index])
            if url is None:
                return checkpoint.digest(data), data
            return checkpoint.write_piece(open_storage(url), step, index, data), b""

        return await self._work(work)

    async def restore(self, *, url: str | None, manifest: bytes, index: int, data: bytes) -> None:
        """Set a piece of a checkpoint, read here or sent; with the last one there is a state.

        Raises:
            InputError: the piece is damaged, or another model's.
            ClusterError: the run folder cannot be read.
        """

        def work() -> None:
            saved: checkpoint.Manifest = pickle.loads(manifest)  # noqa: S301  our own class, from the driver
            # Before the first piece: half of another model's state would be set by then.
            self._its.check_layout(saved.shapes)
            self._its.put(index, data if url is None else checkpoint.read_piece(open_storage(url), saved, index))

        await self._work(work)

    async def reaches(self, *, url: str, file: str, content: bytes) -> bool:
        """Return whether this worker sees the driver's run folder: the same content of a file."""

        def work() -> bool:
            try:
                return open_storage(url).read(file) == content
            except Exception:  # noqa: BLE001  any reason why not: it is then written by the driver
                return False

        return await self._work(work)

    async def export(self, *, url: str | None) -> Exported:
        """Write model and weights to the run folder; without a `url` keep them for `read_file`."""

        def work() -> Exported:
            if url is not None:
                return export(self._its.replica, lambda path: open_storage(url).write_file(path.name, path))
            # Kept by the plugin: the driver reads it by other calls, and with the plugin it is deleted.
            self._files = TemporaryDirectory(prefix=PREFIX)
            return export(self._its.replica, lambda path: shutil.move(path, self._files.name))

        return await self._work(work)

    async def read_file(self, *, file: str, start: int) -> bytes:
        """Return up to `PIECE_BYTES` of a file that `export` has kept, from byte `start` on; none at its end."""

        def work() -> bytes:
            with Path(self._files.name, file).open("rb") as opened:
                opened.seek(start)
                return opened.read(PIECE_BYTES)

        return await self._work(work)
