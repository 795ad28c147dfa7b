"""Failed trials that are tried again: the records of a study without their ends, so that they are pending once more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from jobs.tune.records.journal import OPERATION, Recorded, replayed
from jobs.tune.records.table import EARLIER, LOSSES, RUN, state_of


def reopened(recorded: Recorded) -> tuple[Recorded, list[int]]:
    """Return the records as if the failed trials had just been asked for, and their numbers.

    Numbers, hyperparameters and what samplers have noted stay; reports, losses and the end go, since Optuna takes no
    change of a trial that has ended, and a report of a step that is there. How it failed is kept as `EARLIER`.

    Args:
        recorded: the records of earlier attempts.

    Raises:
        InputError: they are damaged.
    """
    with replayed():
        failed = _failed(recorded)
        lines = tuple(_reopened(recorded, failed)) if failed else recorded.lines
    return Recorded(lines, recorded.address), sorted(failed)


def _failed(recorded: Recorded) -> dict[int, list[Any]]:
    """Return number -> how its earlier ends were, the last one too, of each failed trial."""
    ended: set[int] = set()
    states: dict[int, str] = {}
    for record in recorded.records():
        # Of one study, as there is in a journal, the ids of trials are their numbers.
        if record["op_code"] == OPERATION["end"] and record.get("state") == TrialState.FAIL:
            ended.add(int(record["trial_id"]))
        elif RUN in record.get("user_attr", {}) and "trial_id" in record:
            states[int(record["trial_id"])] = record["user_attr"][RUN].get("state", "failed")
    # Optuna's FAIL is also a diverged trial of several metrics.
    return {number: [] for number in ended if states.get(number, "failed") == "failed"}


def _reopened(recorded: Recorded, failed: Mapping[int, list[Any]]) -> Iterator[bytes]:
    for line, record in zip(recorded.lines, recorded.records(), strict=True):
        number = record.get("trial_id", -1)
        if number not in failed:
            yield line
            continue
        attribute: dict[str, Any] = record.get("user_attr", {})
        if EARLIER in attribute:
            failed[number][:] = attribute[EARLIER]
        if RUN in attribute:
            failed[number].append(attribute[RUN])
            record["user_attr"] = {EARLIER: failed[number]}
        elif record["op_code"] in (OPERATION["end"], OPERATION["report"]) or LOSSES in attribute:
            continue
        yield json.dumps(record, separators=(",", ":")).encode() + b"\n"


def retried(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Return state -> number of the trials that were tried again after they had failed; `running` of the others."""
    return dict(Counter(state_of(trial) for trial in trials if EARLIER in trial.user_attrs))
