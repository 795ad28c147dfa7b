"""In which order the report's table of trials stands, and what it says of that."""

from __future__ import annotations

import pytest
from test_report_tune import complete, good, recorded, text_of

from jobs.tune.records.outcome import Outcome
from jobs.tune.report.data import read_search

PRUNED = "pruned ones, by their last report"


def _mixed(book, ticket):
    """Prune odd trials, which report more than any other returns."""
    if ticket.number % 2 == 0:
        return complete(book, ticket)
    book.report(ticket.number, 1, 10 + good(ticket))
    return Outcome("pruned", seconds=0.5, worker="tcp://a:1")


def _told(ticket, excess):
    metrics = {"score": float(ticket.number), "excess": excess}
    return Outcome("complete", (float(ticket.number),), metrics, seconds=0.5, worker="tcp://a:1")


@pytest.mark.parametrize(
    ("outcome", "options", "told", "order"),
    [
        (complete, {}, "The best 6 of 6 trials, largest value first\n", None),
        (_mixed, {}, f"those that count, then {PRUNED}; of each the largest value first\n", None),
        (
            lambda _book, ticket: _told(ticket, ticket.number - 3.5),
            {"metric": ["score"], "constraints": ["excess"]},
            "those that count, then those that break a constraint; of each the largest score first\n",
            [3, 2, 1, 0, 5, 4],
        ),
    ],
    ids=["complete", "pruned", "constraints"],
)
def test_the_order_of_the_table(outcome, options, told, order, tmp_path):
    """Complete trials come first, also where a pruned one has reported more; the title says so."""
    storage = recorded(tmp_path / "run", 6, outcome, **options)
    assert told in text_of(storage)
    search = read_search(storage)
    found = search.order().tolist()
    assert found == order or (order is None and search.states[found].tolist() == sorted(search.states))
