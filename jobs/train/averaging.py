"""Gradient averaging and parameter averaging, as Python's interface to a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.train.data.open import Data
from jobs.train.exchange.wire import Wire
from jobs.train.loop.callbacks import KerasCallbacks
from jobs.train.loop.fit import Fit
from jobs.train.loop.state import FitState, History
from jobs.train.process.plan import PARTS, OnNan, Plan
from jobs.train.replica.local import Slots
from jobs.train.replica.model import finalize
from jobs.train.replicas import Replicas


class GradientAveraging:
    """One common step per batch: gradients of logical parts are added in a fixed order, on all replicas alike.

    Args:
        replicas: the model's.
        parts: logical parts of a step; the result depends on them, not on the workers.
        seed: of shuffles and random layers.
        wire: 'full', or 'bfloat16' for gradients of half the bytes.
        on_nan: what a loss that is not finite does: 'fail', or 'skip' the step.
        step_timeout: seconds that a step waits for a worker.
    """

    every = 0
    slots: Slots = "mean"

    def __init__(
        self,
        replicas: Replicas,
        *,
        parts: int = PARTS,
        seed: int = 0,
        wire: Wire = "full",
        on_nan: OnNan = "fail",
        step_timeout: float = 600.0,
    ) -> None:
        self._replicas = replicas
        self._settings: dict[str, Any] = {
            "parts": parts,
            "seed": seed,
            "wire": wire,
            "on_nan": on_nan,
            "step_timeout": step_timeout,
        }

    def fit(
        self,
        data: Any,
        *,
        validation_data: Any = None,
        validation_split: float | None = None,
        batch_size: int = 64,
        epochs: int = 10,
        callbacks: Sequence[Any] = (),
    ) -> History:
        """Train, and return name -> value at the end of each epoch, as Keras's `History.history` has it.

        Args:
            data: a data set's spec, a `RowSource`, arrays (x, y) or (x, y, sample_weight), or a function of (part,
                parts, epoch, seed) that returns a tf.data.Dataset or PyDataset of that part's batches.
            validation_data: the same, of what is evaluated after each epoch.
            validation_split: instead: the fraction of the rows that is held out.
            batch_size: rows of a step over all workers, a multiple of `parts`.
            epochs: passes over the data.
            callbacks: keras.callbacks.Callback objects, which are called here where epochs begin and end.

        Raises:
            InputError, DataError: model, data or settings cannot be used.
            UserCodeError: the user's code raised, or the loss is not finite.
            ClusterError: there are no workers.
        """
        validation = validation_split if validation_data is None else Data("validation_data", validation_data)
        plan = Plan(
            data=Data("data", data),
            validation=validation,
            batch_size=batch_size,
            every=self.every,
            slots=self.slots,
            **self._settings,
        )
        trainer = self._replicas.trainer
        facts = trainer.load(plan)
        ends = [KerasCallbacks(callbacks, trainer, epochs)] if callbacks else []
        fit = Fit(trainer, plan, facts, epochs, at_epoch_end=ends)
        state: FitState = fit.go_on(started=self._replicas.started)
        self._replicas.started = True
        trainer.on_all(finalize)
        for one in ends:
            one.end()
        return state.history


class ParameterAveraging(GradientAveraging):
    """Parts train alone for `every` steps, and their weights are averaged, by the rows that each has seen.

    Args:
        replicas: the model's.
        every: steps between two averages.
        slots: what becomes of the optimizer's slots, such as momenta: their 'mean', or 'reset'.
        settings: as `GradientAveraging` takes them.
    """

    def __init__(self, replicas: Replicas, *, every: int = 10, slots: Slots = "mean", **settings: Any) -> None:
        super().__init__(replicas, **settings)
        self.every, self.slots = every, slots
