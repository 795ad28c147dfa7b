"""Answers of the user's code that raise when they are made numbers: the user's error, which names the block."""

from __future__ import annotations

import numpy as np
import pytest
from distributed import Client
from leaving import RAISED
from odd_answers import Answers

from jobs.errors import InputError, JobError, UserCodeError
from jobs.minimize import Objective
from jobs.minimize.optimize.minimize import minimize

ERRORS = {**RAISED, "RuntimeError": RuntimeError("no"), "MemoryError": MemoryError(), "number": None}


def _use(objective: Objective) -> None:
    minimize(objective, method="L-BFGS-B", options={"maxiter": 1})
    objective.hessp(np.ones(3), np.ones(3))
    objective.accuracy(np.ones(3))


@pytest.mark.parametrize("error", [name for name in ERRORS if name != "KeyboardInterrupt"])  # Ctrl-C's, in this thread
@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("x0", r"^problem.x0\(\)"),
        ("loss", "^the loss on block 0 "),
        ("gradient", "^the gradient of value_and_grad on block 0 "),
        ("pair", "^value_and_grad on block 0 "),
        ("hessp", "^hessp on block 0 "),
        ("correct", "^the count on block 0 "),
        ("penalized", r"^problem.penalized\(\)"),
        ("bounds", "^(--)?bounds"),
    ],
)
def test_an_answer_that_raises_is_told(where: str, named: str, error: str) -> None:
    """Whatever is raised, and where: one error in which the answer is named."""
    with pytest.raises(JobError, match=named):
        with Objective(None, Answers(where=where, error=ERRORS[error]), l2=1.0) as objective:
            _use(objective)


@pytest.mark.parametrize("where", ["loss", "gradient", "hessp", "correct"])
@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit", "KeyboardInterrupt", "number"])
def test_a_worker_is_not_lost_by_it(where: str, error: str, client: Client) -> None:
    """On a worker it is the user's error too, at once, not a lost worker."""
    with pytest.raises(UserCodeError, match=r" on block \d+ "):
        with Objective(client, Answers(where=where, error=ERRORS[error])) as objective:
            _use(objective)


def test_rows_without_end_are_refused() -> None:
    """A number of rows that no index holds is refused before work begins."""
    with pytest.raises(InputError, match=r"problem.rows is 1000000000000000000000000000000, but must be a positive"):
        Objective(None, Answers(rows=10**30))


def test_a_mask_of_texts_is_refused() -> None:
    """What is neither true nor false does not count as true."""

    class Texts(Answers):
        def penalized(self):
            return ["a", "b", "c"]

    with pytest.raises(InputError, match=r"problem.penalized\(\) must return True or False"):
        Objective(None, Texts(), l2=1.0)


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[2J", "\ud800"])
def test_names_that_cannot_be_printed_are_refused(name: str) -> None:
    """Names stand in tables, on terminals and in files."""

    class Named(Answers):
        def names(self):
            return ["a", name, "c"]

    with pytest.raises(InputError, match=r"problem.names\(\): entry 1 is .*, but must be a text of printable"):
        Objective(None, Named())
