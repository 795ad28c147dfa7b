"""The plugin that trains on a Dask worker, without tasks."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Literal

import numpy as np
from distributed import Worker
from distributed.protocol import to_serialize

from jobs.cluster.plugin import call
from jobs.train.exchange.group import Group, Roster
from jobs.train.exchange.inbox import AbortedError, Inbox, Key, LateError, Packet
from jobs.train.group.run_folder import RunFolderPlugin
from jobs.train.process.fingerprint import check_gpus, fingerprint
from jobs.train.process.memory import keep_freed_memory
from jobs.train.process.messages import Built, Facts, Outcome, Status
from jobs.train.process.training import Training
from jobs.usercode import UserCode
from jobs.usercode import call as call_user


class TrainPlugin(RunFolderPlugin):
    """Holds one run's replica in this worker.

    Args:
        key: unlike the keys of all others on the cluster.
        create_model: the user's.
        seed: of the initial weights.
    """

    purpose = "train"

    def __init__(self, key: str, create_model: UserCode, seed: int) -> None:
        super().__init__(key)
        self._create_model, self._seed = create_model, seed

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop: imports and builds nothing of the user's."""
        keep_freed_memory()
        self._inbox = Inbox()
        # A driver that gave up a call, since its connection broke, calls again while the first still builds or trains:
        # that would replace a loaded model, or what a step is being taken with.
        self._one_at_a_time = asyncio.Lock()
        self._training = None
        self._snapshot = []
        super().setup(worker)

    def teardown(self, worker: Worker) -> None:
        """Called by Dask when the plugin goes or the worker ends."""
        super().teardown(worker)  # first: a call that ends by the next line is then that of a closing worker, no error
        self._inbox.abort(1 << 62)  # beyond all generations, those to come too
        training, self._training, self._snapshot = self._training, None, []
        if training:
            training.close()

    async def prepare(self) -> Built:
        """Build the model.

        Raises:
            InputError, UserCodeError: it cannot be built, or cannot be trained.
        """
        async with self._one_at_a_time:
            return await self._work(self._build)

    def _build(self) -> Built:
        threads = self.worker.state.nthreads
        check_gpus(self.worker.address, self.worker.state.total_resources.get("GPU", 0), threads)
        if self._training is None:
            self._training = Training(self._create_model, self._seed, threads)
        replica = self._training.replica
        return {"structure": replica.structure() if replica.built else "", "fingerprint": fingerprint(threads)}

    async def load(self, *, plan: bytes) -> Facts:
        """Open the data, and compile what they are computed by.

        Raises:
            InputError, DataError, UserCodeError: data, model or settings cannot be used.
        """

        def work() -> Facts:
            # From the driver, over a Dask connection; in a thread, since it may hold objects of the user's.
            return self._its.load(pickle.loads(plan))  # noqa: S301

        async with self._one_at_a_time:
            return await self._work(work)

    async def initialize(self) -> None:
        """Set the initial state."""
        await self._work(self._its.initialize)

    async def rewind(self) -> None:
        """Count steps from 0 again, with the present weights."""
        # Not in a thread: it sets two numbers, and no steps are taken meanwhile.
        self._its.rewind()

    async def status(self) -> Status:
        """Return how far this worker is."""
        # Beside the thread that takes steps: during one the numbers may be of two, and are only displayed.
        return self._its.status()

    async def fetch(self, *, index: int) -> list[Any]:
        """Return a piece of the state, for another worker."""
        return [to_serialize(part) for part in await self._work(self._its.piece, index)]

    async def copy(self, *, source: str) -> str:
        """Take over the state of another worker, piece by piece, and return its digest.

        Raises:
            OSError: that one is gone.
        """
        # Called on the source too: it returns its digest, with which all copies are compared.
        if source != self.worker.address:
            # Half of a state is none: where the source is lost meanwhile, this worker builds its model anew.
            its, self._training = self._its, None
            for index in range(await self._work(its.pieces)):
                piece = await call(self.worker.rpc, self.key, source, TrainPlugin.fetch, index=index)
                await self._work(its.put, index, piece)
            self._training = its
        return await self._work(self._its.replica.digest)

    async def push(self, *, label: Sequence[Any], nodes: Sequence[Sequence[int]], vectors: Sequence[Any]) -> None:
        """Take a packet of another worker."""
        generation, step, phase, source = label
        packet = Packet([(level, index) for level, index in nodes], list(vectors))
        self._inbox.put(Key(generation, step, phase, source), packet)

    def _send(self, address: str, key: Key, packet: Packet) -> Future[None]:
        # Not the bare array: its msgpack has none within lists, fails, and logs a fall back to pickle each time.
        vectors = [[to_serialize(array) for array in arrays] for arrays in packet.vectors]
        sending = call(
            self.worker.rpc, self.key, address, TrainPlugin.push, label=tuple(key), nodes=packet.nodes, vectors=vectors
        )
        # Called in the thread that trains, but Dask's connections belong to the event loop.
        return asyncio.run_coroutine_threadsafe(sending, self.worker.loop.asyncio_loop)

    async def abort(self, *, generation: int) -> None:
        """End a group, and all before it: this worker stops before its next step."""
        self._inbox.abort(generation)

    async def train(self, *, roster: bytes, until: int) -> Outcome:
        """Take steps with a group until `until` steps are done.

        Raises:
            UserCodeError: the loss is not finite, or the user's code raised.
            DataError, ClusterError: the data cannot be read.
        """
        async with self._one_at_a_time:
            return await self._work(self._train, pickle.loads(roster), until)  # noqa: S301  our own class

    def _train(self, roster: Roster, until: int) -> Outcome:
        its = self._its
        group = Group(
            roster, self.worker.address, self._inbox, send=self._send, form=its.form, timeout=its.plan.step_timeout
        )
        ended: Literal["done", "aborted", "late", "lost"]
        ended, late = "done", []
        try:
            its.run(group, until)
        # As values: an exception would be the user's error or, as OSError, this worker's own loss.
        except AbortedError:
            ended = "aborted"
        except LateError as error:
            ended, late = "late", error.addresses
        # TimeoutError is one too: a packet that was not taken in time.
        except OSError:
            ended = "lost"
        return {"ended": ended, "late": late, "spent": its.status()["spent"]}

    async def evaluate(self, *, parts: Sequence[int]) -> list[tuple[int, list[float]]]:
        """Return (part, its sums over the validation data) of some parts: loss times rows, rows, metrics."""
        found = await self._work(self._its.evaluate, list(parts))
        return [(part, sums.tolist()) for part, sums in found.items()]

    async def logs(self, *, sums: Sequence[float]) -> dict[str, float]:
        """Return loss and metrics, name -> value, of sums."""
        return await self._work(self._its.logs, np.asarray(sums, np.float64))

    async def weights(self) -> dict[str, Any]:
        """Return name -> value of weights and statistics."""
        found = await self._work(self._its.replica.weights)
        return {name: to_serialize(np.asarray(array, order="C")) for name, array in found.items()}

    async def set_weights(self, *, weights: dict[str, Any]) -> None:
        """Set weights and statistics by name."""
        await self._work(self._its.replica.set_weights, weights)

    async def gradients(self, *, rows: Sequence[Any], step: int, part: int) -> Any:
        """Return the vector of one part: gradients and statistics times rows, and the tail.

        Raises:
            InputError: model and rows do not fit.
        """
        return to_serialize(await self._work(self._its.single.gradients, tuple(rows), step, part))

    async def trainable(self) -> list[tuple[str, list[int]]]:
        """Return (name, shape) of each trainable variable, last where in a vector of `gradients` the rows are."""
        return await self._work(self._its.single.places)

    async def step(self, *, gradients: dict[str, Any]) -> None:
        """Take the optimizer's step by the means of gradients, by name.

        Raises:
            InputError: names or shapes do not fit.
        """
        await self._work(self._its.single.apply, gradients)

    async def apply(self, *, function: bytes) -> bytes:
        """Return function(model), pickled."""

        def work() -> bytes:
            import cloudpickle

            wanted: UserCode = pickle.loads(function)  # noqa: S301  from the driver, over Dask's connections
            data: bytes = cloudpickle.dumps(call_user("the function", wanted.load(), self._its.replica.model))
            return data

        return await self._work(work)
