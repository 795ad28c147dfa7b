"""Training on a Dask cluster, as the loop over epochs sees it."""

from __future__ import annotations

import asyncio
import pickle
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import cloudpickle
import numpy as np
from distributed import Client
from numpy.typing import NDArray

from jobs.cluster.bits import Bits
from jobs.cluster.polling import run_polling
from jobs.errors import ClusterError
from jobs.sharding.assignment import assign
from jobs.sharding.blocks import numbers
from jobs.storage import Storage
from jobs.train.group.coordinator import Coordinator
from jobs.train.group.run_files import RunFiles
from jobs.train.group.single_steps import mean_gradients, take_step
from jobs.train.group.worker import TrainPlugin
from jobs.train.loop.checkpoint import Manifest
from jobs.train.loop.timeline import Timeline
from jobs.train.loop.trainer import Progress, RolledBackError, Sums
from jobs.train.process.messages import Exported, Facts, Status
from jobs.train.process.plan import Plan
from jobs.usercode import UserCode

T = TypeVar("T")


class ClusterTrainer:
    """Replicas on the workers of a cluster.

    Args:
        client: a synchronous client.
        create_model: the user's.
        seed: of the initial weights.
        storage: the run folder, if there is one.
        workers_timeout: seconds without any worker that are too many.
        poll: called at least twice a second; what it raises ends the wait.
        bits: the arithmetic of the run's processes, to which the workers' is added (None: workers that differ are
            refused).

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
        bits: Bits | None = None,
    ) -> None:
        self._client, self._storage, self._poll = client, storage, poll
        self._plugin = TrainPlugin(f"train-{secrets.token_hex(8)}", create_model, seed)
        self._all = Coordinator(client, self._plugin, workers_timeout, bits or Bits(differing="refuse"))
        self._plan: Plan | None = None
        self._timeout: float | None = None
        self._all.restore = self._restore
        self._files = RunFiles(self._all, storage)
        self._saving: Future[None] | None = None
        self._started, self._calls, self._reached = False, 0, 0
        try:
            self._run(self._all.membership.current())
        except BaseException:
            self.close()  # else the plugin stays on the workers as long as the client
            raise

    def _run(self, work: Coroutine[Any, Any, T], poll: Callable[[], None] = lambda: None) -> T:
        def look() -> None:
            self._poll()
            poll()

        overdue = f"the workers did not answer in {self._timeout} s"
        return run_polling(self._client, work, look, timeout=self._timeout, overdue=overdue)

    def hurry(self, seconds: float) -> None:
        """Let what is done from now on take so many seconds each, and do it in spite of a signal."""
        self._poll, self._timeout = lambda: None, seconds

    def status(self) -> Status:
        """Return how far the workers are, once a group that was interrupted has ended."""
        return self._run(self._all.status())

    @property
    def workers(self) -> int:
        """How many workers take part."""
        return len(self._all.membership.members)

    @property
    def lost_workers(self) -> int:
        """How many were lost while they took part."""
        return self._all.lost_workers

    @property
    def timeline(self) -> Timeline:
        """Which worker took part when."""
        return self._all.timeline

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
        self._files.last = manifest
        self._run(self._all.sync())
        self._started, self._reached = True, manifest.step if manifest else 0

    async def _restore(self, address: str) -> None:
        """Set the last checkpoint's state on one worker, or the initial one.

        Raises:
            ClusterError: all replicas were lost at once, and there is no run folder.
            RolledBackError: steps were lost that the caller knows as done, with what it did at the ends of epochs.
        """
        if self._started and self._storage is None:
            raise ClusterError("all replicas were lost at once, and with them the weights")
        manifest = self._files.last
        if manifest is None:
            await self._all.ask(address, TrainPlugin.initialize)
        else:
            await self._files.read(address, manifest)
        step = manifest.step if manifest else 0
        if step < self._reached:
            self._reached = step
            raise RolledBackError(manifest)

    def rewind(self) -> None:
        """Count steps from 0 again, with the present weights, on all workers."""
        self._reached = 0
        self._run(self._all.ask_all(TrainPlugin.rewind))

    def train(self, until: int, progress: Progress) -> Status:
        """Take steps until `until` are done, with whatever workers there are; `progress` is called in this thread."""
        seen: deque[Status] = deque(maxlen=1)

        def show() -> None:
            # Not on the event loop: it writes to the run folder, and a store that is silent would stop all heartbeats.
            if seen:
                progress(seen.pop())

        status = self._run(self._all.train(until, seen.append), show)
        self._reached = status["step"]
        return status

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
                self._all.or_lost(
                    one, self._all.ask(one, TrainPlugin.evaluate, parts=[missing[at] for at in numbers(runs)])
                )
                for one, runs in shares.items()
            ]
            for answer in await asyncio.gather(*tasks):
                found |= dict(answer or ())
        total: Sums = np.sum([found[part] for part in sorted(found)], axis=0)
        return total

    def logs(self, sums: Sums) -> dict[str, float]:
        """Return loss and metrics, name -> value, of sums."""
        return self._run(
            self._all.on_first(lambda one: self._all.ask(one, TrainPlugin.logs, sums=list(map(float, sums))))
        )

    def save(self, progress: dict[str, Any], publish: Callable[[Manifest], None]) -> None:
        """Begin to write a checkpoint, while training goes on.

        Args:
            progress: the driver's part of the state.
            publish: gets the manifest once all is written, in a thread.
        """
        self.saved()  # a worker has one snapshot, which would be replaced
        members = self._run(self._files.snapshot())
        work = self._files.write(members, progress, publish)
        # Not waited for: training goes on meanwhile, and `saved` raises what this does.
        self._saving = asyncio.run_coroutine_threadsafe(work, self._client.loop.asyncio_loop)

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
        return self._run(self._all.on_first(lambda one: self._all.ask(one, TrainPlugin.weights)))

    def set_weights(self, weights: dict[str, Any]) -> None:
        """Set weights and statistics by name on all workers."""
        self._run(self._all.ask_all(TrainPlugin.set_weights, weights=weights))

    def export(self, manifest: Manifest | None) -> Exported:
        """Have a worker write weights and model to the run folder: the present ones, or those of a checkpoint.

        Raises:
            ClusterError: the run folder cannot be written.
        """
        return self._run(self._all.on_first(lambda one: self._files.export(one, manifest)))

    def gradients(self, rows: tuple[NDArray[Any], ...]) -> dict[str, NDArray[Any]]:
        """Return name -> mean gradient of rows: x, y and, if there are any, weights."""
        self._calls += 1
        return self._run(mean_gradients(self._all, rows, self._calls))

    def apply_gradients(self, gradients: Mapping[str, Any]) -> None:
        """Take the optimizer's step by gradients, by name, on every replica."""
        self._run(take_step(self._all, gradients))

    def on_one(self, function: Callable[[Any], Any]) -> Any:
        """Return function(model) of one replica."""
        data = _frozen(function)
        found = self._run(self._all.on_first(lambda one: self._all.ask(one, TrainPlugin.apply, function=data)))
        return pickle.loads(found)  # noqa: S301  from a worker, over Dask's connections

    def on_all(self, function: Callable[[Any], Any]) -> list[Any]:
        """Return function(model) of each replica, in the order of workers' addresses."""
        found = self._run(self._all.ask_all(TrainPlugin.apply, function=_frozen(function)))
        return [pickle.loads(data) for data in found.values()]  # noqa: S301

    def close(self) -> None:
        """Free the workers; a cluster that is gone already is not an error."""
        if self._saving is not None:
            self._saving.cancel()
        run_polling(self._client, self._all.membership.close(), lambda: None)  # no `poll`: also after a signal


def _frozen(function: Callable[[Any], Any]) -> bytes:
    code = UserCode("function", function, "my_module:function")
    code.freeze()
    return cloudpickle.dumps(code)  # type: ignore[no-any-return]


async def _of(future: Future[T]) -> T:
    return await asyncio.wrap_future(future)
