"""How the calls to a group's members have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from jobs.train.process.messages import Outcome

Tasks = Mapping[str, asyncio.Task[Outcome]]
"""Address -> the call that takes steps there."""


def outcomes(tasks: Tasks) -> dict[str, Outcome]:
    """Return the outcomes of the members that have answered."""
    ended = {address: task for address, task in tasks.items() if task.done() and not task.cancelled()}
    return {address: task.result() for address, task in ended.items() if not task.exception()}


def late(tasks: Tasks) -> set[str]:
    """Return the members that others have waited for in vain."""
    # Of all members: those that wait for the same sender name it, and the driver's own call there still hangs.
    return {address for outcome in outcomes(tasks).values() for address in outcome["late"]}


async def until_uneven(tasks: Tasks, watch: asyncio.Task[None]) -> None:
    """Wait until all tasks are done well, or one is not, or the watch has ended: it saw another worker join."""
    while not watch.done() and (waiting := {task for task in tasks.values() if not task.done()}):
        ended = [task for task in tasks.values() if task.done()]
        if any(task.exception() or task.result()["ended"] != "done" for task in ended):
            return
        # The watch is waited for too, since a group may be ended for a worker that joins while all is well.
        await asyncio.wait([*waiting, watch], return_when=asyncio.FIRST_COMPLETED)
