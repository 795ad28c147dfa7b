"""The journal: Optuna's records in the run folder, local and in S3; torn ends, damage, and attempts that take over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import trials
from distributed import Client
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from jobs.errors import InputError
from jobs.storage import Storage, open_storage
from jobs.tune import Study, space
from jobs.tune.records import journal
from jobs.tune.records.journal import Journal
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import StudyRecorder
from jobs.tune.records.trial_source import PendingTrial
from jobs.tune.space.pruners import make_pruner
from jobs.tune.space.samplers import Random

SPACE = {"x": space.uniform(0, 1), "n": space.integer(1, 9)}
IDENTITY = {"objective": "a:b", "space": space.plain(SPACE), "metric": [], "directions": ["maximize"], "seed": 0}


def _recorder(storage: Storage, attempt: int, pruner: str = "none") -> tuple[StudyRecorder, Journal]:
    log = Journal(storage, attempt, journal.read(storage))
    recorder = StudyRecorder(log, attempt, identity=IDENTITY, space=SPACE, seed=0, metrics=(), constraints=())
    recorder.use(Random(SPACE, 0), make_pruner(pruner, {}))
    return recorder, log


def _trial(recorder: StudyRecorder, state: Any = "complete") -> PendingTrial:
    ticket = recorder.ask()
    recorder.report(ticket.number, 1, 0.25)
    values = (float(ticket.params["x"] or 0),) if state == "complete" else ()
    recorder.tell(ticket.number, Outcome(state, values, seconds=1.0, worker="w"), at=ticket.number + 1.0)
    return ticket


def test_an_attempt_goes_on_from_the_last_one(storage: Storage) -> None:
    """Ended trials with all about them, running ones, counts and best are there again in the next attempt."""
    recorder, log = _recorder(storage, 1)
    for state in ("complete", "failed", "diverged", "pruned", "complete"):
        _trial(recorder, state)
    running = recorder.ask()
    recorder.lost(running.number, 2)
    rows, best = recorder.rows(), recorder.best
    log.close()
    again, log = _recorder(storage, 2)
    assert again.rows() == rows
    assert again.best == best
    assert again.counts == {"complete": 2, "failed": 1, "diverged": 1, "pruned": 1}
    assert (again.asked, again.done, again.seconds) == (6, 5, 5.0)
    assert again.unfinished() == [PendingTrial(5, running.params, 2)]
    log.close()
    assert {name.split(".")[0] for name in storage.list("journal/")} == {"journal/0002"}


def test_an_enqueued_trial_that_is_cut_off(storage: Storage) -> None:
    """Wherever its records end, the trial has the hyperparameters that it was given, and comes once."""
    recorder, log = _recorder(storage, 1)
    before = len(_lines(storage))
    recorder.source.enqueue([{"x": 0.5}], {})
    asked = recorder.ask()
    assert asked.params == {"x": 0.5, "n": space.draw(SPACE, 0, 0)["n"]}
    log.close()
    lines = _lines(storage)
    for attempt, end in enumerate(range(before + 1, len(lines) + 1), start=2):
        _replace(storage, b"".join(lines[:end]))
        again, log = _recorder(storage, attempt)
        again.source.enqueue([{"x": 0.5}], {})
        assert again.unfinished() == [asked]
        assert again.ask().params == space.draw(SPACE, 0, 1)
        log.close()
        storage.delete_log(journal.name(attempt))


def test_optuna_opens_a_local_journal_as_it_is(tmp_path: Path) -> None:
    """Optuna's own backend, which optuna-dashboard uses, reads the file with all trials, and may be used beside us."""
    storage = open_storage(tmp_path)
    recorder, log = _recorder(storage, 1)
    for state in ("complete", "diverged", "complete"):
        _trial(recorder, state)
    backend = JournalFileBackend(str(tmp_path / "journal/0001.log"))
    study = optuna.load_study(study_name="a:b", storage=JournalStorage(backend))
    assert [trial.params for trial in study.trials] == [space.draw(SPACE, 0, number) for number in range(3)]
    assert study.best_trial.number == recorder.best.number  # type: ignore[union-attr]
    study.set_user_attr("note", "from elsewhere")
    _trial(recorder)
    log.close()
    again, log = _recorder(storage, 2)
    assert again.study.user_attrs["note"] == "from elsewhere"
    assert again.done == 4
    log.close()


def test_what_was_committed_survives_the_writer(tmp_path: Path) -> None:
    """Records are in the file after each call; a driver that is gone without closing loses none."""
    recorder, log = _recorder(open_storage(tmp_path), 1)
    _trial(recorder)
    again, other = _recorder(open_storage(tmp_path), 2)
    assert again.done == 1
    log.close()
    other.close()


def test_a_superseded_writer_changes_nothing(storage: Storage) -> None:
    """What an earlier attempt still writes, after a later one took over, is not read."""
    recorder, log = _recorder(storage, 1)
    _trial(recorder)
    log.flush()
    again, other = _recorder(storage, 2)
    _trial(recorder)
    _trial(recorder)
    log.close()
    ticket = _trial(again)
    other.close()
    last, log = _recorder(storage, 3)
    assert ticket.number == 1
    assert last.done == 2
    log.close()


def _lines(storage: Storage, attempt: int = 1) -> list[bytes]:
    with storage.read_log(journal.name(attempt)) as stream:
        return stream.read().splitlines(keepends=True)


def _replace(storage: Storage, content: bytes) -> None:
    storage.delete_log(journal.name(1))
    with storage.append_log(journal.name(1)) as log:
        log.append(content)


@pytest.mark.parametrize("torn", [b'{"op_code":6,"tri', b"\n", b'{"op_code":\n', b"\x00\xff"])
def test_a_torn_end_is_dropped(torn: bytes, storage: Storage) -> None:
    """What a killed process left of its last record is not read, and not there any more in the next attempt's log."""
    recorder, log = _recorder(storage, 1)
    _trial(recorder)
    log.close()
    _replace(storage, b"".join(_lines(storage)) + torn)
    again, log = _recorder(storage, 2)
    _trial(again)
    log.close()
    assert all(json.loads(line) for line in _lines(storage, 2))
    assert again.done == 2


@pytest.mark.parametrize(
    "damage",
    [b"{}\n", b"not json\n", b"[]\n", b'{"op_code":"6"}\n', b"\n"],
    ids=["no op", "text", "list", "op", "empty"],
)
def test_damage_in_the_middle_is_refused(damage: bytes, storage: Storage) -> None:
    """A line that is no record, with others after it, is named; nothing is written."""
    recorder, log = _recorder(storage, 1)
    _trial(recorder)
    log.close()
    lines = _lines(storage)
    _replace(storage, b"".join([*lines[:4], damage, *lines[5:]]))
    before = storage.list()
    with pytest.raises(InputError, match=r"journal .*journal/0001\.log is damaged: line 5 is no record") as caught:
        journal.read(storage)
    assert "\n" not in str(caught.value)
    assert storage.list() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("trial_id"),
        lambda record: record.update(trial_id=99),
        lambda record: record.update(op_code=77),
    ],
)
def test_records_that_make_no_sense_are_refused(change: Callable[[dict[str, Any]], Any], tmp_path: Path) -> None:
    """A record that is one, but not of this study, is an InputError too."""
    storage = open_storage(tmp_path)
    recorder, log = _recorder(storage, 1)
    _trial(recorder)
    log.close()
    lines = _lines(storage)
    record = json.loads(lines[4])
    change(record)
    _replace(storage, b"".join([*lines[:4], json.dumps(record).encode() + b"\n", *lines[5:]]))
    try:
        again, log = _recorder(storage, 2)
    except InputError as error:
        assert "the journal's records make no study" in str(error)  # noqa: PT017  Optuna skips what is another worker's
    else:
        assert again.done == 1
        log.close()


def test_a_log_whose_copy_broke_off_does_not_count(storage: Storage) -> None:
    """An attempt that was killed while it copied the journal leaves the last one's in force."""
    recorder, log = _recorder(storage, 1)
    _trial(recorder)
    log.close()
    with storage.append_log(journal.name(2)) as copy:
        copy.append(b"".join(_lines(storage)[:-2]))
    again, log = _recorder(storage, 3)
    assert again.done == 1
    log.close()


def _cuts(content: bytes) -> list[int]:
    """Return all ends of records, and a place in the middle of each."""
    ends = [0]
    for line in content.splitlines(keepends=True):
        ends += [ends[-1] + len(line) // 2, ends[-1] + len(line)]
    return ends


def test_a_study_resumes_from_every_point(client: Client, tmp_path: Path) -> None:
    """Killed after any record, or in the middle of it, a study ends with the table of one that ran through."""
    dimensions = {"x": space.uniform(0, 1)}

    def table(study: Study) -> list[tuple[Any, ...]]:
        return [tuple(row[name] for name in ("number", "state", "value", "params_x", "steps")) for row in study.rows()]

    through = Study(client, trials.quick, dimensions, run=str(tmp_path / "through"), pruner="none")
    through.run(trials=3)
    content = (tmp_path / "through/journal/0001.log").read_bytes()
    cuts = _cuts(content)
    assert len(cuts) > 40
    for cut in cuts:
        storage = open_storage(tmp_path / f"cut-{cut}")
        study = Study(client, trials.quick, dimensions, run=storage.url, pruner="none")
        storage.write("options.yaml", (tmp_path / "through/options.yaml").read_bytes())
        storage.write("attempts/0001", (tmp_path / "through/attempts/0001").read_bytes())
        storage.write("journal/0001.log", content[:cut])
        study.run(trials=3)
        assert table(study) == table(through), content[:cut].splitlines()[-1:]
        assert study.result["attempt"] == 2
