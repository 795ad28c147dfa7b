"""The driver's side: workers' requests for rows of its sources are answered, from arrays or by chunks of Dask's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

from distributed import Client, Future
from distributed.protocol import to_serialize

from jobs.cluster.membership import REFRESH_SECONDS, Membership
from jobs.cluster.plugin import call
from jobs.cluster.topics import subscribe
from jobs.datasets.memory import door
from jobs.datasets.memory.source import MemoryRows, sources_in
from jobs.errors import ClusterError, InputError
from jobs.formatting import error_line

log = logging.getLogger(__name__)


@contextlib.contextmanager
def serving(client: Client | None, thing: Any) -> Iterator[None]:
    """Answer workers that read rows in memory which `thing` holds, such as a problem; nothing if it holds none.

    Args:
        client: a synchronous client of the workers; None where no others take part.
        thing: what is sent to them.

    Raises:
        InputError: its rows are chunks of another client's.
    """
    sources = sources_in(thing) if client is not None else {}
    if client is None or not sources:
        yield
        return
    if any(one.chunked and one.reader.client is not client for one in sources.values()):  # type: ignore[union-attr]
        raise InputError("the chunks of from_dask are another client's: give that one, or make them anew with this one")
    server = _Server(client, sources)
    client.sync(server.start)
    try:
        yield
    finally:
        if client.status == "running":
            with contextlib.suppress(OSError, ValueError):
                client.sync(server.close)


class _Server:
    """Answers the requests for rows of some sources; runs on the client's event loop."""

    def __init__(self, client: Client, sources: Mapping[str, MemoryRows]) -> None:
        self._client, self._sources = client, sources
        self._key = f"dask-jobs-rows-{uuid.uuid4().hex[:12]}"
        plugin = door.RowsPlugin(self._key, list(sources))
        self._membership = Membership(client, plugin, timeout=float("inf"))
        self._answers: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Register the plugin, and begin to answer."""
        await subscribe(self._client, {self._key: self._on_request})
        await self._membership.refresh()
        self._watch = asyncio.ensure_future(self._keep())

    async def close(self) -> None:
        """Take the plugin from the workers: their reads end."""
        tasks = [self._watch, *self._answers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(OSError, ValueError):
            self._client.unsubscribe_topic(self._key)
        await self._membership.close()

    async def _keep(self) -> None:
        """Register the plugin once more where a scheduler was restarted, or the client has connected again."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            with contextlib.suppress(ClusterError, OSError):  # whoever computes says that the scheduler is gone
                if self._membership.due:
                    await self._membership.refresh()

    def _on_request(self, event: tuple[float, Any]) -> None:
        message = event[1]
        request = message["request"]
        if request in self._answers or message["source"] not in self._sources:
            return  # asked again, and being answered
        self._answers[request] = task = asyncio.ensure_future(self._answer(**message))
        task.add_done_callback(lambda _: self._answers.pop(request, None))

    async def _answer(self, worker: str, request: str, source: str, start: int, stop: int) -> None:
        reader: Any = self._sources[source].reader
        try:
            if reader.chunks is not None:
                await self._bring(reader.chunk(start), worker, source, request)
                return
            arrays = await asyncio.to_thread(reader.read, start, stop)
            message = [to_serialize(array) for array in arrays]
            await self._call(worker, door.RowsPlugin.deliver, request=request, arrays=message)
        except Exception as error:  # noqa: BLE001  whatever a chunk raises is the reader's error
            await self._call(
                worker, door.RowsPlugin.refuse, request=request, error=f"rows in memory: {error_line(error)}"
            )

    async def _bring(self, chunk: list[Future], worker: str, source: str, request: str) -> None:
        """Bring a chunk to a worker: by a task there, so that Dask copies it from another one, or computes it again."""
        name = f"hand-in-{self._key}-{request}"
        task = self._client.submit(door.hand_in, source, request, *chunk, workers=[worker], key=name, pure=False)
        try:
            await task
        finally:
            task.release()

    async def _call(self, worker: str, method: Any, **message: Any) -> None:
        with contextlib.suppress(OSError):  # a worker that is gone needs no answer; its blocks are read elsewhere
            call_: Coroutine[Any, Any, None] = call(self._client.rpc, self._key, worker, method, **message)
            await call_
