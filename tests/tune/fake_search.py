"""A search without a cluster: its executions and trials, on a pool, a recorder and a watcher that only take notes."""

from __future__ import annotations

import itertools
from typing import Any, get_args

from jobs.tune.records.outcome import Outcome
from jobs.tune.records.trial_source import PendingTrial
from jobs.tune.search import states
from jobs.tune.search.executions import Executions
from jobs.tune.search.placement import Slots, Worker
from jobs.tune.search.running import News, RunningTrial
from jobs.tune.search.stopping import Limits
from jobs.tune.search.trial_queue import TrialQueue
from jobs.tune.trials import messages

ID = "1-0-1"


def names(alias: Any) -> list[str]:
    """Return the texts of a Literal, or of a union of them."""
    return [name for one in get_args(alias) for name in ([one] if isinstance(one, str) else names(one))]


class Fake:
    """A pool, a recorder and a watcher that note what is asked of them."""

    reported, prunes, seconds = True, False, 0.0

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.dropped: list[str] = []
        self.hopeless, self.asked = False, itertools.count()

    def launch(self, number: int, execution_id: str, _params: Any, address: str) -> None:
        self.calls.append(("launch", number, execution_id, address))

    def answer(self, address: str, execution_id: str, step: int, reason: str | None) -> None:
        self.calls.append(("answer", address, execution_id, step, reason))

    def reply(self, address: str, execution_id: str, request: int, reply: Any) -> None:
        self.calls.append(("reply", address, execution_id, request, reply))

    def suggest(self, _number: int, name: str, _wanted: Any) -> tuple[float, str]:
        return 0.5, name

    def attribute(self, number: int, name: str, value: Any) -> None:
        self.calls.append(("attribute", number, name, value))

    def quit(self, address: str) -> None:
        self.calls.append(("quit", address))

    def drop(self, execution_id: str) -> None:
        self.dropped.append(execution_id)

    def unfinished(self) -> list[PendingTrial]:
        return []

    def ask(self) -> PendingTrial:
        return PendingTrial(next(self.asked), {})

    def report(self, number: int, step: int, value: float) -> bool:
        self.calls.append(("report", number, step, value))
        return self.hopeless

    def lost(self, number: int, losses: int) -> None:
        self.calls.append(("lost", number, losses))

    def tell(self, number: int, outcome: Outcome, _at: float) -> None:
        self.calls.append(("tell", number, outcome.state, outcome.error, outcome.worker, outcome.tries))

    def on_end(self, number: int, outcome: Outcome) -> None:
        """Nothing: `tell` has noted it."""

    def log(self, event: str, message: str) -> None:
        self.calls.append((event, message))


class Search:
    """A search's executions and trials, on one worker with one slot."""

    def __init__(self, losses: int = 3) -> None:
        self.fake: Any = Fake()
        self.slots = Slots(1, 0)
        self.slots.add("a", Worker(1))
        self.trials = TrialQueue(self.fake, Limits(5.0, 10, losses), self.fake, lambda: 0.0, lambda: 1)
        self.executions = Executions(self.fake, self.fake, self.slots, self.trials, limit=5.0, attempt=1)

    def execution(self, state: str) -> RunningTrial:
        """Return an execution that has come to a state by events."""
        if state == "released":
            return RunningTrial(ID, self.trials.ask(), "a", 0.0)
        self.executions.launch(self.trials.ask(), "a")
        (execution,) = self.executions.running
        paths: dict[str, list[states.ExecutionEvent]] = {
            "queued": [],
            "running": ["start"],
            "late": ["start", "overtime"],
            "pruned": ["start", "hopeless"],
            "pruned_late": ["start", "overtime", "hopeless"],
        }
        for event in paths[state]:
            self.executions.on_event(execution, event)
        self.fake.calls.clear()
        return execution

    def happen(self, execution: RunningTrial, event: Any) -> None:
        """Let an event happen: a message is received, the rest comes from the driver."""
        where: Any = {"execution_id": ID, "number": 0, "worker": "a"}
        if event == "start":
            self.executions.on_message({**where, "kind": "start"})
        elif event == "report":
            self.executions.on_message({**where, "kind": "report", "step": 4, "value": 0.5, "waits": True})
        elif event == "request":
            asked = {"request": 1, "what": "suggest", "name": "x", "wanted": "{}", "step": 0}
            self.executions.on_message({**where, "kind": "request", **asked})
        elif event == "attribute":
            self.executions.on_message({**where, "kind": "attribute", "name": "n", "value": "[1]"})
        elif event == "future":
            self.executions.on_message({"kind": "future", "execution_id": ID, "number": 0, "error": "E"})
        elif event in names(messages.EndState):
            self.executions.on_message({**where, "kind": "end", "state": event, "error": "E", "seconds": 1.0})
        else:
            self.executions.on_event(execution, event, News("E"))

    @property
    def queue(self) -> list[tuple[int, bool]]:
        """The number of each trial that waits, and whether it is quarantined."""
        return [(trial.number, self.trials.is_quarantined(trial)) for trial in self.trials.waiting]
