"""The table of transitions: each pair of a state and an event is in it or refused, and each row does what it says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from jobs.errors import InputError
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import PendingTrial
from jobs.tune.search import states
from jobs.tune.search.executions import Executions
from jobs.tune.search.placement import Slots, Worker
from jobs.tune.search.running import News, RunningTrial
from jobs.tune.search.stopping import Limits
from jobs.tune.search.trial_queue import TrialQueue
from jobs.tune.trials import messages

ID = "1-0-1"
LATE = "took longer than 5 s (--trial-timeout)"


def _names(alias: Any) -> list[str]:
    """Return the texts of a Literal, or of a union of them."""
    return [name for one in get_args(alias) for name in ([one] if isinstance(one, str) else _names(one))]


EXECUTION_STATES, EXECUTION_EVENTS = _names(states.ExecutionState), _names(states.ExecutionEvent)
TRIAL_STATES, TRIAL_EVENTS = _names(states.TrialState), _names(states.TrialEvent)
ENDS = _names(messages.EndState)


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


class House:
    """A search's executions and trials, on one worker with one slot."""

    def __init__(self, losses: int = 3) -> None:
        self.fake: Any = Fake()
        self.slots = Slots(1, 0)
        self.slots.add("a", Worker(1))
        self.trials = TrialQueue(self.fake, Limits(5.0, 10, losses), self.fake, lambda: 0.0)
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
        elif event == "future":
            self.executions.on_message({"kind": "future", "execution_id": ID, "number": 0, "error": "E"})
        elif event in ENDS:
            self.executions.on_message({**where, "kind": "end", "state": event, "error": "E", "seconds": 1.0})
        else:
            self.executions.on_event(execution, event, News("E"))

    @property
    def queue(self) -> list[tuple[int, bool]]:
        """The number of each trial that waits, and whether it is quarantined."""
        return [(trial.number, self.trials.is_quarantined(trial)) for trial in self.trials.waiting]


AGAIN = ("again", "trial 0 is tried again: E")


def _calls(action: str, event: str) -> list[tuple[Any, ...]]:
    """Return what an action on the execution asks of the pool, the recorder and the watcher."""
    calls: dict[str, list[tuple[Any, ...]]] = {
        "launch": [("launch", 0, ID, "a")],
        "ignore": [],
        "abandon": [("answer", "a", ID, 4 if event == "report" else 0, "abandoned")],
        "note_start": [],
        "record_report": [("report", 0, 4, 0.5), ("answer", "a", ID, 4, None)],
        "stop": [("answer", "a", ID, 0, "timeout")],
        "quit_worker": [("quit", "a")],
        "refuse": [],
        "end": [("tell", 0, event, "E", "a", 1)],
        "end_pruned": [("tell", 0, "pruned", "", "a", 1)],
        "end_overtime": [("tell", 0, "failed", LATE, "a", 1)],
        "paused": [],
        "lost": [AGAIN],
        "fault": [AGAIN],
        "quarantine": [AGAIN],
        "lost_alone": [("lost", 0, 1), AGAIN],
        "died": [("lost", 0, 1), AGAIN],
    }
    return calls[action]


QUEUE = {"paused": False, "lost": False, "fault": False, "quarantine": True, "lost_alone": True, "died": False}
"""Action -> whether the trial is quarantined, for those that put it back."""


@pytest.mark.parametrize(("state", "event"), [*itertools.product(EXECUTION_STATES, EXECUTION_EVENTS)])
def test_each_pair_of_an_execution_is_a_row_or_refused(state: Any, event: Any) -> None:
    """A row leads to its state and does what its action says, no more; any other pair raises and changes nothing."""
    house = House()
    execution = house.execution(state)
    row = states.EXECUTIONS[event].get(state)
    if row is None:
        with pytest.raises(ValueError, match=f"that is {state} cannot get the event {event}"):
            house.happen(execution, event)
        assert (execution.state, house.fake.calls, house.fake.dropped, house.queue) == (state, [], [], [])
        return
    after, action = row
    started, stopped = execution.started, execution.stopped
    if action == "refuse":
        with pytest.raises(InputError, match="worker a: E"):
            house.happen(execution, event)
    else:
        house.happen(execution, event)
    assert execution.state == after
    assert house.fake.calls == _calls(action, event)
    assert house.queue == ([(0, QUEUE[action])] if action in QUEUE else [])
    assert house.trials.pausing == (action == "fault")
    assert (execution.started != started) == (action == "note_start")
    assert (execution.stopped != stopped) == (action in ("stop", "quit_worker"))
    assert list(house.executions.running) == ([] if after == "released" else [execution])
    assert house.fake.dropped == ([ID] if after == "released" != state else [])
    assert house.slots.free() == ("a" if after == "released" else None)


def test_a_hopeless_report_ends_the_trial() -> None:
    """The report is recorded and answered before the trial's end is, and the slot stays taken until the function's."""
    house = House()
    execution = house.execution("running")
    house.fake.hopeless = True
    house.happen(execution, "report")
    assert execution.state == "pruned"
    assert house.fake.calls == [
        ("report", 0, 4, 0.5),
        ("answer", "a", ID, 4, "pruned"),
        ("tell", 0, "pruned", "", "a", 1),
    ]
    assert house.slots.free() is None


def test_no_message_is_refused() -> None:
    """Workers do not wait for the driver, so whatever they send has a row in each state."""
    for event in _names(states.Message):
        assert set(states.EXECUTIONS[event]) == set(EXECUTION_STATES)  # type: ignore[index]  # of a list of texts


def _reachable(table: Any, first: str) -> set[str]:
    reached, before = {first}, set[str]()
    while reached != before:
        before = reached
        reached = before | {row[state][0] for row in table.values() for state in before if state in row}
    return reached


def _actions(table: Any) -> Iterator[str]:
    return (action for row in table.values() for _, action in row.values())


def test_the_table_has_no_word_that_is_not_used() -> None:
    """Each event has a row, each state is reached, each action stands in a row and is one that the search has."""
    house = House()
    assert set(states.EXECUTIONS) == set(EXECUTION_EVENTS)
    assert set(states.TRIALS) == set(TRIAL_EVENTS)
    assert _reachable(states.EXECUTIONS, "released") == set(EXECUTION_STATES)
    assert _reachable(states.TRIALS, "pending") == set(TRIAL_STATES)
    assert set(_actions(states.EXECUTIONS)) == set(_names(states.ExecutionAction)) == set(house.executions.actions)
    assert set(_actions(states.TRIALS)) == set(_names(states.TrialAction)) == set(house.trials.actions)


def _trial(house: House, state: str) -> PendingTrial:
    """Return a trial that has come to a state by events."""
    paths: dict[str, list[states.TrialEvent]] = {
        "pending": [],
        "active": ["launch"],
        "quarantined": ["launch", "quarantine"],
        "active_quarantined": ["launch", "quarantine", "launch"],
        "ended": ["launch", "end"],
    }
    trial = house.trials.ask()
    for event in paths[state]:
        house.trials.on_event(trial, event, News("E", outcome=Outcome("complete")))
    house.fake.calls.clear()
    return trial


@pytest.mark.parametrize(("state", "event"), [*itertools.product(TRIAL_STATES, TRIAL_EVENTS)])
def test_each_pair_of_a_trial_is_a_row_or_refused(state: Any, event: Any) -> None:
    """A row leads to its state and does what its action says, no more; any other pair raises and changes nothing."""
    house = House()
    trial = _trial(house, state)
    before, queue = house.trials.executions(trial), house.queue
    news = News("E", outcome=Outcome("complete"))
    row = states.TRIALS[event].get(state)
    if row is None:
        with pytest.raises(ValueError, match=f"that is {state} cannot get the event {event}"):
            house.trials.on_event(trial, event, news)
        assert (house.fake.calls, house.queue) == ([], queue)
        return
    after, action = row
    house.trials.on_event(trial, event, news)
    calls: dict[str, list[tuple[Any, ...]]] = {
        "launch": [],
        "put_back": [],
        "requeue": [AGAIN],
        "requeue_after_fault": [AGAIN],
        "count_loss": [("lost", 0, 1), AGAIN],
        "record": [("tell", 0, "complete", "", "", before)],
    }
    assert house.fake.calls == calls[action]
    assert house.trials.executions(trial) == before + (action == "launch")
    assert house.trials.pausing == (action == "requeue_after_fault")
    assert house.trials.is_quarantined(trial) == (after == "quarantined")
    if after in ("active", "active_quarantined"):
        assert house.queue == []
    elif after != "ended":
        assert house.queue == [(0, after == "quarantined")]


@pytest.mark.parametrize("event", ["lost_alone", "died"])
def test_a_trial_that_was_lost_too_often_is_failed(event: Any) -> None:
    """The last loss that is allowed is counted, then the trial ends, and does not wait any more."""
    house = House(losses=1)
    trial = _trial(house, "active")
    house.trials.on_event(trial, event, News("E"))
    error = "lost 1 times while it ran alone (memory?); the last time: E"
    assert house.fake.calls == [("lost", 0, 1), ("tell", 0, "failed", error, "", 1)]
    assert house.queue == []


@pytest.mark.parametrize(
    ("count", "late", "died", "queue"),
    [
        (1, False, True, [(0, True)]),
        (2, False, True, [(0, True), (1, True)]),
        (2, False, False, [(0, False), (1, False)]),
        (2, True, True, [(1, False)]),
    ],
)
def test_which_event_a_lost_worker_is(count: int, late: bool, died: bool, queue: list[tuple[int, bool]]) -> None:  # noqa: FBT001
    """Those that may have killed it are quarantined, in the order of launches; not where one was ended for its time."""
    house = House()
    house.slots.add("a", Worker(2))
    for _ in range(count):
        house.executions.launch(house.trials.ask(), "a")
    first, *_ = house.executions.running
    if late:
        house.executions.on_event(first, "start")
        house.executions.on_event(first, "overtime")
    house.fake.calls.clear()
    house.executions.lose("a", died=died)
    assert house.queue == queue
    lost = [call for call in house.fake.calls if call[0] == "lost"]
    assert lost == ([("lost", 0, 1)] if died and count == 1 else [])
    assert (("tell", 0, "failed", LATE, "a", 1) in house.fake.calls) == late


def test_a_paused_worker_gives_back_what_has_not_begun() -> None:
    """A worker is idle when nothing is left there; what runs stays."""
    house = House()
    house.execution("queued")
    assert house.executions.pause("a")
    assert house.queue == [(0, False)]
    house = House()
    house.execution("running")
    assert not house.executions.pause("a")
