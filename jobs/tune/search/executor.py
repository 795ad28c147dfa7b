"""The cluster as the search sees it: trials as Dask futures, words from them in a queue, words to them by rpc."""

from __future__ import annotations

import contextlib
import math
import queue
import time
from collections.abc import Mapping
from typing import Any

from distributed import Client, Future
from distributed.core import clean_exception
from distributed.protocol.pickle import dumps

from jobs.cluster.client_loss import CleanupOnClientLoss
from jobs.errors import ClusterError, InputError
from jobs.tune.search.placement import Worker
from jobs.tune.trials.execution import Settings
from jobs.tune.trials.worker import TrialPlugin, run_trial

REFRESH_SECONDS = 5.0
"""How often the scheduler is asked who is there; it and new workers also tell by themselves."""
ASK_SECONDS = 2.0
READY_SECONDS = 30.0
"""After how long a worker that has not said so is taken to be ready."""
Event = dict[str, Any]


class Pool:
    """Runs tries of trials on a client's workers, each a future that is pinned to one worker.

    Events, in the order in which the scheduler saw them: `start`, `report` and `end` of a try; `ready`, `leaving`
    and `gone` of a worker; `future`, for a task that ended by itself.

    Args:
        client: the client.
        study: the name of the study on this cluster.
        attempt: which attempt this is; each has its own plugin and topic.
        settings: what workers need to know.
        gpus: GPUs of a trial.
    """

    def __init__(self, client: Client, study: str, attempt: int, settings: Settings, gpus: float) -> None:
        self._client, self._key = client, f"{study}-{attempt}"
        self._plugin = TrialPlugin(study, self._key, settings)
        self._resources = {"GPU": gpus * (1 - 1e-9)} if gpus else None  # five times 0.2 must fit into 1
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._futures: dict[str, Future] = {}
        self._scheduler: float | None = None
        self._connection: Any = None
        self._asked = -REFRESH_SECONDS
        self._listed: dict[str, float] = {}  # since when; for ever, if it is known to be ready

    def refresh(self) -> dict[str, Worker] | None:
        """Return address -> worker of all that are there, if it is time to ask.

        A worker is ready when it has the plugin and nobody's trials; it says so. Should that word be lost, it is taken
        to be ready some time later.

        Raises:
            ClusterError: the scheduler is gone.
            InputError: a worker does not know what trials are.
        """
        if self._client.status == "running" and self._client.scheduler_comm is not self._connection:
            self._bring_anew()  # the scheduler took us for gone, and forgot the study
        if time.monotonic() - self._asked < REFRESH_SECONDS:
            return None
        try:
            identity = self._client.sync(self._client.scheduler.identity, n_workers=-1)
            if identity["started"] != self._scheduler:
                self._listed, self._connection = {}, self._client.scheduler_comm
                self._join()
                self._scheduler = identity["started"]
        except OSError as error:
            raise ClusterError(f"the scheduler is gone: {error}") from error
        moment = self._asked = time.monotonic()
        self._listed = {address: self._listed.get(address, moment) for address in identity["workers"]}
        return {
            address: Worker(
                worker["nthreads"],
                float(worker["resources"].get("GPU", 0.0)),
                ready=moment - self._listed[address] >= READY_SECONDS,
                paused=worker["status"] == "paused",
            )
            for address, worker in sorted(identity["workers"].items())
            if worker["status"] in ("init", "running", "paused")
        }

    def _bring_anew(self) -> None:
        """Let the next `refresh` make the study known again."""
        self._scheduler, self._asked = None, -REFRESH_SECONDS

    def _join(self) -> None:
        """Make this study known to a scheduler that does not know it, the first or one that was restarted."""
        self._client.subscribe_topic(self._key, self._on_word)
        self._client.subscribe_topic("all", self._on_scheduler)
        presence = CleanupOnClientLoss(self._key, self._client.id)
        with contextlib.suppress(Exception):  # a scheduler without this package: killed drivers are noticed later
            self._ask(
                self._client.scheduler.register_scheduler_plugin, plugin=presence, name=self._key, idempotent=False
            )
        plugin = dumps(self._plugin)
        told = self._ask(self._client.scheduler.register_worker_plugin, plugin=plugin, name=self._key, idempotent=False)
        for address, answer in (told or {}).items():
            if answer["status"] == "error":
                _, error, _ = clean_exception(answer["exception"], answer["traceback"])
                raise InputError(f"worker {address} cannot run trials ({error}); is dask-jobs installed there?")

    def _ask(self, call: Any, **arguments: Any) -> Any:
        """Let the scheduler do something, and wait a little: it waits for all workers, also for one that is frozen."""
        with contextlib.suppress(TimeoutError):
            return self._client.sync(call, callback_timeout=ASK_SECONDS, **arguments)
        return None

    def _on_word(self, event: tuple[float, Event]) -> None:
        self._events.put(event[1])

    def ready(self, address: str) -> None:
        """Note that a worker is ready."""
        self._listed[address] = -math.inf

    def _on_scheduler(self, event: tuple[float, Event]) -> None:
        word = event[1]
        if word.get("action") == "remove-worker":
            self._events.put({"kind": "gone", "worker": word["worker"], "expected": bool(word.get("expected"))})

    def get(self, timeout: float) -> Event | None:
        """Return the next event, or None after `timeout` seconds."""
        try:
            return self._events.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None

    def launch(self, number: int, go: str, params: Mapping[str, Any], address: str) -> None:
        """Start a try of a trial on a worker."""
        future = self._client.submit(
            run_trial,
            self._key,
            number,
            go,
            dict(params),
            key=f"{self._key}-{number:04d}-{go}",
            workers=[address],
            allow_other_workers=False,
            resources=self._resources,
            pure=False,
        )
        self._futures[go] = future
        future.add_done_callback(lambda ended: self._on_future(go, number, ended))

    def _on_future(self, go: str, number: int, future: Future) -> None:
        if go in self._futures:
            error = future.exception() if future.status == "error" else None
            if isinstance(error, ClusterError):  # its worker has lost the plugin
                self._bring_anew()
            text = f"{type(error).__name__}: {error}" if error else future.status
            self._events.put({"kind": "future", "go": go, "number": number, "error": text})

    def drop(self, go: str) -> None:
        """Forget a try: its task is cancelled if it has not begun, and its end is not waited for."""
        if future := self._futures.pop(go, None):
            future.release()

    def answer(self, address: str, go: str, step: int, reason: str | None) -> None:
        """Tell a try what was decided about its step; a reason ends it at its next report at the latest."""
        self._client.loop.add_callback(self._call, address, "answer", go=go, step=step, reason=reason)

    def quit(self, address: str) -> None:
        """End a worker's process."""
        self._client.loop.add_callback(self._call, address, "quit")

    async def _call(self, address: str, name: str, **message: Any) -> None:
        with contextlib.suppress(Exception):  # a worker that is gone needs no answer; the scheduler tells that it is
            await getattr(self._client.rpc(address), f"{self._key}-{name}")(**message)

    def close(self) -> None:
        """Stop what runs, and leave no trace of the study on the scheduler and its workers."""
        for go in list(self._futures):
            self.drop(go)
        if self._scheduler is None or self._client.status != "running":
            return
        try:
            for topic in (self._key, "all"):
                self._client.unsubscribe_topic(topic)
            with contextlib.suppress(Exception):
                self._ask(self._client.scheduler.unregister_scheduler_plugin, name=self._key)
            self._ask(self._client.scheduler.unregister_worker_plugin, name=self._key)  # its teardown stops what runs
        except (OSError, ValueError):
            return  # there is nobody left to be told
