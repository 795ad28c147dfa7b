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
    return {address for outcome in outcomes(tasks).values() for address in outcome["late"]}
