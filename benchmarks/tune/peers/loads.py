"""Loads the study in FOLDER/run by Optuna alone, as optuna-dashboard does; prints seconds and the most memory."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

if __name__ == "__main__":
    (log,) = (Path(sys.argv[1]) / "run/journal").iterdir()
    began = time.perf_counter()
    study = optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(log))))
    assert study.get_trials(deepcopy=False)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}))
