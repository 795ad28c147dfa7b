"""The train job: options -> replicas -> epochs -> a model, resumable from its run folder."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jobs.datasets.rows import RowSource, files_of, identity_of
from jobs.errors import InputError, argument
from jobs.parts import code_sources
from jobs.runs.attempt import attempt_on
from jobs.sources import sources
from jobs.table_options import columns_of
from jobs.train.attempt import Subject, connected, is_its, train
from jobs.train.data.open import Data, Factory, is_factory
from jobs.train.monitor import Monitor
from jobs.train.options import Options
from jobs.usercode import UserCode

if TYPE_CHECKING:
    from distributed import Client

EVERY = 10
"""Default steps between two averages of parameters."""


@dataclass(frozen=True)
class Given:
    """What a caller in Python gives in the place of options, which then name it.

    Attributes:
        code: the model's factory.
        data: of the training.
        validation: as of `Subject`.
        client: of the cluster; None: all happens in this process.
    """

    code: UserCode
    data: Data
    validation: float | Data | None
    client: Client | None


def run(options: Options, given: Given | None = None) -> dict[str, Any]:
    """Run the job on its run folder until it ends, and return what is in result.json.

    A run that has already ended with these options is not repeated: its result is returned with `already` set; with
    more epochs it goes on where it was.

    Args:
        options: all options.
        given: what they cannot say.

    Raises:
        JobError: the run failed or was stopped; the error is in the run folder too.
    """
    with attempt_on("train", options) as attempt:
        code, data = (given.code, given.data) if given else (_code(options), _data(options))
        validation = given.validation if given else _validation(options, data)
        named = {"data": data} | ({"validation": validation} if isinstance(validation, Data) else {})
        opened = {name: one.open() for name, one in named.items()}
        attempt.reads([file for one in opened.values() if not is_factory(one) for file in files_of(one)])
        identity = {"model": code.name, "data": data.text, **_contents(opened), **_sources(code, named)}
        identity |= {name: repr(value) for name, value in columns_of(options).items()}
        accepted = options.accept_new_code
        ended = attempt.ended(
            lambda result: is_its(options, attempt.folder, result, identity, accept_new_code=accepted)
        )
        if ended:
            return ended
        preload = "jobs.keras.preload", "jobs.train.job"
        subject = _subject(options, code, data, validation)
        monitor = attempt.show(Monitor(attempt.folder))
        attempt.check_data()
        client = given.client if given else connected(options, attempt, *preload)
        return train(options, attempt, subject, identity, client=client, monitor=monitor)


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
        return Data("data", options.data, columns_of(options))
    module = _example(options)
    return Data("data", "digits" if hasattr(module, "DATA") else f"{module.__name__}:data", columns_of(options))


def _validation(options: Options, data: Data) -> float | Data | None:
    given = options.validation
    if given is None:
        return 0.1 if options.model is None and options.example in (None, "digits") else None
    try:
        return float(given)
    except ValueError:
        return Data("validation", given, like=data)


def _contents(opened: Mapping[str, RowSource | Factory]) -> dict[str, str]:
    """Return what identifies the content of data, name -> value; a factory's is its source."""
    return {f"content of the {name}": identity_of(one) for name, one in opened.items() if not is_factory(one)}


def _sources(code: UserCode, data: Mapping[str, Data]) -> dict[str, str]:
    """Return the digests of the user's code."""
    found = sources(*code.roots(), *(root for one in data.values() for root in one.roots))
    for one in data.values():
        found |= one.own_sources()
    return found if code.spec is not None else found | code_sources(code)


def _subject(options: Options, code: UserCode, data: Data, validation: float | Data | None) -> Subject:
    return Subject(
        code,
        data,
        validation,
        batch_size=options.batch_size,
        every=(options.every or EVERY) if options.averaging == "parameters" else 0,
        slots=options.slots,
        callbacks=options.callbacks,
        accept_new_code=options.accept_new_code,
        pauses=getattr(_example(options), "SHOW_EVERY", 0) if options.model is None else 0,
    )
