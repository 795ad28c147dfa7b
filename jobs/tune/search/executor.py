"""The cluster as the search sees it: trials as Dask futures, a queue of messages from them, calls to answer them."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from distributed import Client, Future

from jobs.cluster.bits import Bits
from jobs.cluster.membership import Membership
from jobs.cluster.plugin import call
from jobs.cluster.polling import run_polling
from jobs.cluster.topics import subscribe
from jobs.errors import ClusterError
from jobs.tune.search.placement import Worker
from jobs.tune.trials.execution import Settings
from jobs.tune.trials.messages import Event, ReadyEvent, Reply, StopReason
from jobs.tune.trials.worker import TrialPlugin, run_trial

REFRESH_SECONDS = 5.0
"""Interval of membership refreshes; the scheduler and new workers also announce themselves what changes."""
READY_SECONDS = 30.0
"""Age at which a worker counts as ready though its message has not come."""


class Pool:
    """Runs executions of trials on a client's workers, each a future that is pinned to one worker.

    Events come in the order in which the scheduler saw them, see `trials.messages`.

    Args:
        client: the client.
        study: the name of the study on this cluster.
        attempt: which attempt this is; each has its own plugin and topic.
        settings: the study's, sent to the workers with the plugin.
        gpus: GPUs of a trial.
        timeout: maximum seconds without any worker.
        poll: called while the scheduler's answer is awaited; what it raises ends the wait.
        bits: the arithmetic of the run's processes, to which the workers' is added.
    """

    def __init__(
        self,
        client: Client,
        study: str,
        attempt: int,
        settings: Settings,
        gpus: float,
        *,
        timeout: float,
        poll: Callable[[], None],
        bits: Bits | None = None,
    ) -> None:
        self._client, self._key, self._poll = client, f"{study}-{attempt}", poll
        self._bits = bits or Bits()
        self._resources = {"GPU": gpus * (1 - 1e-9)} if gpus else None  # five times 0.2 must fit into 1
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._futures: dict[str, Future] = {}
        self._ready: set[str] = set()
        # Membership has the workers that are there, and registers the plugin. It admits none (no `prepare`): whether a
        # worker takes trials is an event of the worker's own, since a trial of an earlier attempt may keep its threads
        # for long, and a search continues meanwhile on the others, where an evaluation needs all. Nor does it show the
        # scheduler that it is in use: trials are tasks, and an empty one would wait behind them.
        self._membership = Membership(
            client,
            TrialPlugin(study, self._key, settings),
            timeout,
            refresh_seconds=REFRESH_SECONDS,
            on_register=self._subscribe,
        )

    def refresh(self) -> dict[str, Worker] | None:
        """Return address -> worker of the current membership; None if no refresh is due.

        A worker is ready when it has the plugin and no study's trials, which it announces. Should that message be lost,
        it counts as ready after READY_SECONDS.

        Raises:
            ClusterError: the scheduler is gone.
            InputError: a worker cannot load the plugin.
        """
        if not self._membership.due:
            return None
        members = run_polling(self._client, self._membership.refresh(), self._poll)
        self._ready &= members.keys()  # what comes back at an address is another process
        return {
            address: Worker(
                member.threads,
                member.gpus,
                ready=address in self._ready or time.monotonic() - member.since >= READY_SECONDS,
                paused=member.status == "paused",
            )
            for address, member in members.items()
        }

    def check_workers(self) -> None:
        """Check that there is a worker, or was one within the timeout.

        Raises:
            ClusterError: there has been none for longer.
        """
        self._membership.check()

    async def _subscribe(self) -> None:
        """Subscribe to the topics of a scheduler that is new to this study: the first, or one that was restarted."""
        self._ready.clear()  # workers announce it anew, when they have the plugin once more
        # Before the plugin is registered: its setup announces a worker that is ready at once.
        await subscribe(self._client, {self._key: self._on_message, "all": self._on_scheduler})

    def _on_message(self, message: tuple[float, Event]) -> None:
        self._events.put(message[1])  # nothing more, since it is the client's event loop: the search has its own thread

    def ready(self, event: ReadyEvent) -> None:
        """Note that a worker is ready.

        Raises:
            InputError: its arithmetic is refused.
        """
        self._ready.add(event["worker"])
        self._bits.add(f"worker {event['worker']}", event["arithmetic"])

    def _on_scheduler(self, message: tuple[float, Any]) -> None:
        """Handle an event of the scheduler's own; called by Dask on the client's event loop."""
        event = message[1]
        if event.get("action") == "remove-worker":
            self._membership.remove(event["worker"])
            self._events.put({"kind": "gone", "worker": event["worker"], "expected": bool(event.get("expected"))})

    def get(self, timeout: float) -> Event | None:
        """Return the next event, or None after `timeout` seconds."""
        try:
            return self._events.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None

    def launch(self, number: int, execution_id: str, params: Mapping[str, Any], address: str) -> None:
        """Start an execution of a trial on a worker."""
        future = self._client.submit(
            run_trial,
            self._key,
            number,
            execution_id,
            dict(params),
            key=f"{self._key}-{number:04d}-{execution_id}",
            workers=[address],
            allow_other_workers=False,  # its worker gone, it never runs, and is dropped: Dask must not move it
            resources=self._resources,
            pure=False,  # the same trial again is another task, not a result that Dask still has
        )
        # First, since it may have ended already: `_on_future` ignores an execution that is not here.
        self._futures[execution_id] = future
        future.add_done_callback(lambda ended: self._on_future(execution_id, number, ended))

    def _on_future(self, execution_id: str, number: int, future: Future) -> None:
        """Called by Dask in a thread of its own when a task ends; ignored where its `end` event came first."""
        # By the id, not the future: the search's thread may drop it at any time, and then this end counts no more.
        if execution_id in self._futures:
            error = future.exception() if future.status == "error" else None
            if isinstance(error, ClusterError):  # its worker has lost the plugin
                self._membership.reregister()
            text = f"{type(error).__name__}: {error}" if error else future.status
            self._events.put({"kind": "future", "execution_id": execution_id, "number": number, "error": text})

    def drop(self, execution_id: str) -> None:
        """Release an execution's future: its task is cancelled if it has not begun, and its end is not awaited."""
        if future := self._futures.pop(execution_id, None):
            future.release()

    def answer(self, address: str, execution_id: str, step: int, reason: StopReason | None) -> None:
        """Send the decision about a step; a reason ends the execution at its next report at the latest."""
        rpc = self._client.rpc
        self._send(
            lambda: call(
                rpc, self._key, address, TrialPlugin.answer, execution_id=execution_id, step=step, reason=reason
            )
        )

    def reply(self, address: str, execution_id: str, request: int, reply: Reply) -> None:
        """Send the reply to a request of an execution."""
        rpc = self._client.rpc
        self._send(
            lambda: call(  # not `reply=`, which is Dask's own field of a message
                rpc, self._key, address, TrialPlugin.respond, execution_id=execution_id, request=request, response=reply
            )
        )

    def quit(self, address: str) -> None:
        """End a worker's process."""
        self._send(lambda: call(self._client.rpc, self._key, address, TrialPlugin.quit))

    def _send(self, make_call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Call a worker from the client's event loop, without waiting."""

        async def send() -> None:
            with contextlib.suppress(OSError):  # a worker that is gone needs no answer; the scheduler reports its loss
                await make_call()

        self._client.loop.add_callback(send)  # from the search's thread, which alone this method allows

    def close(self) -> None:
        """Stop what runs, and leave no trace of the study on the scheduler and its workers."""
        for execution_id in list(self._futures):
            self.drop(execution_id)
        if self._client.status != "running":
            return
        for topic in (self._key, "all"):
            with contextlib.suppress(OSError, ValueError):  # ValueError: not subscribed, since there was no scheduler
                self._client.unsubscribe_topic(topic)
        with contextlib.suppress(OSError, ValueError):
            self._client.sync(self._membership.close)  # the plugin's teardown stops what runs
