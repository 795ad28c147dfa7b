"""What predicts rows by the network of a training."""

from __future__ import annotations

from jobs.datasets.prediction import Predictor
from jobs.keras.model_file import predictor as of_file
from jobs.runs.folder import RunFolder
from jobs.runs.identity import warn_of_new_code
from jobs.runs.named_code import check_named, is_by_value
from jobs.sources import sources
from jobs.storage import Storage
from jobs.usercode import UserCode


def predictor(run: RunFolder, storage: Storage) -> Predictor:
    """Return what predicts rows by model.keras.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    named = run.options.get("model")
    code = None
    if isinstance(named, str) and not is_by_value(named):
        check_named(run, named)
        code = UserCode("model", named, "my_model:create_model")
    found = of_file(storage, code)
    if code is not None:
        warn_of_new_code(run, lambda: sources(*code.roots()))
    return found
