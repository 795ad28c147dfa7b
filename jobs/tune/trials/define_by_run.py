"""The trial of an objective that asks for its hyperparameters as it runs: `def objective(trial)`, as of Optuna.

Each `suggest_*` and `should_prune` is a request to the driver, which has the sampler and the pruner, and notes its
answer in the journal before it gives it: a trial that runs again gets the same values.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

import numpy as np

from jobs.tune.trials.messages import Request
from jobs.tune.trials.score import number
from jobs.tune.trials.trial import ORDER, Trial

RESEND_SECONDS = 5.0
"""Interval in which a request without a reply is sent again: either may be lost with a connection."""
ELSEWHERE = (
    "study",
    "storage",
    "system_attrs",
    "set_system_attr",
    "distributions",
    "relative_params",
    "datetime_start",
)
"""Attributes of Optuna's trials that need the study."""
CONSTRAINTS = ("constraints", "set_constraint")


class DefineByRunTrial(Trial):
    """One trial, as a function `objective(trial)` gets it; what is not of Optuna is as of `Trial`.

    Attributes:
        params: name -> value of those that were suggested so far.
        fixed: the option `fixed`; a hyperparameter of such a name has that value.
    """

    def __init__(self, number: int, fixed: dict[str, Any], **about: Any) -> None:
        super().__init__(number, {}, **about)
        self.fixed = fixed
        self._requests = 0

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number in [low, high]."""
        step = None if step is None else float(step)
        return float(self._suggest(name, "float", low=float(low), high=float(high), step=step, log=bool(log)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return an integer in low .. high."""
        return int(self._suggest(name, "int", low=int(low), high=int(high), step=int(step), log=bool(log)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices, the same object: numbers, texts, booleans, None, lists or tuples of these."""
        return self._suggest(name, "categorical", choices=list(choices))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Return `suggest_float(name, low, high)`; Optuna has deprecated it."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Return `suggest_float(name, low, high, log=True)`; Optuna has deprecated it."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Return `suggest_float(name, low, high, step=q)`; Optuna has deprecated it."""
        return self.suggest_float(name, low, high, step=q)

    def _suggest(self, name: str, kind: str, **wanted: Any) -> Any:
        if not isinstance(name, str) or not name:
            raise TypeError(f"trial.suggest_{kind}: the name is {name!r}, but must be a text that is not empty")
        if name not in self.params:
            try:
                text = json.dumps({"kind": kind, **wanted}, default=_item)
            except (TypeError, ValueError) as error:
                raise TypeError(
                    f"trial.suggest_{kind}: the choices of {name} must be numbers, texts, booleans, None or lists of "
                    f"these ({error}); name the others, and look the named up"
                ) from error
            value = self._ask("suggest", name=name, wanted=text)
            self.params[name] = wanted["choices"][int(value)] if kind == "categorical" else value
        return self.params[name]

    def _ask(self, what: Literal["suggest", "prune"], *, name: str = "", wanted: str = "", step: int = 0) -> float:
        """Ask the driver, and return its answer.

        Raises:
            Stop: the trial is out of time.
            ValueError: what is asked for cannot be; from Optuna.
        """
        self._check_stop()
        self._requests += 1
        request = Request(kind="request", request=self._requests, what=what, name=name, wanted=wanted, step=step)
        reply = None
        while reply is None:
            self._link.send(**request)
            reply = self._signal.wait_for_reply(self._requests, RESEND_SECONDS)
            self._check_stop()
        if reply["error"]:
            raise ValueError(f"trial.suggest: {name}: {reply['error']}")
        return reply["value"]

    def _check_stop(self) -> None:
        if reason := self.ended or self._signal.reason:
            self._end(reason)

    def report(self, value: float, step: int) -> None:
        """Send the driver a score after `step` steps; it stops no trial, `should_prune` tells.

        A step that is not larger than the last one changes nothing.

        Raises:
            Stop: the trial is out of time.
            TypeError: `value` or `step` is not a number.
            ValueError: `step` is negative.
        """
        self._check_stop()
        value, step = number(value, "trial.report: value is", "be a number", f"; {ORDER}"), int(step)
        if step < 0:
            raise ValueError(f"trial.report: step is {step}, but must be >= 0; {ORDER}")
        self.save()
        if self._step is not None and step <= self._step:
            return
        self._step, self.diverged = step, not math.isfinite(value)
        if not self.diverged:
            self._held = (step, value)
            if self._may_send():
                self.send_held()

    def should_prune(self) -> bool:
        """Return whether the trial is to be stopped for its last report, or has diverged; then raise `TrialPruned`."""
        self._check_stop()
        # A report that is held back, since there are so many per second, is decided on with one of the next.
        if self.diverged or self._step is None or self._held or not self._prunes:
            return self.diverged
        return bool(self._ask("prune", step=self._step))

    def __getattr__(self, name: str) -> NoReturn:
        if name in ELSEWHERE:
            raise AttributeError(
                f"trial.{name} is not available here: the study is on the driver, and trials run on workers; a "
                "callback of jobs.tune.Study gets it",
            )
        if name in CONSTRAINTS:
            raise AttributeError(
                f"trial.{name} is not available here: return a dict, and name its metrics by --constraints"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _item(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} is none of them")


def is_pruned(error: BaseException) -> bool:
    """Return whether it is Optuna's `TrialPruned`; a process that has not imported Optuna has raised none."""
    optuna = sys.modules.get("optuna")
    return optuna is not None and isinstance(error, optuna.TrialPruned)
