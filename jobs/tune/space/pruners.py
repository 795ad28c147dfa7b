"""Pruners by name: Optuna's, which decide after a report whether a trial is stopped early."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from optuna import pruners
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner

from jobs.errors import InputError, argument

PRUNERS: dict[str, tuple[Callable[..., BasePruner], dict[str, Any]]] = {
    "asha": (pruners.SuccessiveHalvingPruner, {"min_resource": 1}),
    "median": (pruners.MedianPruner, {}),
    "percentile": (pruners.PercentilePruner, {"percentile": 25.0}),
    "hyperband": (pruners.HyperbandPruner, {}),
    "patient": (pruners.PatientPruner, {"wrapped_pruner": None, "patience": 5}),
    "threshold": (pruners.ThresholdPruner, {}),
    "none": (pruners.NopPruner, {}),
}
"""Name -> Optuna's class, and its arguments where the options do not set others.

ASHA takes its first decision after step 1: by Optuna's own default it takes none before a trial has run to its end.
"""


def make_pruner(name: str, options: Mapping[str, Any]) -> BasePruner:
    """Return a pruner of PRUNERS by its name; `options` are arguments of its class.

    The argument `wrapped_pruner` of `patient` is a name too, of a pruner with its default options.

    Raises:
        InputError: it does not take the options, or lacks one.
    """
    kind, defaults = PRUNERS[name]
    if name == "patient" and (wrapped := options.get("wrapped_pruner")) is not None:
        options = {**options, "wrapped_pruner": _wrapped(wrapped)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return kind(**{**defaults, **options})
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{argument('pruner')} {name} does not take these {argument('pruner_options')}: {error}"
        ) from error


def _wrapped(name: Any) -> BasePruner:
    names = [known for known in PRUNERS if known != "patient"]
    if name not in names:
        raise InputError(
            f"{argument('pruner_options')} wrapped_pruner is {name!r}, but must be one of {', '.join(names)}"
        )
    return make_pruner(name, {})
