"""One attempt of a training, whatever names the model and the data: checks, restores, trains, and writes the result."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from jobs.datasets.tables.kept import keep_columns
from jobs.errors import InputError, argument
from jobs.runs.attempt import Attempt
from jobs.runs.identity import is_code, is_same
from jobs.runs.run import Run
from jobs.sources import sources
from jobs.train.data.open import Data
from jobs.train.event_files import EventFiles
from jobs.train.group.trainer import ClusterTrainer
from jobs.train.loop.callbacks import EarlyStopping, EpochEnd, KerasCallbacks, ReduceOnPlateau
from jobs.train.loop.checkpoint import Checkpoints
from jobs.train.loop.fit import Fit
from jobs.train.loop.serial import SerialTrainer
from jobs.train.loop.trainer import Trainer
from jobs.train.monitor import Monitor
from jobs.train.options import TrainingOptions
from jobs.train.outcome import Advice, finish
from jobs.train.process.messages import Facts
from jobs.train.process.plan import Plan, as_dict
from jobs.usercode import UserCode

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Subject:
    """What is trained, and on what.

    Attributes:
        code: the model's factory.
        data: of the training.
        validation: other data, the fraction of the data that is held out, or None.
        batch_size: rows of a step; 0: `minibatch` of each part.
        minibatch: rows of a part of a step.
        every: steps between two averages of parameters; 0: gradients are averaged.
        slots: what averaging parameters does with the optimizer's slots.
        callbacks: `module:function` of Keras callbacks.
        accept_new_code: whether the source of the code and the data may have changed since the run began.
        pauses: steps at multiples of which the weights are shown; 0: never.
        advice: what a hint says of its options.
    """

    code: UserCode
    data: Data
    validation: float | Data | None = None
    batch_size: int = 0
    minibatch: int = 0
    every: int = 0
    slots: Literal["mean", "reset"] = "mean"
    callbacks: str | None = None
    accept_new_code: bool = False
    pauses: int = 0
    advice: Advice = field(default_factory=Advice)


def train(
    options: TrainingOptions,
    attempt: Attempt,
    subject: Subject,
    identity: dict[str, str],
    *,
    client: Client | None,
    monitor: Monitor,
    notes: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Check everything, claim the folder, restore, train, and return what is in result.json.

    Args:
        options: how to train.
        attempt: on the run folder.
        subject: what.
        identity: what makes the run this run: name -> value, of model and data.
        client: of the cluster; None: all happens in this process.
        monitor: shows it.
        notes: what else is to be in the result.

    Raises:
        JobError: the run failed or was stopped.
    """
    folder = attempt.folder
    attempt.bits.differing = "admit" if options.mixed else "refuse"
    trainer = attempt.stack.enter_context(closing(_trainer(options, attempt, subject.code, client, monitor)))
    plan = _plan(options, subject, folder, trainer.workers, _named_code(subject, identity))
    monitor.doing("building the model, opening the data")
    facts = trainer.load(plan)
    identity |= _identity(options, plan, trainer, facts)
    files = EventFiles(folder.storage, written="tensorboard" in options.log)
    fit = Fit(
        trainer,
        plan,
        facts,
        options.epochs,
        # The event files first: the learning rate is that of the epoch that has ended.
        at_epoch_end=[files, *_ends(options, subject, trainer)],
        checkpoints=Checkpoints(folder.storage),
        saving=options.saving,
        identity=identity,
        monitor=monitor,
        pauses=subject.pauses,
    )
    what, accepted = f"the checkpoint in {folder.url}", subject.accept_new_code
    fit.check(lambda before: compare(what, before, identity, accept_new_code=accepted))
    if not folder.attempt:  # a job that prepares its data has claimed the folder before
        attempt.start(*_roots(subject), identity=identity, workers=trainer.workers)
    keep_columns(folder.storage, subject.data.table)
    with attempt.saving(lambda: _save(fit, files)):
        fit.start()
        files.begin(folder.attempt, fit.step, facts)
        monitor.begin(fit, facts, files)
        fit.run()
    origin = {
        "identity": identity,
        "rates": files.rates,
        **attempt.bits.as_result(),
        **attempt.data.as_result(),
        **notes,
    }
    return finish(folder, trainer, fit, facts, origin, advice=subject.advice)


def _named_code(subject: Subject, identity: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of what workers import; the source of what is sent by value is not compared."""
    data = [one for one in (subject.data, subject.validation) if isinstance(one, Data)]
    found = {name: value for name, value in identity.items() if is_code(name)}
    if subject.code.spec is not None and all(not one.by_value for one in data):
        return found
    named = sources(*subject.code.roots(), *(root for one in data for root in one.roots))
    return {name: value for name, value in found.items() if name in named}


def compare(what: str, before: Mapping[str, Any], now: Mapping[str, Any], *, accept_new_code: bool = False) -> None:
    """Compare the identity of a run with that of this attempt.

    Raises:
        InputError: it is another run's.
    """
    is_same(what, "run", before, now, accept_new_code=accept_new_code, shown=lambda value: repr(value)[:60])


def is_its(
    options: TrainingOptions,
    folder: Run,
    result: Mapping[str, Any],
    identity: Mapping[str, str],
    *,
    accept_new_code: bool = False,
) -> bool:
    """Return whether a result is that of the requested run, all its epochs.

    Raises:
        InputError: it is another run's.
    """
    before = result.get("identity", {})
    known = {name: value for name, value in before.items() if name in identity or is_code(name)}
    compare(f"the result in {folder.url}", known, identity, accept_new_code=accept_new_code)
    if bool(result.get("weights", {}).get("best_by")) != options.restore_best:
        return False
    return int(result.get("epochs", 0)) >= options.epochs or bool(result.get("ended"))


def _roots(subject: Subject) -> list[Any]:
    """Return the roots of the user's code; callbacks count by the name of their module."""
    data = [one for one in (subject.data, subject.validation) if isinstance(one, Data)]
    callbacks = [subject.callbacks.partition(":")[0]] if subject.callbacks else []
    return [*subject.code.roots(), *(root for one in data for root in one.roots), *callbacks]


def _save(fit: Fit, files: EventFiles) -> None:
    """Save what there is when a run ends early; the curves last, they are in the checkpoint."""
    fit.save_now()
    files.write()


def _identity(options: TrainingOptions, plan: Plan, trainer: Trainer, facts: Facts) -> dict[str, str]:
    """Return what decides the result beside the user's code and data, name -> value."""
    found = {name: str(value) for name, value in as_dict(plan).items()} | {"structure": facts["structure"]}
    if options.mixed:
        return found
    return found | {f"{name} of the workers": value for name, value in trainer.fingerprint.items()}


def _trainer(
    options: TrainingOptions, attempt: Attempt, code: UserCode, client: Client | None, monitor: Monitor
) -> SerialTrainer | ClusterTrainer:
    folder = attempt.folder
    if client is None:
        monitor.doing("working in this process")
        serial = SerialTrainer(code, options.seed, storage=folder.storage, poll=folder.poll)
        attempt.bits.add("this process", serial.fingerprint)
        return serial
    monitor.doing("building the model on the workers")
    return ClusterTrainer(
        client,
        code,
        options.seed,
        storage=folder.storage,
        workers_timeout=options.workers_timeout,
        poll=folder.poll,
        bits=attempt.bits,
    )


def _plan(options: TrainingOptions, subject: Subject, folder: Run, workers: int, code: Mapping[str, str]) -> Plan:
    parts = resolved_parts(options, folder, workers)
    check_parts(parts, workers)
    return Plan(
        data=subject.data,
        validation=subject.validation,
        batch_size=subject.batch_size or parts * subject.minibatch,
        parts=parts,
        every=subject.every,
        slots=subject.slots,
        seed=options.seed,
        wire=options.wire,
        on_nan=options.on_nan,
        step_timeout=options.step_timeout,
        sources=code,
    )


def connected(options: TrainingOptions, attempt: Attempt, *preload: str) -> Client | None:
    """Return the client of a cluster, each of whose workers on this machine has a part; None with `--workers 0`.

    Args:
        options: where, and how many workers.
        attempt: on the run folder.
        preload: as of `Attempt.connect`.

    Raises:
        InputError, ClusterError: as `Attempt.connect`; or more workers are asked for than there are parts.
    """
    if options.workers == 0:
        return None
    parts = _fixed_parts(options, attempt.folder)
    if parts:
        check_parts(parts, options.workers or 0)
    return attempt.connect(*preload, most=parts)


def check_parts(parts: int, workers: int) -> None:
    """Check that each worker has a part.

    Raises:
        InputError: there are more workers.
    """
    if workers > parts:
        raise InputError(
            f"{argument('parts')} is {parts}, fewer than the {workers} workers, and each needs one: give more parts, "
            f"such as {workers}, or fewer {argument('workers')}"
        )


def resolved_parts(options: TrainingOptions, folder: Run, workers: int) -> int:
    """Return the number of parts; `workers` is what it was at the run's first start."""
    return _fixed_parts(options, folder) or max(workers, 1)


def _fixed_parts(options: TrainingOptions, folder: Run) -> int | None:
    """Return the number of parts; None if the workers at the run's first start are yet to decide it."""
    if options.parts != "workers":
        return options.parts
    manifest = Checkpoints(folder.storage).last()
    kept = manifest.progress.get("identity", {}).get("parts") if manifest else None
    return int(kept) if kept else None


def _ends(options: TrainingOptions, subject: Subject, trainer: Trainer) -> list[EpochEnd]:
    ends: list[EpochEnd] = []
    if options.early_stopping:
        ends.append(EarlyStopping(options.early_stopping))
    if options.reduce_on_plateau:
        ends.append(ReduceOnPlateau(options.reduce_on_plateau))
    if subject.callbacks:
        ends.append(KerasCallbacks(subject.callbacks, trainer, options.epochs))
    return ends
