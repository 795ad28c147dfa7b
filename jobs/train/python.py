"""`train` from Python: as the command does it, on a run folder, with a model's function and data that are given."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobs.errors import InputError, nearest
from jobs.options import validated
from jobs.train import job
from jobs.train.data.open import Data
from jobs.train.entry import JOB
from jobs.train.job import Given
from jobs.train.options import Options
from jobs.usercode import UserCode

if TYPE_CHECKING:
    from distributed import Client

    from jobs.report.notebook import Report

OURS = ("config", "scheduler", "workers", "threads", "connect_timeout", "cpu", "model", "data", "example", "validation")
"""Options without a use here: the model and the data are given, and a client has its workers."""


class TrainResult(dict[str, Any]):
    """The content of a training's result.json; in a notebook a compact table.

    Attributes:
        run: the run folder, with model.keras and weights.npz.
    """

    def __init__(self, result: dict[str, Any], run: str) -> None:
        super().__init__(result)
        self.run = run

    def report(self) -> Report:
        """Write report.html into the run folder, and return its path or URL; a notebook shows the report.

        Raises:
            InputError: a file of the folder cannot be read.
            ClusterError: the storage failed.
        """
        from jobs.report.notebook import Report

        return Report.write(self.run, JOB.load_report())

    def _repr_html_(self) -> str:
        from jobs.report.notebook import table
        from jobs.train.summary import head, lines

        return table(*head(self), lines(self, self.run))


def train(
    create_model: Callable[[], Any] | str,
    data: Any,
    *,
    client: Client | None = None,
    run: str | None = None,
    validation: Any = None,
    **options: Any,
) -> TrainResult:
    """Train a Keras model as the command `dask-jobs train` does: checkpoints, progress, resume, result, report.

    Args:
        create_model: a function that returns a compiled model, or 'module:function' or 'file.py:function'.
        data: a data set's spec, arrays (x, y), rows as `jobs.datasets.rows.RowSource`, or a function as of the command.
        client: a Dask client, such as `jobs.connect` gives; without one all is computed in this process.
        run: the run folder, a path or s3://bucket/prefix; `runs/train-DATE-TIME` if None.
        validation: a fraction of the rows, which is held out, or other data.
        options: as of the command, with `_` for `-`: epochs, batch_size, parts, averaging, early_stopping, ...

    Raises:
        InputError: an argument cannot be used, or the folder is another run's.
        JobError: it failed, or was stopped; the same call goes on.
    """
    for name in options:
        if name not in Options.model_fields or name in OURS:
            known = [field for field in Options.model_fields if field not in OURS]
            raise InputError(f"train: there is no option {name!r}{nearest(name, known)}")
    code = UserCode("create_model", create_model, "my_model:create_model")
    if not callable(code.load()):
        raise InputError(f"create_model is {type(create_model).__name__}, but must be a function that returns a model")
    if code.spec is None:
        code.freeze()
    rows = Data("data", data)
    held = float(validation) if isinstance(validation, int | float) else validation
    other = held if held is None or isinstance(held, float) else Data("validation", held)
    url = str(run or f"runs/train-{time.strftime('%Y%m%d-%H%M%S')}")
    named: dict[str, Any] = {"model": code.name, "data": rows.text, "run": url, **({} if client else {"workers": 0})}
    named["validation"] = other.text if isinstance(other, Data) else other
    result = job.run(validated(Options, {**options, **named}), Given(code, rows, other, client))
    return TrainResult(result, url)
