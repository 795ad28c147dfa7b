"""Training on a Dask cluster, as the loop over epochs sees it."""

from __future__ import annotations

import asyncio
import math
import pickle
import secrets
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import cloudpickle
import numpy as np
from distributed import Client
from distributed.protocol import to_serialize
from numpy.typing import NDArray

from jobs.cluster.polling import run_polling
from jobs.errors import ClusterError
from jobs.sharding.assignment import assign
from jobs.sharding.blocks import TreeSum, numbers
from jobs.storage import Storage
from jobs.train import checkpoint
from jobs.train.checkpoint import Manifest, Shape
from jobs.train.coordinator import Coordinator
from jobs.train.messages import Facts, Status
from jobs.train.plan import PARTS, Plan
from jobs.train.trainer import Progress, Sums
from jobs.train.worker import TrainPlugin
from jobs.usercode import UserCode

T = TypeVar("T")
PROBE = "checkpoints/.probe"


class ClusterTrainer:
    """Replicas on the workers of a cluster.

    Args:
        client: a synchronous client.
        create_model: the user's.
        seed: of the initial weights.
        storage: the run folder, if there is one.
        workers_timeout: seconds without any worker that are too many.
        poll: called at least twice a second; what it raises ends the wait.
        mixed: whether workers whose arithmetic differs are admitted.

    Raises:
        InputError, UserCodeError: the model cannot be trained.
        ClusterError: there is no worker.
    """

    def __init__(
        self,
        client: Client,
        create_model: UserCode,
        seed: int = 0,
        *,
        storage: Storage | None = None,
        workers_timeout: float = 300.0,
        poll: Callable[[], None] = lambda: None,
        mixed: bool = False,
    ) -> None:
        self._client, self._storage, self._poll = client, storage, poll
        self._plugin = TrainPlugin(f"train-{secrets.token_hex(8)}", create_model, seed)
        self._all = Coordinator(client, self._plugin, workers_timeout, mixed=mixed)
        self._plan: Plan | None = None
        self._saving: Future[None] | None = None
        self._manifest: Manifest | None = None
        self._started, self._calls = False, 0
        self._shared: bool | None = None
        try:
            self._run(self._all.membership.current())
        except BaseException:
            self.close()
            raise

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return run_polling(self._client, work, self._poll)

    @property
    def workers(self) -> int:
        """How many workers take part."""
        return len(self._all.membership.members)

    @property
    def lost_workers(self) -> int:
        """How many were lost while they took part."""
        return self._all.lost_workers

    @property
    def fingerprint(self) -> dict[str, str]:
        """What decides the bits of the workers' arithmetic, name -> value."""
        return self._all.fingerprint

    def load(self, plan: Plan) -> Facts:
        """Open the data on all workers.

        Raises:
            InputError, DataError, UserCodeError: they cannot be used.
            ClusterError: there is no worker.
        """
        self._plan = plan
        return self._run(self._all.load(plan))

    def start(self, manifest: Manifest | None) -> None:
        """Set the initial state, or a checkpoint's, on all workers."""
        self._manifest = manifest
        self._all.restore = self._restore
        self._run(self._all.sync())
        self._started = True

    async def _restore(self, address: str) -> None:
        """Set the last checkpoint's state on one worker, or the initial one.

        Raises:
            ClusterError: all replicas were lost at once, and there is no run folder.
        """
        if self._started and self._storage is None:
            raise ClusterError("all replicas were lost at once, and with them the weights")
        if self._manifest is None:
            await self._all.ask(address, TrainPlugin.initialize)
        else:
            await self._read(address, self._manifest)

    async def _read(self, address: str, manifest: Manifest) -> None:
        """Have one worker read a checkpoint; where it cannot reach the run folder, the driver reads it, piece by piece."""
        assert self._storage is not None
        url = self._storage.url if await self._reached(address) else None
        for index in range(len(manifest.digests)):
            data = b"" if url else await asyncio.to_thread(checkpoint.read_piece, self._storage, manifest, index)
            message = {"manifest": pickle.dumps(manifest), "index": index, "data": data}
            await self._all.ask(address, TrainPlugin.restore, url=url, **message)

    async def _reached(self, address: str) -> bool:
        """Return whether a worker sees the run folder that this process sees."""
        assert self._storage is not None
        content = secrets.token_bytes(16)
        await asyncio.to_thread(self._storage.write, PROBE, content)
        try:
            message = {"url": self._storage.url, "file": PROBE, "content": content}
            return await self._all.ask(address, TrainPlugin.reaches, **message)
        finally:
            await asyncio.to_thread(self._storage.delete, PROBE)

    def rewind(self) -> None:
        """Count steps from 0 again, with the present weights, on all workers."""
        self._run(self._rewind())

    async def _rewind(self) -> None:
        members = await self._all.sync()
        await asyncio.gather(*(self._all.or_lost(one, self._all.ask(one, TrainPlugin.rewind)) for one in members))

    def train(self, until: int, progress: Progress) -> Status:
        """Take steps until `until` are done, with whatever workers there are."""
        return self._run(self._all.train(until, progress))

    def evaluate(self) -> Sums:
        """Return the sums over the validation data, (2 + metrics,) float64; the order of parts fixes the bits."""
        return self._run(self._evaluate())

    async def _evaluate(self) -> Sums:
        assert self._plan is not None
        found: dict[int, list[float]] = {}
        while missing := [part for part in range(self._plan.parts) if part not in found]:
            members = await self._all.sync()
            shares = assign(len(missing), dict.fromkeys(members, 1), {})
            tasks = [
                self._all.or_lost(one, self._all.ask(one, TrainPlugin.evaluate, parts=[missing[at] for at in numbers(runs)]))
                for one, runs in shares.items()
            ]
            for answer in await asyncio.gather(*tasks):
                found |= dict(answer or ())
        return np.sum([found[part] for part in sorted(found)], axis=0)

    def logs(self, sums: Sums) -> dict[str, float]:
        """Return loss and metrics, name -> value, of sums."""
        return self._run(self._on_first(lambda one: self._all.ask(one, TrainPlugin.logs, sums=list(map(float, sums)))))

    async def _on_first(self, ask: Callable[[str], Coroutine[Any, Any, T]]) -> T:
        """Return the answer of a worker that has the state; of another one if it is lost meanwhile."""
        while True:
            address, *_ = await self._all.sync()
            answer = await self._all.or_lost(address, _boxed(ask(address)))
            if answer is not None:
                return answer[0]

    def save(self, step: int, progress: dict[str, Any], publish: Callable[[Manifest], None]) -> None:
        """Begin to write a checkpoint; `publish` gets its manifest once all is written, on the event loop's thread pool.

        Args:
            step: steps that are done.
            progress: the driver's part of the state.
            publish: writes the manifest.
        """
        self.saved()
        members = self._run(self._snapshot())
        work = self._save(step, members, progress, publish)
        self._saving = asyncio.run_coroutine_threadsafe(work, self._client.loop.asyncio_loop)

    async def _snapshot(self) -> dict[str, list[tuple[list[int], str]]]:
        """Copy the state on all members; return address -> shapes and types."""
        members = await self._all.sync()
        ask = self._all.ask
        found = await asyncio.gather(
            *(self._all.or_lost(one, _boxed(ask(one, TrainPlugin.snapshot))) for one in members)
        )
        return {one: answer[0] for one, answer in zip(members, found, strict=True) if answer is not None}

    async def _save(
        self,
        step: int,
        members: dict[str, list[tuple[list[int], str]]],
        progress: dict[str, Any],
        publish: Callable[[Manifest], None],
    ) -> None:
        """Have each member write pieces of the state, and publish them; given up if a member is lost meanwhile."""
        assert self._storage is not None
        layout = tuple(Shape(tuple(shape), dtype) for shape, dtype in next(iter(members.values())))
        url = self._storage.url if await self._shared_folder(list(members)) else None
        addresses = list(members)
        try:
            digests = await asyncio.gather(
                *(
                    self._piece(addresses[index % len(addresses)], url, step, index)
                    for index in range(checkpoint.piece_count(layout))
                )
            )
        except OSError:
            return  # the next one will be whole
        manifest = Manifest(step, layout, tuple(digests), progress)
        await asyncio.to_thread(publish, manifest)
        self._manifest = manifest

    async def _shared_folder(self, members: list[str]) -> bool:
        if self._shared is None:
            self._shared = all(await asyncio.gather(*(self._reached(one) for one in members[:1])))
        return self._shared

    async def _piece(self, address: str, url: str | None, step: int, index: int) -> str:
        digest, data = await self._all.ask(address, TrainPlugin.save, url=url, step=step, index=index)
        if url is None:
            assert self._storage is not None
            await asyncio.to_thread(self._storage.write, checkpoint.piece_name(step, index), data)
        return digest

    def saved(self) -> None:
        """Wait until the checkpoint that is being written is complete.

        Raises:
            ClusterError: the run folder cannot be written.
        """
        if self._saving is not None:
            saving, self._saving = self._saving, None
            self._run(_of(saving))

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return name -> value of weights and statistics."""
        return self._run(self._on_first(lambda one: self._all.ask(one, TrainPlugin.weights)))

    def set_weights(self, weights: dict[str, Any]) -> None:
        """Set weights and statistics by name on all workers."""
        self._run(self._set_weights(weights))

    async def _set_weights(self, weights: dict[str, Any]) -> None:
        members = await self._all.sync()
        await asyncio.gather(
            *(self._all.or_lost(one, self._all.ask(one, TrainPlugin.set_weights, weights=weights)) for one in members)
        )

    def gradients(self, rows: tuple[NDArray[Any], ...]) -> dict[str, NDArray[Any]]:
        """Return name -> mean gradient of rows: x, y and, if there are any, weights."""
        return self._run(self._gradients(rows))

    async def _gradients(self, rows: tuple[NDArray[Any], ...]) -> dict[str, NDArray[Any]]:
        self._calls += 1
        ends = [len(rows[0]) * part // PARTS for part in range(PARTS + 1)]
        parts = [part for part in range(PARTS) if ends[part] < ends[part + 1]]
        tree = TreeSum(len(parts))
        while missing := list(numbers(tree.missing())):
            members = await self._all.sync()
            tasks = []
            for number in missing:
                part = parts[number]
                piece = [to_serialize(np.ascontiguousarray(one[ends[part] : ends[part + 1]])) for one in rows]
                address = members[number % len(members)]
                ask = self._all.ask(address, TrainPlugin.gradients, rows=piece, step=self._calls, part=part)
                tasks.append(self._all.or_lost(address, ask))
            for number, vector in zip(missing, await asyncio.gather(*tasks), strict=True):
                if vector is not None:
                    tree.add(0, number, np.array(vector))
        have = await self._on_first(lambda one: self._all.ask(one, TrainPlugin.trainable))
        return unpacked_gradients(tree.total(), have)

    def apply_gradients(self, gradients: Mapping[str, Any]) -> None:
        """Take the optimizer's step by gradients, by name, on every replica."""
        self._run(self._apply(dict(gradients)))

    async def _apply(self, gradients: dict[str, Any]) -> None:
        members = await self._all.sync()
        sent = {name: to_serialize(np.asarray(array)) for name, array in gradients.items()}
        await asyncio.gather(
            *(self._all.or_lost(one, self._all.ask(one, TrainPlugin.step, gradients=sent)) for one in members)
        )

    def on_one(self, function: Callable[[Any], Any]) -> Any:
        """Return function(model) of one replica."""
        data = _frozen(function)
        return pickle.loads(self._run(self._on_first(lambda one: self._all.ask(one, TrainPlugin.apply, function=data))))  # noqa: S301

    def on_all(self, function: Callable[[Any], Any]) -> list[Any]:
        """Return function(model) of each replica, in the order of workers' addresses."""
        return [pickle.loads(data) for data in self._run(self._on_all(_frozen(function)))]  # noqa: S301

    async def _on_all(self, function: bytes) -> list[bytes]:
        members = await self._all.sync()
        ask = self._all.ask
        found = await asyncio.gather(
            *(self._all.or_lost(one, ask(one, TrainPlugin.apply, function=function)) for one in members)
        )
        return [data for data in found if data is not None]

    def close(self) -> None:
        """Free the workers; a cluster that is gone already is not an error."""
        if self._saving is not None:
            self._saving.cancel()
        run_polling(self._client, self._all.membership.close(), lambda: None)


def _frozen(function: Callable[[Any], Any]) -> bytes:
    code = UserCode("function", function, "my_module:function")
    code.freeze()
    return cloudpickle.dumps(code)  # type: ignore[no-any-return]


async def _boxed(work: Coroutine[Any, Any, T]) -> tuple[T]:
    return (await work,)


async def _of(future: Future[T]) -> T:
    return await asyncio.wrap_future(future)


def unpacked_gradients(
    vector: NDArray[Any], shapes: list[tuple[str, list[int]]]
) -> dict[str, NDArray[Any]]:
    """Return name -> mean gradient of a sum over parts.

    Args:
        vector: gradients times rows first.
        shapes: name and shape of each trainable variable, in order; then what is before the rows at the vector's end.
    """
    at, found = 0, {}
    *trainable, (_, (rows_at,)) = shapes
    for name, shape in trainable:
        size = math.prod(shape)
        found[name] = (vector[at : at + size] / vector[rows_at]).reshape(shape)
        at += size
    return found
