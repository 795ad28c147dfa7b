"""The train job: options -> replicas -> epochs -> a model, resumable from its run folder."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import closing
from types import ModuleType
from typing import Any

from jobs.datasets.rows import RowSource, files_of, identity_of
from jobs.errors import InputError, argument
from jobs.runs.attempt import Attempt, attempt_on
from jobs.runs.identity import is_code, is_same
from jobs.runs.run import Run
from jobs.sources import sources
from jobs.train.data.open import Data, Factory, is_factory
from jobs.train.event_files import EventFiles
from jobs.train.group.trainer import ClusterTrainer
from jobs.train.loop.callbacks import EarlyStopping, EpochEnd, KerasCallbacks, ReduceOnPlateau
from jobs.train.loop.checkpoint import Checkpoints
from jobs.train.loop.fit import Fit
from jobs.train.loop.serial import SerialTrainer
from jobs.train.loop.trainer import Trainer
from jobs.train.monitor import Monitor
from jobs.train.options import Options
from jobs.train.outcome import finish
from jobs.train.process.messages import Facts
from jobs.train.process.plan import Plan, as_dict
from jobs.usercode import UserCode

EVERY = 10
"""Default steps between two averages of parameters."""


def run(options: Options) -> dict[str, Any]:
    """Run the job on its run folder until it ends, and return what is in result.json.

    A run that has already ended with these options is not repeated: its result is returned with `already` set; with
    more epochs it goes on where it was.

    Raises:
        JobError: the run failed or was stopped; the error is in the run folder too.
    """
    with attempt_on("train", options) as attempt:
        code, data = _code(options), _data(options)
        validation = _validation(options)
        named = {"data": data} | ({"validation": validation} if isinstance(validation, Data) else {})
        opened = {name: one.open() for name, one in named.items()}
        attempt.reads([file for one in opened.values() if not is_factory(one) for file in files_of(one)])
        identity = {"model": code.name, "data": data.text, **_contents(opened), **_sources(code, named)}
        ended = attempt.ended(lambda result: _is_its(options, attempt.folder, result, identity))
        return ended or _attempt(options, attempt, code, identity)


def _is_its(options: Options, folder: Run, result: Mapping[str, Any], identity: Mapping[str, str]) -> bool:
    """Return whether a result is that of the requested run, all its epochs.

    Raises:
        InputError: it is another run's.
    """
    before = result.get("identity", {})
    known = {name: value for name, value in before.items() if name in identity or is_code(name)}
    _compare(options, f"the result in {folder.url}", known, identity)
    if bool(result.get("weights", {}).get("best_by")) != options.restore_best:
        return False
    return int(result.get("epochs", 0)) >= options.epochs or bool(result.get("ended"))


def _example(options: Options) -> ModuleType:
    return importlib.import_module(f"jobs.train.examples.{options.example or 'digits'}")


def _code(options: Options) -> UserCode:
    """Return the model's factory, imported once here, so that its faults are found before work begins."""
    code = UserCode("model", options.model or f"{_example(options).__name__}:create_model", "my_model:create_model")
    if not callable(code.load()):
        raise InputError(f"{argument('model')} {code.name} is not a function")
    return code


def _data(options: Options) -> Data:
    if options.data:
        return Data("data", options.data)
    module = _example(options)
    return Data("data", "digits" if hasattr(module, "DATA") else f"{module.__name__}:data")


def _validation(options: Options) -> float | Data | None:
    given = options.validation
    if given is None:
        return 0.1 if options.model is None and options.example in (None, "digits") else None
    try:
        return float(given)
    except ValueError:
        return Data("validation", given)


def _contents(opened: Mapping[str, RowSource | Factory]) -> dict[str, str]:
    """Return what identifies the content of data, name -> value; a factory's is its source."""
    return {f"content of the {name}": identity_of(one) for name, one in opened.items() if not is_factory(one)}


def _sources(code: UserCode, data: Mapping[str, Data]) -> dict[str, str]:
    """Return the digests of the user's code."""
    return sources(*code.roots(), *(root for one in data.values() for root in one.roots))


def _compare(options: Options, what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    is_same(what, "run", before, now, accept_new_code=options.accept_new_code, shown=lambda value: repr(value)[:60])


def _attempt(options: Options, attempt: Attempt, code: UserCode, identity: dict[str, str]) -> dict[str, Any]:
    """Run one attempt: check everything, claim the folder, restore, train, and write the result."""
    folder = attempt.folder
    monitor = attempt.show(Monitor(folder))
    attempt.check_data()
    trainer = attempt.stack.enter_context(closing(_trainer(options, attempt, code, monitor)))
    plan = _plan(options, folder, trainer.workers, {name: one for name, one in identity.items() if is_code(name)})
    monitor.doing("building the model, opening the data")
    facts = trainer.load(plan)
    identity |= _identity(options, plan, trainer, facts)
    files = EventFiles(folder.storage)
    fit = Fit(
        trainer,
        plan,
        facts,
        options.epochs,
        # The event files first: the learning rate is that of the epoch that has ended.
        at_epoch_end=[files, *_ends(options, trainer)],
        checkpoints=Checkpoints(folder.storage),
        saving=options.saving,
        identity=identity,
        monitor=monitor,
        pauses=getattr(_example(options), "SHOW_EVERY", 0) if options.model is None else 0,
    )
    fit.check(lambda before: _compare(options, f"the checkpoint in {folder.url}", before, identity))
    attempt.start(workers=trainer.workers)
    with attempt.saving(lambda: _save(fit, files)):
        fit.start()
        files.begin(folder.attempt, fit.step, facts)
        monitor.begin(fit, facts, files)
        fit.run()
    return finish(folder, trainer, fit, facts, {"identity": identity, **attempt.data.as_result()})


def _save(fit: Fit, files: EventFiles) -> None:
    """Save what there is when a run ends early; the curves last, they are in the checkpoint."""
    fit.save_now()
    files.write()


def _identity(options: Options, plan: Plan, trainer: Trainer, facts: Facts) -> dict[str, str]:
    """Return what decides the result beside the user's code and data, name -> value."""
    found = {name: str(value) for name, value in as_dict(plan).items()} | {"structure": facts["structure"]}
    if options.mixed:
        return found
    return found | {f"{name} of the workers": value for name, value in trainer.fingerprint.items()}


def _trainer(options: Options, attempt: Attempt, code: UserCode, monitor: Monitor) -> SerialTrainer | ClusterTrainer:
    folder = attempt.folder
    if options.workers == 0:
        monitor.doing("working in this process")
        return SerialTrainer(code, options.seed, storage=folder.storage, poll=folder.poll)
    client = attempt.connect()
    monitor.doing("building the model on the workers")
    return ClusterTrainer(
        client,
        code,
        options.seed,
        storage=folder.storage,
        workers_timeout=options.workers_timeout,
        poll=folder.poll,
        mixed=options.mixed,
    )


def _plan(options: Options, folder: Run, workers: int, code: Mapping[str, str]) -> Plan:
    parts = _parts(options, folder, workers)
    if workers > parts:
        raise InputError(
            f"{argument('parts')} is {parts}, but there are {workers} workers, and each needs one: give more parts, "
            f"such as {workers}, or fewer workers"
        )
    return Plan(
        data=_data(options),
        validation=_validation(options),
        batch_size=options.batch_size,
        parts=parts,
        every=(options.every or EVERY) if options.averaging == "parameters" else 0,
        slots=options.slots,
        seed=options.seed,
        wire=options.wire,
        on_nan=options.on_nan,
        step_timeout=options.step_timeout,
        sources=code,
    )


def _parts(options: Options, folder: Run, workers: int) -> int:
    """Return the number of parts; `workers` is what it was at the run's first start."""
    if options.parts != "workers":
        return options.parts
    manifest = Checkpoints(folder.storage).last()
    kept = manifest.progress.get("identity", {}).get("parts") if manifest else None
    return int(kept) if kept else max(workers, 1)


def _ends(options: Options, trainer: Trainer) -> list[EpochEnd]:
    ends: list[EpochEnd] = []
    if options.early_stopping:
        ends.append(EarlyStopping(options.early_stopping))
    if options.reduce_on_plateau:
        ends.append(ReduceOnPlateau(options.reduce_on_plateau))
    if options.callbacks:
        ends.append(KerasCallbacks(options.callbacks, trainer, options.epochs))
    return ends
