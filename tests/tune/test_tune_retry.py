"""`--retry failed`: trials that failed run again with their numbers and hyperparameters, once the cause is mended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import mended
import pytest
import trials
from test_tune_code import COMMAND, Project
from waiting import until

from jobs.commands import write_report
from jobs.errors import InputError, UserCodeError
from jobs.storage import Storage, open_storage
from jobs.tune import job, space
from jobs.tune.options import Options
from jobs.tune.records import journal
from jobs.tune.records.journal import Journal, Recorded
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.recorder import StudyRecorder, check_recorded
from jobs.tune.records.retry import reopened
from jobs.tune.records.table import find_study
from jobs.tune.space.pruners import make_pruner
from jobs.tune.space.samplers import Random
from jobs.tune.summary import show

SPACE = {"x": space.uniform(0, 1)}
ENDS = {
    "complete": ("complete", False),
    "pruned": ("pruned", False),
    "diverged": ("diverged", False),
    "failed": ("running", True),
    None: ("running", False),
}
"""How a trial ended -> its state in the records in which failed ones are pending again, and whether it is one."""


def _identity(directions: list[str]) -> dict[str, Any]:
    metric = ["a", "b"] if directions[1:] else []
    return {"objective": "a:b", "space": space.plain(SPACE), "metric": metric, "directions": directions, "seed": 0}


def _recorder(storage: Storage, attempt: int, recorded: Recorded, directions: list[str]) -> tuple[StudyRecorder, Any]:
    log, identity = Journal(storage, attempt, recorded), _identity(directions)
    recorder = StudyRecorder(
        log, attempt, identity=identity, space=SPACE, seed=0, metrics=identity["metric"], constraints=()
    )
    recorder.use(Random(SPACE, 0), make_pruner("none", {}))
    return recorder, log


@pytest.mark.parametrize("directions", [["maximize"], ["maximize", "minimize"]])
@pytest.mark.parametrize("end", ENDS)
def test_the_transitions(end: Any, directions: list[str], storage: Storage) -> None:
    """A failed trial alone becomes pending, without its reports and losses; all others are as they were."""
    recorder, log = _recorder(storage, 1, Recorded(), directions)
    for kind in (end, "complete"):
        trial = recorder.ask()
        recorder.report(trial.number, 1, 0.25)
        recorder.lost(trial.number, 2)
        values = (0.5,) * len(directions) if kind == "complete" else ()
        if kind:
            recorder.tell(trial.number, Outcome(kind, values, error="E" * (kind == "failed")), at=1.0)
    before = recorder.rows()
    log.close()
    after, again = ENDS[end]
    recorded, failed = reopened(journal.read(storage))
    assert failed == ([0] if again else [])
    recorder, log = _recorder(storage, 2, recorded, directions)
    rows = recorder.rows()
    assert (rows[0]["state"], rows[0]["params_x"]) == (after, before[0]["params_x"])
    assert rows[1] == before[1] | ({"failures": 0} if again else {})
    if again:
        assert (rows[0]["steps"], rows[0]["failures"]) == (None, 1)
        assert [(trial.number, trial.losses) for trial in recorder.unfinished()] == [(0, 0)]
        recorder.report(0, 1, 0.75)
        recorder.tell(0, Outcome("failed", error="F"), at=2.0)
        log.close()
        recorded, failed = reopened(journal.read(storage))
        assert failed == [0]
        recorder, log = _recorder(storage, 3, recorded, directions)
        assert [run["error"] for run in recorder.trial(0).user_attrs["earlier"]] == ["E", "F"]
    else:
        assert rows[0] == before[0]
    log.close()


def test_a_search_that_failed_here_and_there_ends_as_if_it_had_not(studies: Any, traces: Path, tmp_path: Path) -> None:
    """Once mended, its failed trials alone run again, and all values and hyperparameters are those of an unbroken one.

    They count once, as complete; the table says how often they had failed, and their tracebacks go.
    """
    (traces / "broken").touch()
    fixed = {"folder": str(traces)}
    study = studies(mended.train, mended.SPACE, fixed=fixed, pruner="none", max_failures=3)
    study.run(trials=6)
    assert study.result["trials"] == {"complete": 3, "pruned": 0, "failed": 3, "diverged": 0}
    assert len(list((tmp_path / "run/failures").iterdir())) == 3
    (traces / "broken").unlink()
    assert study.run(trials=6)["already"]
    study.run(trials=6, retry="failed")
    assert study.result["trials"] == {"complete": 6, "pruned": 0, "failed": 0, "diverged": 0}
    assert study.result["retried"] == {"complete": 3}
    table = study.rows()
    assert [row["failures"] for row in table] == [1, 1, 1, 0, 0, 0]
    assert sorted(path.name[:5] for path in traces.glob("run-*")) == sorted(
        f"run-{n}" for n in [0, 0, 1, 1, 2, 2, 3, 4, 5]
    )
    assert not list((tmp_path / "run/failures").iterdir())
    whole = studies(mended.train, mended.SPACE, fixed=fixed, pruner="none", run=str(tmp_path / "whole"))
    whole.run(trials=6)
    same = ("number", "state", "value", "params_x", "steps", "last")
    assert [[row[name] for name in same] for row in table] == [[row[name] for name in same] for row in whole.rows()]
    assert [t.intermediate_values for t in find_study(open_storage(study.url)).trials] == [
        t.intermediate_values for t in find_study(open_storage(whole.url)).trials
    ]
    assert study.result["best"] == whole.result["best"]
    write_report(open_storage(study.url))
    assert ">Failures<" in (tmp_path / "run/report.html").read_text()


def test_nothing_has_failed(studies: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Then nothing runs, the result is shown, and the line says why."""
    study = studies(trials.quadratic)
    study.run(trials=2)
    result = study.run(trials=2, retry="failed")
    assert result["already"]
    show(result, study.url)
    assert "all 2 trials are done; no trial has failed, so none runs again" in capsys.readouterr().out


def test_a_retry_that_fails_again(studies: Any, traces: Path, tmp_path: Path) -> None:
    """All trials failed, which ended the search with an error; tried again in vain, they fail again."""
    study = studies(trials.fails, {"x": space.uniform(-1, -0.1)})
    with pytest.raises(UserCodeError, match=r"all 2 trials have failed; .*; retry failed runs them again"):
        study.run(trials=2)
    for count in (1, 2):
        with pytest.raises(UserCodeError, match="all 2 trials have failed"):
            study.run(trials=2, retry="failed")
        assert [(row["state"], row["failures"]) for row in study.rows()] == [("failed", count)] * 2
    with pytest.raises(UserCodeError, match="all 2 trials have failed"):
        study.run(trials=2)  # without it nothing runs
    assert [row["failures"] for row in study.rows()] == [2, 2]
    assert len(list((tmp_path / "run/failures").iterdir())) == 2


def test_a_folder_without_a_search(tmp_path: Path) -> None:
    """A new run folder has no failed trials: one line, with code 2, before workers are started, and it stays empty."""
    with pytest.raises(
        InputError, match=r"retry failed runs trials of an earlier search again, but run .* has none; give"
    ):
        job.run(Options(run=str(tmp_path / "run"), retry="failed"))
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_a_study_takes_it_for_one_call_only(studies: Any) -> None:
    """As an option of Study it would try failed trials again in each of its runs."""
    with pytest.raises(InputError, match="there is no option 'retry'"):
        studies(trials.quadratic, retry="failed")


def test_changed_code_is_accepted_aloud(project: Project) -> None:
    """The mended code is other code: refused with the option that accepts it, and then only failed trials are by it."""
    (project.folder / "helping.py").write_text("def better(x):\n    return 1 / 0 if x < 0.5 else x\n")
    code, out, err = project.tune("--trials", "6")
    assert code == 0, err
    failed = project.result()["trials"]["failed"]
    assert 0 < failed < 6
    project.write(0)
    code, out, err = project.tune("--trials", "6", "--retry", "failed")
    assert (code, out) == (2, "")
    assert "--accept-new-code goes on with the new code" in err
    code, out, err = project.tune("--trials", "6", "--accept-new-code")
    assert "a larger --trials runs more, --retry failed those that failed again" in out
    code, out, err = project.tune("--trials", "6", "--retry", "failed", "--accept-new-code")
    assert code == 0, err
    assert f"{failed} failed trials again: " in err
    assert project.result()["trials"]["complete"] == 6
    assert sorted(project.result()["codes"].values()) == sorted([failed, 6 - failed])
    assert f"retried {failed} complete" in " ".join(out.split())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_driver_that_is_killed_in_the_middle_of_retried_trials(traces: Path, tmp_path: Path) -> None:
    """The same command without the option goes on with them, and with no other."""
    run = tmp_path / "run"
    given = ["tune", "--objective", "mended:train", "--fixed", f"folder={traces}", "--trials", "5", "--pruner", "none"]
    given += ["--max-failures", "3"]
    command = [sys.executable, "-c", COMMAND, *given, "--workers", "1", "--run", str(run)]
    (traces / "broken").touch()
    assert subprocess.run(command, check=False, timeout=240).returncode == 0
    (traces / "broken").unlink()
    (traces / "hold").touch()
    # In a session of its own: its workers go with it, and the held trial too.
    with subprocess.Popen([*command, "--retry", "failed"], start_new_session=True) as process:
        until((traces / "run-2-1").exists, process=process)
        os.killpg(process.pid, signal.SIGKILL)
    (traces / "hold").unlink()
    ended = subprocess.run(command, check=False, timeout=240, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    result = json.loads((run / "result.json").read_text())
    assert result["trials"] == {"complete": 5, "pruned": 0, "failed": 0, "diverged": 0}
    assert (result["retried"], result["attempt"]) == ({"complete": 3}, 3)
    assert not list(traces.glob("run-3-1")) + list(traces.glob("run-4-1"))
    assert len(list(traces.glob("run-2-*"))) == 3


def test_a_driver_that_is_killed_before_they_are_pending(storage: Storage) -> None:
    """Until the new log has its mark the trials are failed, with all that was recorded of them."""
    recorder, log = _recorder(storage, 1, Recorded(), ["maximize"])
    trial = recorder.ask()
    recorder.tell(trial.number, Outcome("failed", error="E"), at=1.0)
    log.close()
    recorded, _ = reopened(journal.read(storage))
    cut = Journal(storage, 2, recorded)
    cut.commit()  # the copied records, and no mark
    cut.close()
    study = find_study(storage)
    assert study is not None
    assert study.trials[0].user_attrs["run"]["state"] == "failed"


DAMAGE = [[], {}, "x", None, -1, float("inf"), [1], {"run": []}, {"run": {"earlier": 1}}]


@pytest.mark.parametrize("value", DAMAGE)
@pytest.mark.parametrize("name", ["trial_id", "user_attr", "state"])
def test_damaged_records(name: str, value: Any, storage: Storage) -> None:
    """Records that are JSON, but none of a study, are refused in words or as good as any; so is a missing field."""
    recorder, log = _recorder(storage, 1, Recorded(), ["maximize"])
    recorder.tell(recorder.ask().number, Outcome("failed", error="E"), at=1.0)
    log.close()
    records = [json.loads(line) for line in journal.read(storage).lines]
    for index, record in enumerate(records):
        for damaged in [record | {name: value}, {field: content for field, content in record.items() if field != name}]:
            changed = [json.dumps(one).encode() for one in [*records[:index], damaged, *records[index + 1 :]]]
            for use in (reopened, lambda one: check_recorded(one, _identity(["maximize"]), accept_new_code=False)):
                with contextlib.suppress(InputError):
                    use(Recorded(tuple(changed), "journal"))
