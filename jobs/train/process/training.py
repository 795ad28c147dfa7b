"""Training in one process: the replica, its rows, and the steps of a group that it takes part in."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError, UserCodeError, argument
from jobs.keras.build import isolated
from jobs.sources import check_sources
from jobs.train.data.batches import Ahead, FactoryBatches, RowBatches
from jobs.train.data.open import Data
from jobs.train.exchange.group import Group
from jobs.train.exchange.wire import Format, Vector
from jobs.train.process.messages import BATCH_STEPS, Facts, Spent, Status
from jobs.train.process.opening import batches_of, first_rows
from jobs.train.process.plan import Plan
from jobs.train.process.single import SingleSteps
from jobs.train.replica.evaluation import Evaluation
from jobs.train.replica.forward import Rows
from jobs.train.replica.gradient import GradientStep
from jobs.train.replica.layout import LOSS, METRICS, ROWS
from jobs.train.replica.local import LocalRound
from jobs.train.replica.model import ReplicaModel
from jobs.train.replica.pieces import Array, Bytes, Cut, Shape, pieces, rows_of, shapes, split, views
from jobs.usercode import UserCode, call


class Training:
    """One process's part of a run.

    Args:
        create_model: the user's.
        seed: of the initial weights.
        threads: intra-op threads.

    Attributes:
        replica: the model.
        step: steps that are done; -1 before a state was set.
        sums: the epoch's sums so far: loss times rows, rows, metrics; float64.
        spent: where the time went.
        batch: the sums of the last step whose number is a multiple of `BATCH_STEPS`; empty before the first.
        single: steps of a caller's own loop.
    """

    def __init__(self, create_model: UserCode, seed: int, threads: int) -> None:
        self._code = create_model
        self.replica = ReplicaModel(create_model, seed, threads)
        self.step = -1
        self.sums: NDArray[np.float64] = np.zeros(0)
        self.skipped = 0
        self.spent = Spent()
        self.batch: list[float] = []
        self.single = SingleSteps(self.replica)

    def load(self, plan: Plan) -> Facts:
        """Open the data, and compile what they are computed by; the state stays as it is.

        Raises:
            InputError, DataError, UserCodeError: data, model or settings cannot be used.
        """
        self.close()  # of an earlier fit
        self.plan, self._warm = plan, False
        self._check_sources()
        batches = batches_of(plan.data, plan, self.replica, plan.held_out)
        self._ahead = Ahead(batches)
        self.replica.fit_to(*first_rows(batches, plan.parts))
        if isinstance(batches, RowBatches) and (extremes := batches.extremes()) is not None:
            self.replica.fit_to(*extremes)  # a label that the model has no class for is found now, not in some step
        rows = first_rows(batches, plan.parts)  # once more: a model without shapes has a type only now
        self.strategy: GradientStep | LocalRound = (
            LocalRound(self.replica, rows, plan.seed, plan.slots)
            if plan.every
            else GradientStep(self.replica, rows, plan.seed)
        )
        self.form = Format(plan.wire, self.strategy.layout.rounded)
        validation = plan.validation if isinstance(plan.validation, Data) else None
        self._validation = batches_of(validation, plan, self.replica) if validation else None
        held_out = first_rows(self._validation, plan.parts) if self._validation else rows
        self.replica.fit_to(*held_out)  # found now, not at the end of the first epoch
        self.evaluation = Evaluation(self.replica, held_out, plan.seed)
        self._steps = batches.steps
        if self.sums.size != (size := METRICS + self.strategy.layout.metrics):
            self.sums = np.zeros(size)  # else they stay: a worker whose connection broke loads once more in mid-epoch
        return {
            "steps": batches.steps,
            "samples": batches.samples,
            "held_out": self._held_out(batches),
            "structure": self.replica.structure(),
            "means": {name: METRICS + place for name, place in self.replica.mean_metrics().items()},
        }

    def _check_sources(self) -> None:
        plan = self.plan
        if plan.sources:
            given = [one for one in (plan.data, plan.validation) if isinstance(one, Data)]
            check_sources(plan.sources, *self._code.roots(), *(root for one in given for root in one.roots))

    def status(self) -> Status:
        """Return how far this process is."""
        return {
            "step": self.step,
            "sums": self.sums.tolist(),
            "batch": self.batch,
            "skipped": self.skipped,
            "spent": asdict(self.spent),
        }

    def _held_out(self, batches: RowBatches | FactoryBatches) -> int:
        if self._validation is not None:
            return self._validation.samples
        return batches.order.counts()[1] if isinstance(batches, RowBatches) else 0

    def initialize(self) -> None:
        """Begin with the weights as they were built: for one process, from which all others take them."""
        self.step = 0

    def rewind(self) -> None:
        """Count steps from 0 again, with the present weights."""
        self.step = self.skipped = 0

    def state(self) -> list[Array]:
        """Return the state after `step` steps: all variables, then the epoch's sums and steps that were skipped."""
        return [*self.replica.state(), *self._counts()]

    def _counts(self) -> list[Array]:
        return [self.sums, np.array([[self.step, self.skipped]])]

    def _layout(self) -> tuple[Shape, ...]:
        return (*self.replica.layout(), *shapes(self._counts()))

    def pieces(self) -> int:
        """Return how many pieces the state has."""
        return len(pieces(self._layout()))

    def piece(self, index: int) -> list[Bytes]:
        """Return a piece of the state, without a copy; of variables on a GPU, with one of theirs alone."""
        cuts = pieces(self._layout())[index]
        return views({cut.array: self._array(cut.array) for cut in cuts}, cuts)

    def _array(self, number: int) -> Array:
        variables = len(self.replica.state_variables)
        return self.replica.value(number) if number < variables else self._counts()[number - variables]

    def check_layout(self, layout: Sequence[Shape]) -> None:
        """Check that a state of these shapes can be set.

        Raises:
            InputError: it is another model's.
        """
        if tuple(layout) != self._layout():
            raise InputError(
                "the checkpoint is of another model: its variables or metrics have other shapes or types; take back "
                f"what was changed, or choose another {argument('run')}"
            )

    def put(self, index: int, data: bytes | Sequence[Bytes]) -> None:
        """Set a piece of another process's state, or of a checkpoint: joined, or as `piece` has returned it.

        Pieces are set in order: with the last one, which has the step, this process has a state again.
        """
        layout = self._layout()
        cuts = pieces(layout)[index]
        self.step = -1  # half of a state is none; the last piece sets it
        for cut, part in zip(cuts, split(data, layout, cuts) if isinstance(data, bytes) else data, strict=True):
            self._set_rows(cut, rows_of(part, layout[cut.array], cut))

    def _set_rows(self, cut: Cut, rows: Array) -> None:
        number = cut.array - len(self.replica.state_variables)
        if number < 0:
            self.replica.set_rows(cut.array, cut.start, rows)
        elif number == 0:
            self.sums[cut.start : cut.stop] = rows
        else:
            self.step, self.skipped = (int(count) for count in rows[0])

    def run(self, group: Group, until: int) -> None:
        """Take steps with a group until `until` steps are done.

        Raises:
            AbortedError, LateError, OSError: the group has ended; the state is that after `step` steps.
            UserCodeError: the loss is not finite, or the user's code raised.
        """
        try:
            # What overflows is found by the loss, and said; NumPy's warnings would come beside it.
            with np.errstate(over="ignore", invalid="ignore"):
                while self.step < until:
                    self._take(group)
        except BaseException:
            # Local steps of a round have changed the weights; the state is to be that after `step` steps.
            self.strategy.cancel()
            raise

    def _take(self, group: Group) -> None:
        group.check()
        steps = self.plan.steps_of(self.step, self._steps)
        if self.step % self._steps == 0:
            self.sums = np.zeros_like(self.sums)
        layout, before = self.strategy.layout, self.spent.data + self.spent.compute
        began = time.perf_counter()
        total = group.total(self.step, self._vectors(group, steps), layout.size, layout.dtype)
        summed = time.perf_counter()
        tail = layout.tail(total)
        # One sum of all: it is not finite where any number is not, and needs no array of truth values.
        if np.isfinite(tail[LOSS]) and (self.replica.scales_loss or np.isfinite(total[: layout.tail_at].sum())):
            self.strategy.apply(total, steps)
            self.sums += tail
        else:
            self._not_finite("some part")
            self.skipped += steps
            self.strategy.cancel()
        self.step += steps
        if self.step % BATCH_STEPS == 0:
            self.batch = tail.astype(np.float64).tolist()
        # Less the parts' own time: `total` has taken their vectors one by one from `_vectors`.
        self.spent.exchange += summed - began - (self.spent.data + self.spent.compute - before)
        self.spent.apply += time.perf_counter() - summed
        # TensorFlow prepares much at the first call of a function: a worker that joins would look slow.
        if not self._warm:
            self.spent, self._warm = Spent(), True

    def _vectors(self, group: Group, steps: int) -> Iterator[tuple[int, Vector]]:
        for part in group.mine:
            yield part, self._part(part, steps)
        # Here, before the exchange: the next step's rows are read while that takes place.
        self._ahead.prepare((self.step + steps, part) for part in group.mine)

    def _part(self, part: int, steps: int) -> Vector:
        began = time.perf_counter()
        found = (self._ahead.get(self.step + offset, part) for offset in range(steps))
        batches = [rows for rows in found if rows is not None]
        loaded = time.perf_counter()
        layout = self.strategy.layout
        where = f"part {part} of step {self.step + 1}"
        vector = call(where, self.strategy.part, batches, self.step, part) if batches else layout.empty()
        if not np.isfinite(layout.tail(vector)[LOSS]):
            self._not_finite(f"part {part}")
        self.spent.data += loaded - began
        self.spent.compute += time.perf_counter() - loaded
        self.spent.parts += len(batches)
        return vector

    def _not_finite(self, where: str) -> None:
        if self.plan.on_nan == "fail":
            edited = f"; a model whose source was edited goes on with {argument('accept_new_code')}"
            raise UserCodeError(
                f"the loss of {where} in step {self.step + 1}, or its gradient, is not finite: lower the learning "
                f"rate, clip gradients, or skip such steps with {argument('on_nan')} skip in another {argument('run')}"
                f"{edited if self.plan.sources else ''}"
            )

    def evaluate(self, parts: Iterable[int]) -> dict[int, NDArray[np.float64]]:
        """Return part -> its sums over the validation data: loss times rows, rows, metrics; float64."""
        return {part: self.evaluation.sums(self._held(part)) for part in parts}

    def _held(self, part: int) -> Iterable[Rows]:
        if self._validation is None:
            batches = self._ahead.batches
            return batches.held(part) if isinstance(batches, RowBatches) else ()
        found = (self._validation.at(step, part) for step in range(self._validation.steps))
        return (rows for rows in found if rows is not None)

    def logs(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """Return loss and metrics, name -> value, of sums as `sums` and `evaluate` have them."""
        return isolated(self.replica.floatx, lambda: self._logs(sums))

    def _logs(self, sums: NDArray[np.float64]) -> dict[str, float]:
        at, model = METRICS, self.replica.model
        for variable in self.replica.metrics:
            size = int(np.prod(variable.shape))
            variable.assign(sums[at : at + size].reshape(variable.shape))
            at += size
        results = {name: float(value) for name, value in model.get_metrics_result().items()}
        model.reset_metrics()
        return results | {"loss": float(sums[LOSS] / sums[ROWS]) if sums[ROWS] else float("nan")}

    def close(self) -> None:
        """End the thread that reads ahead."""
        if hasattr(self, "_ahead"):
            self._ahead.close()
