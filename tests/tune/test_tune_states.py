"""The table of transitions: each pair of a state and an event is in it or refused, and each row does what it says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from fake_search import ID, Search, names

from jobs.errors import InputError
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.trial_source import PendingTrial
from jobs.tune.search import states
from jobs.tune.search.placement import Worker
from jobs.tune.search.running import News

LATE = "took longer than 5 s (trial_timeout)"
EXECUTION_STATES, EXECUTION_EVENTS = names(states.ExecutionState), names(states.ExecutionEvent)
TRIAL_STATES, TRIAL_EVENTS = names(states.TrialState), names(states.TrialEvent)
AGAIN = ("again", "trial 0 is tried again: E")


def _calls(action: str, event: str) -> list[tuple[Any, ...]]:
    """Return what an action on the execution asks of the pool, the recorder and the watcher."""
    calls: dict[str, list[tuple[Any, ...]]] = {
        "launch": [("launch", 0, ID, "a")],
        "ignore": [],
        "abandon": [("answer", "a", ID, 4 if event == "report" else 0, "abandoned")],
        "note_start": [],
        "record_report": [("report", 0, 4, 0.5), ("answer", "a", ID, 4, None)],
        "reply": [("reply", "a", ID, 1, {"value": 0.5, "error": "x"})],
        "record_attribute": [("attribute", 0, "n", [1])],
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
    search = Search()
    execution = search.execution(state)
    row = states.EXECUTIONS[event].get(state)
    if row is None:
        with pytest.raises(ValueError, match=f"that is {state} cannot get the event {event}"):
            search.happen(execution, event)
        assert (execution.state, search.fake.calls, search.fake.dropped, search.queue) == (state, [], [], [])
        return
    after, action = row
    started, stopped = execution.started, execution.stopped
    if action == "refuse":
        with pytest.raises(InputError, match="worker a: E"):
            search.happen(execution, event)
    else:
        search.happen(execution, event)
    assert execution.state == after
    assert search.fake.calls == _calls(action, event)
    assert search.queue == ([(0, QUEUE[action])] if action in QUEUE else [])
    assert search.trials.pausing == (action == "fault")
    assert (execution.started != started) == (action == "note_start")
    assert (execution.stopped != stopped) == (action in ("stop", "quit_worker"))
    assert list(search.executions.running) == ([] if after == "released" else [execution])
    assert search.fake.dropped == ([ID] if after == "released" != state else [])
    assert search.slots.free() == ("a" if after == "released" else None)


def test_a_hopeless_report_ends_the_trial() -> None:
    """The report is recorded and answered before the trial's end is, and the slot stays taken until the function's."""
    search = Search()
    execution = search.execution("running")
    search.fake.hopeless = True
    search.happen(execution, "report")
    assert execution.state == "pruned"
    assert search.fake.calls == [
        ("report", 0, 4, 0.5),
        ("answer", "a", ID, 4, "pruned"),
        ("tell", 0, "pruned", "", "a", 1),
    ]
    assert search.slots.free() is None


def test_no_message_is_refused() -> None:
    """Workers do not wait for the driver, so whatever they send has a row in each state."""
    for event in names(states.Message):
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
    search = Search()
    assert set(states.EXECUTIONS) == set(EXECUTION_EVENTS)
    assert set(states.TRIALS) == set(TRIAL_EVENTS)
    assert _reachable(states.EXECUTIONS, "released") == set(EXECUTION_STATES)
    assert _reachable(states.TRIALS, "pending") == set(TRIAL_STATES)
    assert set(_actions(states.EXECUTIONS)) == set(names(states.ExecutionAction)) == set(search.executions.actions)
    assert set(_actions(states.TRIALS)) == set(names(states.TrialAction)) == set(search.trials.actions)


def _trial(search: Search, state: str) -> PendingTrial:
    """Return a trial that has come to a state by events."""
    paths: dict[str, list[states.TrialEvent]] = {
        "pending": [],
        "active": ["launch"],
        "quarantined": ["launch", "quarantine"],
        "active_quarantined": ["launch", "quarantine", "launch"],
        "ended": ["launch", "end"],
    }
    trial = search.trials.ask()
    for event in paths[state]:
        search.trials.on_event(trial, event, News("E", outcome=Outcome("complete")))
    search.fake.calls.clear()
    return trial


@pytest.mark.parametrize(("state", "event"), [*itertools.product(TRIAL_STATES, TRIAL_EVENTS)])
def test_each_pair_of_a_trial_is_a_row_or_refused(state: Any, event: Any) -> None:
    """A row leads to its state and does what its action says, no more; any other pair raises and changes nothing."""
    search = Search()
    trial = _trial(search, state)
    before, queue = search.trials.executions(trial), search.queue
    news = News("E", outcome=Outcome("complete"))
    row = states.TRIALS[event].get(state)
    if row is None:
        with pytest.raises(ValueError, match=f"that is {state} cannot get the event {event}"):
            search.trials.on_event(trial, event, news)
        assert (search.fake.calls, search.queue) == ([], queue)
        return
    after, action = row
    search.trials.on_event(trial, event, news)
    calls: dict[str, list[tuple[Any, ...]]] = {
        "launch": [],
        "put_back": [],
        "requeue": [AGAIN],
        "requeue_after_fault": [AGAIN],
        "count_loss": [("lost", 0, 1), AGAIN],
        "record": [("tell", 0, "complete", "", "", before)],
    }
    assert search.fake.calls == calls[action]
    assert search.trials.executions(trial) == before + (action == "launch")
    assert search.trials.pausing == (action == "requeue_after_fault")
    assert search.trials.is_quarantined(trial) == (after == "quarantined")
    if after in ("active", "active_quarantined"):
        assert search.queue == []
    elif after != "ended":
        assert search.queue == [(0, after == "quarantined")]


@pytest.mark.parametrize("event", ["lost_alone", "died"])
def test_a_trial_that_was_lost_too_often_is_failed(event: Any) -> None:
    """The last loss that is allowed is counted, then the trial ends, and does not wait any more."""
    search = Search(losses=1)
    trial = _trial(search, "active")
    search.trials.on_event(trial, event, News("E"))
    error = "lost 1 times while it ran alone (memory?); the last time: E"
    assert search.fake.calls == [("lost", 0, 1), ("tell", 0, "failed", error, "", 1)]
    assert search.queue == []


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
    search = Search()
    search.slots.add("a", Worker(2))
    for _ in range(count):
        search.executions.launch(search.trials.ask(), "a")
    first, *_ = search.executions.running
    if late:
        search.executions.on_event(first, "start")
        search.executions.on_event(first, "overtime")
    search.fake.calls.clear()
    search.executions.lose("a", died=died)
    assert search.queue == queue
    lost = [call for call in search.fake.calls if call[0] == "lost"]
    assert lost == ([("lost", 0, 1)] if died and count == 1 else [])
    assert (("tell", 0, "failed", LATE, "a", 1) in search.fake.calls) == late


def test_a_paused_worker_gives_back_what_has_not_begun() -> None:
    """A worker is idle when nothing is left there; what runs stays."""
    search = Search()
    search.execution("queued")
    assert search.executions.pause("a")
    assert search.queue == [(0, False)]
    search = Search()
    search.execution("running")
    assert not search.executions.pause("a")
