"""The checks of a search before work begins."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from jobs import usercode
from jobs.errors import ClusterError, InputError, argument
from jobs.parts import code_roots
from jobs.tune import space as spaces
from jobs.tune.options import Options
from jobs.tune.records.identity import identity_of
from jobs.tune.space.enqueued import enqueued
from jobs.tune.space.pruners import make_pruner
from jobs.tune.space.samplers import grid_size, make_sampler
from jobs.tune.space.space import Space, draw
from jobs.tune.trials.code import sources_of
from jobs.tune.trials.objective import defines_by_run, function_of, user_code
from jobs.usercode import UserCode


@dataclass(frozen=True)
class Plan:
    """A checked search.

    Attributes:
        options: as given, with what its files hold in their place.
        source: the objective, as it is sent.
        space: the search space; empty where the objective asks for its hyperparameters.
        identity: of the study, by name.
        enqueued: known hyperparameters that run first.
        trials: maximum trials; at most those of a grid.
        files: paths or URLs of the files that trials read, as far as the objective's module names them.
        code: digests of the objective's source, which workers compare; none of one that is sent by value.
        unseen: why it could not name them, if so: files may be on the workers alone.
    """

    options: Options
    source: UserCode
    space: Space
    identity: Mapping[str, Any]
    enqueued: Sequence[dict[str, Any]]
    trials: int
    code: Mapping[str, str]
    files: Sequence[str]
    unseen: str


def plan(options: Options, objective: Any = None) -> Plan:
    """Check all options; `objective` is a function that takes the place of its name.

    Raises:
        InputError: one of them cannot be used.
    """
    given = options.objective if objective is None else objective
    source = user_code(given)
    module = sys.modules.get(str(getattr(function_of(source), "__module__", None)))
    space = _parameters(options, module, by_run=defines_by_run(function_of(source)))
    make_sampler(options.sampler, space, options.seed, 0, options.sampler_options)
    make_pruner(options.prunes, options.pruner_options)
    trials = options.trials
    if options.sampler == "grid":
        trials = min(trials, grid_size(space, options.sampler_options))
    found = usercode.call("objective", sources_of, given)
    identity = identity_of(options, source.name, space, found)
    code = found if code_roots(source) else {}
    known = enqueued(options.enqueue, space)
    if known and options.sampler == "grid":
        raise InputError(f"{argument('enqueue')} adds to a grid what is not on it; take another {argument('sampler')}")
    files: dict[str, Any] = {"space": spaces.plain(space)} if space else {}
    files |= {"enqueue": [dict(one) for one in known]} if isinstance(options.enqueue, str) else {}
    options = options.model_copy(update=files)
    return Plan(options, source, space, identity, known, trials, code, *_files(options, module))


def _files(options: Options, module: ModuleType | None) -> tuple[Sequence[str], str]:
    """Return the files that the module's `data_files(fixed)` names, or none and the reason."""
    if (data_files := getattr(module, "data_files", None)) is None:
        return (), ""
    try:
        return usercode.call("data_files()", lambda: [str(file) for file in data_files(dict(options.fixed))]), ""
    except (InputError, ClusterError) as error:
        return (), f"a change of the data would not be noticed: they cannot be looked at from here ({error})"


def _parameters(options: Options, module: ModuleType | None, *, by_run: bool) -> Space:
    """Return the space, after a check of the parameters of a trial; none of an objective that asks for them."""
    if by_run:
        if options.space is not None:
            raise InputError(
                f"{argument('space')} is given, but {options.objective} takes the trial alone, and asks it for its "
                f"hyperparameters (trial.suggest_float, ...); leave {argument('space')} out"
            )
        return {}
    space = _space(options, module)
    if twice := sorted(space.keys() & options.fixed.keys()):
        raise InputError(f"{argument('fixed')} {twice[0]} is in the {argument('space')} too; remove one of them")
    if check := getattr(module, "check_parameters", None):
        usercode.call("check_parameters()", check, {**options.fixed, **draw(space, options.seed, 0)})
    return space


def _space(options: Options, module: ModuleType | None) -> Space:
    if isinstance(options.space, str):
        return spaces.load(options.space)
    if options.space is not None:
        return spaces.parse(options.space)
    if (found := getattr(module, "SPACE", None)) is None:
        name = options.objective.partition(":")[0]
        raise InputError(
            f"{argument('space')} is missing: give a YAML file, or write SPACE = {{...}} into the module {name}"
        )
    checked: Space = usercode.call("SPACE", spaces.check, found)
    return checked
