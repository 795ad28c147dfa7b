"""Training in this process, for comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jobs.train.data.open import Data
from jobs.train.exchange.group import alone
from jobs.train.process.plan import Plan
from jobs.train.process.training import Training
from jobs.usercode import UserCode


def training(create_model: Callable[[], Any] | str, plan: Plan, seed: int = 0) -> Training:
    """Return a training whose data are loaded and whose weights are the initial ones."""
    made = Training(UserCode("create_model", create_model, "m:f"), seed, 1)
    made.load(plan)
    made.initialize()
    return made


def trained(create_model: Callable[[], Any] | str, plan: Plan, steps: int, seed: int = 0) -> Training:
    """Return a training after some steps without a cluster."""
    made = training(create_model, plan, seed)
    made.run(alone(plan.parts, made.form), steps)
    made.close()
    return made


def plan_of(data: Any, **settings: Any) -> Plan:
    """Return a plan on data."""
    return Plan(data=Data("data", data), **{"batch_size": 48, **settings})


def bits(model: Any) -> bytes:
    """Return all variables of a model but its random generators', as bytes."""
    variables = [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]
    return b"".join(np.asarray(one.numpy()).tobytes() for one in variables if "seed_generator" not in one.path)
