"""Opening the data of a plan: which rows are a part's, and what cannot be trained on."""

from __future__ import annotations

import numpy as np

from jobs.datasets.rows import RowSource
from jobs.errors import InputError, argument
from jobs.train.data.batches import FactoryBatches, RowBatches
from jobs.train.data.open import Data, is_factory
from jobs.train.data.order import Order
from jobs.train.process.plan import Plan
from jobs.train.replica.forward import Rows
from jobs.train.replica.model import ReplicaModel


def batches_of(data: Data, plan: Plan, replica: ReplicaModel, held_out: float = 0.0) -> RowBatches | FactoryBatches:
    """Open data, and return their batches.

    Args:
        data: the plan's, or those of its validation.
        plan: of the run.
        replica: the model that takes them.
        held_out: share of the rows that is held out.

    Raises:
        InputError, DataError, UserCodeError: they cannot be used.
    """
    opened = data.open()
    if is_factory(opened):
        if held_out:
            raise InputError("validation is a fraction, but a data factory has no rows to hold out: give it data")
        return FactoryBatches(opened, plan.parts, plan.seed)
    return RowBatches(opened, _order(data, opened, plan, held_out), replica)


def first_rows(batches: RowBatches | FactoryBatches, parts: int) -> Rows:
    """Return the rows of the first part that has any.

    Raises:
        InputError: none has.
    """
    for part in range(parts):
        if (rows := batches.at(0, part)) is not None:
            return rows
    raise InputError("the data have no rows")


def _order(data: Data, source: RowSource, plan: Plan, held_out: float) -> Order:
    rows = int(source.rows)
    row_bytes = sum(np.asarray(part).nbytes for part in source.read(0, 1))
    order = Order(rows, plan.parts, plan.batch_size, plan.seed, row_bytes, held_out)
    order.check_held_out()
    trained, _ = order.counts()
    if not rows:
        raise InputError("the data have no rows")
    if data is plan.data and trained < plan.batch_size:  # validation may have fewer
        raise InputError(
            f"the data have {trained} rows to train on, fewer than {argument('batch_size')}, {plan.batch_size}"
        )
    return order
