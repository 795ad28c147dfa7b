"""Pruners by name: Optuna's, which decide after a report whether a trial is worth going on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from optuna import pruners
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner

from jobs.errors import InputError

PRUNERS = ("asha", "median", "percentile", "hyperband", "patient", "threshold", "none")


def make_pruner(name: str, options: Mapping[str, Any]) -> BasePruner:
    """Return a pruner.

    ASHA takes its first decision after step 1: Optuna's own default takes none before a trial has run to its end.

    Args:
        name: one of PRUNERS.
        options: arguments of Optuna's pruner; percentile, patience and the thresholds have defaults or are asked for.

    Raises:
        InputError: it does not take the options, or lacks one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return _make(name, options)
    except (TypeError, ValueError) as error:
        raise InputError(f"--pruner {name} does not take these --pruner-options: {error}") from error


def _make(name: str, options: Mapping[str, Any]) -> BasePruner:
    if name == "asha":
        return pruners.SuccessiveHalvingPruner(**{"min_resource": 1, **options})
    if name == "median":
        return pruners.MedianPruner(**options)
    if name == "percentile":
        return pruners.PercentilePruner(**{"percentile": 25.0, **options})
    if name == "hyperband":
        return pruners.HyperbandPruner(**options)
    if name == "patient":
        return pruners.PatientPruner(None, **{"patience": 5, **options})
    if name == "threshold":
        return pruners.ThresholdPruner(**options)
    if options:
        raise TypeError(f"{', '.join(options)}; it takes none")
    return pruners.NopPruner()
