"""Objectives: which functions can be one, how they travel, and what they may not be."""

from __future__ import annotations

import functools
import importlib
import pickle
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trials

from jobs.errors import InputError
from jobs.tune.trials.objective import objective_code, scores, user_code, wants_trial


class _Model:
    def __call__(self, params: Any, trial: Any) -> float:
        return 0.0

    def method(self, params: Any) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("function", "wants"),
    [
        (lambda params: 0, False),
        (lambda params, trial: 0, True),
        (lambda params, report: 0, True),
        (lambda params, trial=None: 0, True),
        (lambda params, epochs=10: 0, False),
        (lambda params, trial, epochs=10: 0, True),
        (lambda *params: 0, False),
        (lambda params, *, epochs=10: 0, False),
        (functools.partial(lambda data, params: 0, 3), False),
        (_Model(), True),
        (_Model().method, False),
        (dict, False),
    ],
)
def test_who_gets_the_trial(function: Callable[..., Any], wants: bool) -> None:  # noqa: FBT001
    """A second argument that must be given, or is called trial, is the trial."""
    assert wants_trial(function) == wants


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda: 0, "takes no argument, but must take the hyperparameters"),
        (lambda **params: 0, "takes no argument"),
        (lambda params, trial, data: 0, "needs more than \\(parameters, trial\\)"),
        (lambda params, *, data: 0, "needs more than \\(parameters, trial\\)"),
        (3, "objective is int, but must be a function"),
        ("trials", "objective is 'trials', but must be 'module:function'"),
        ("trials:", "objective is 'trials:', but must be"),
        ("nowhere:train", "objective nowhere:train: cannot import it \\(ModuleNotFoundError"),
        ("trials:nothing", "objective trials:nothing: module 'trials' has no 'nothing'"),
        ("trials:np", "objective trials:np is module, but must be a function"),
        ("broken_objective:train", "cannot import it \\(ValueError: at import\\)"),
        ("broken_objective:no_argument", "cannot import it"),
        ("leaving_objective:train", "cannot import it \\(SystemExit: 0\\)"),
        (threading.Lock().__enter__, "cannot be pickled \\(TypeError: "),
    ],
)
def test_what_is_no_objective(function: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be imported or called is told in one line."""
    (tmp_path / "broken_objective.py").write_text("raise ValueError('at import')")
    (tmp_path / "leaving_objective.py").write_text("import sys\nsys.exit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=told) as caught:
        user_code(function)
    assert "\n" not in str(caught.value)


def test_too_much_data() -> None:
    """A function that carries its data is refused."""
    data = b"x" * 10_000_001
    with pytest.raises(InputError, match=r"objective is 10 MB when pickled, but must be under 10 MB"):
        user_code(lambda params: len(data))


def test_how_objectives_travel() -> None:
    """A name is imported on each side, a function pickled; both give the function."""
    named = user_code("trials:quadratic")
    assert named.spec == "trials:quadratic"
    assert pickle.loads(pickle.dumps(named)).load() is trials.quadratic
    nameless = user_code(lambda params: params["x"])
    assert nameless.spec is None
    assert pickle.loads(pickle.dumps(nameless)).load()({"x": 3}) == 3
    assert pickle.loads(pickle.dumps(user_code(trials.quadratic))).load() is trials.quadratic


def test_names() -> None:
    """Functions and objects have names that say where they are from."""
    assert objective_code(trials.quadratic).name == "trials:quadratic"
    assert objective_code("a:b").name == "a:b"
    assert objective_code(_Model()).name.endswith(":_Model")


def test_a_pickle_whose_module_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a function's module is missing, one line says what to do, and the details have the traceback."""
    (tmp_path / "only_at_home.py").write_text("def train(params): return 0.0")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        sent = pickle.dumps(user_code(importlib.import_module("only_at_home").train))
    monkeypatch.delitem(sys.modules, "only_at_home")
    importlib.invalidate_caches()
    code = pickle.loads(sent)  # as on a worker's event loop: nothing of the user's is imported
    told = r"the objective cannot be unpickled here \(ModuleNotFoundError: .*\): put its module on the Python path"
    with pytest.raises(InputError, match=told) as caught:
        code.load()
    assert "Traceback" in caught.value.details


def test_only_metrics_and_constraints_must_be_numbers() -> None:
    """Of the other entries those that are no finite number are left out."""
    returned = {"accuracy": 0.9, "excess": -1, "steps": 3, "model": "resnet", "sizes": [1, 2], "loss": float("nan")}
    kept = {"accuracy": 0.9, "excess": -1.0, "steps": 3.0}
    assert scores(returned, ["accuracy"], ["excess"]) == ([0.9], kept)
    with pytest.raises(TypeError, match=r"metric 'model' returned 'resnet' \(str\), but must return a number"):
        scores(returned, ["accuracy"], ["model"])


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (np.bool_(True), "np.True_ (bool), but must return a number"),
        (np.str_("0.5"), "np.str_('0.5') (str_), but must return a number"),
        (np.complex64(1), "np.complex64(1+0j) (complex64), but must return a number"),
        (10**400, "(int), but must return a number that 64 bits hold"),
    ],
)
def test_what_is_no_score(returned: Any, told: str) -> None:
    """A truth value, a text or a complex number of NumPy is no number, and a float must hold it."""
    with pytest.raises(TypeError, match=re.escape(told)):
        scores(returned, [], [])


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ({str(n): n for n in range(1_001)}, "returned 1,001 metrics, but must return at most 1,000"),
        ({"0": 1, "x" * 201: 2}, "a metric whose name has 201 characters, 'xxxx"),
        ({"0": 1, "x" * 5_000_000: 2}, "a metric whose name has 5,000,000 characters, 'xxxx"),
    ],
    ids=["number", "name", "long name"],
)
def test_metrics_are_limited(returned: dict[str, float], told: str) -> None:
    """All of each trial's are in the journal and the tables; the error is short."""
    with pytest.raises(TypeError, match=told) as caught:
        scores(returned, ["0"], [])
    assert len(str(caught.value)) < 300


def test_as_many_metrics_as_are_allowed() -> None:
    """1,000, with names of 200 characters; what is no number does not count."""
    returned = {f"{n:0200}": float(n) for n in range(1_000)}
    values, kept = scores(returned | {"x" * 10_000: "text"}, ["0" * 200], [])
    assert (values, kept) == ([0.0], returned)
