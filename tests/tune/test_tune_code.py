"""The objective's source is part of what a study is: no result of other code is shown as this one's, none is mixed."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trials
from distributed import Client

from jobs import connect
from jobs.commands import write_report
from jobs.errors import InputError
from jobs.storage import open_storage
from jobs.tune import Study, space
from jobs.tune.records.identity import codes_text
from jobs.tune.trials.code import sources_of

COMMAND = "import sys; from jobs.cli import main; sys.exit(main())"
OBJECTIVE = """
from jobs.tune import space
import helping
SPACE = {"x": space.uniform(0, 1)}
def train(parameters):
    return helping.better(parameters["x"])
"""


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Project:
    """A folder with an objective and a module that it uses, and a run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, folder / "run"
        (folder / "searched.py").write_text(OBJECTIVE)
        self.write(0)

    def write(self, plus: float) -> None:
        """Write the module that the objective uses."""
        (self.folder / "helping.py").write_text(f"def better(x):\n    return {plus} + x\n")

    def tune(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command; return its exit code and what it printed."""
        given = ["tune", "--objective", "searched:train", "--workers", "1", "--run", str(self.run), *arguments]
        command = [sys.executable, "-c", COMMAND, *given]
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=240)
        return ended.returncode, ended.stdout, ended.stderr

    def table(self) -> list[dict[str, Any]]:
        """Return trials.json."""
        rows: list[dict[str, Any]] = json.loads((self.run / "trials.json").read_text())
        return rows

    def result(self) -> dict[str, Any]:
        """Return result.json."""
        result: dict[str, Any] = json.loads((self.run / "result.json").read_text())
        return result


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_study_of_other_code_is_refused_before_anything_is_touched(project: Project) -> None:
    """Ended or not, with code 2, what differs and what to do; the same code is done earlier, as ever."""
    code, out, err = project.tune("--trials", "3")
    assert code == 0, err
    assert "code" not in {line.split()[0] for line in out.splitlines()}
    assert "code" not in project.table()[0]
    project.write(100)
    before = _content(project.run)
    for count, what in ((3, "result"), (5, "journal")):
        code, out, err = project.tune("--trials", str(count))
        assert (code, out) == (2, "")
        last = err.splitlines()[-1]
        assert last.startswith(f"dask-jobs: error: {what} {project.run}/")
        assert "belongs to another study: source of helping.py was '" in last
        assert last.endswith("; --accept-new-code goes on with the new code, another --run begins anew")
        assert _content(project.run) == before
    project.write(0)
    code, out, err = project.tune("--trials", "3", "--accept-new-code")
    assert "done earlier" in out
    assert _content(project.run) == before


def test_new_code_that_is_accepted(project: Project) -> None:
    """The study goes on; its table and the last line of its summary say which code ended which trial."""
    project.tune("--trials", "3")
    old = project.result()["codes"]
    project.write(100)
    code, out, err = project.tune("--trials", "5", "--accept-new-code")
    assert code == 0, err
    first, second = project.result()["codes"]
    assert project.result()["codes"] == {first: 3, second: 2} == {**old, second: 2}
    assert out.splitlines()[-1].split(maxsplit=1) == ["code", f"3 trials by code {first}, 2 by {second} (now)"]
    assert [row["code"] for row in project.table()] == [first] * 3 + [second] * 2
    assert [row["value"] > 100 for row in project.table()] == [False] * 3 + [True] * 2
    code, out, _ = project.tune("--trials", "5")
    assert (code, "done earlier" in out) == (0, True)
    assert out.splitlines()[-1].endswith(f"2 by {second} (now)")
    storage = open_storage(project.run)
    write_report(storage)
    report = storage.read("report.html").decode()
    assert f"3 trials by code {first}, 2 by {second} (now)" in report
    assert "<th>Code</th>" in report.replace(' scope="col"', "")


def test_new_code_without_a_trial_left(project: Project) -> None:
    """An ended study whose new code is accepted ends at once, and says that no trial is by that code."""
    project.tune("--trials", "2")
    (old,) = project.result()["codes"]
    project.write(100)
    code, out, err = project.tune("--trials", "2", "--accept-new-code")
    assert code == 0, err
    assert "done: all 2 trials are done" in out
    assert out.splitlines()[-1].startswith(f"code            2 trials by code {old}, none by ")
    assert [row["code"] for row in project.table()] == [old] * 2


def test_what_is_no_code_is_not_accepted(project: Project) -> None:
    """Another space in the objective's module is another study, whatever is said of code."""
    project.tune("--trials", "2")
    (project.folder / "searched.py").write_text(OBJECTIVE.replace("uniform(0, 1)", "uniform(0, 2)"))
    code, _, err = project.tune("--trials", "2", "--accept-new-code")
    assert code == 2
    assert "space was {'x': {'uniform': [0.0, 1.0]}}, and is now {'x': {'uniform': [0.0, 2.0]}}" in err
    assert err.endswith("; choose another --run\n")


def test_a_study_from_python(client: Client, tmp_path: Path) -> None:
    """A function that goes by value is told by its source, with what it is closed over."""

    def objective(plus: int) -> Any:
        return lambda params: plus + params["x"]

    def study(plus: int, **options: Any) -> Study:
        return Study(client, objective(plus), {"x": space.uniform(0, 1)}, run=str(tmp_path / "run"), **options)

    study(0).run(trials=2)
    assert study(0).run(trials=2)["already"]
    with pytest.raises(InputError, match=r"belongs to another study: source of test_tune_code:.*<lambda> was '"):
        study(1).run(trials=2)
    again = study(1, accept_new_code=True)
    again.run(trials=3)
    assert [row["value"] > 1 for row in again.rows()] == [False, False, True]
    codes = [row["code"] for row in again.rows()]
    assert codes[0] == codes[1] != codes[2]
    assert again.result["codes"] == {codes[0]: 2, codes[2]: 1}


SCRIPT = """
import json, sys
import beside
RATE, NAMES, seen = 0.5, ("a", "b"), []
class Model:
    def fit(self, x):
        return helper(x)
def helper(x):
    return [RATE * beside.f(x) for _ in NAMES]
def train(params):
    return (lambda: Model().fit(params["x"]))()
if __name__ == "__main__":
    from jobs.tune.trials.code import sources_of
    print(json.dumps(sources_of(train)))  # and 5 trials
"""


def _script(folder: Path, text: str, seed: str = "0") -> dict[str, str]:
    (folder / "script.py").write_text(text)
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    ended = subprocess.run(
        [sys.executable, str(folder / "script.py")], env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(ended.stdout)
    return found


def test_a_script_is_what_its_objective_uses(tmp_path: Path) -> None:
    """Functions, classes, constants and modules that it uses are code; the rest of the script is not."""
    (tmp_path / "beside.py").write_text("def f(x):\n    return x\n")
    before = _script(tmp_path, SCRIPT)
    assert list(before) == ["source of __main__:train", "source of beside.py"]
    assert _script(tmp_path, SCRIPT, seed="1") == before
    assert _script(tmp_path, SCRIPT.replace("5 trials", "9 trials")) == before
    changes = {"RATE *": "2 * RATE *", "0.5": "0.25", '"b")': '"c")', "return helper": "return 2 * helper"}
    for old, new in changes.items():
        changed = _script(tmp_path, SCRIPT.replace(old, new))
        assert changed["source of __main__:train"] != before["source of __main__:train"], old
        assert changed["source of beside.py"] == before["source of beside.py"]
    (tmp_path / "beside.py").write_text("def f(x):\n    return -x\n")
    assert _script(tmp_path, SCRIPT)["source of beside.py"] != before["source of beside.py"]


def test_code_without_a_source() -> None:
    """What was typed, and is in no file, is told by its compiled form: the same in each process."""
    found = set()
    for plus in (1, 1, 2):
        text = "from jobs.tune.trials.code import sources_of\n"
        text += f"def train(p): return p['x'] + {plus}\nprint(sources_of(train))"
        ended = subprocess.run([sys.executable, "-"], input=text, capture_output=True, text=True, check=True)
        found.add(ended.stdout)
    assert len(found) == 2


class _Model:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, params: Any) -> float:
        return float(params["x"] * self.rate)

    def method(self, params: Any) -> float:
        return float(params["x"] * self.rate)


@pytest.mark.parametrize(
    "make",
    [
        _Model,
        lambda rate: _Model(rate).method,
        lambda rate: functools.partial(trials.three, data=rate),
        lambda rate: functools.partial(trials.three, rate),
        lambda rate: lambda params, rate=rate: rate,
        lambda rate: lambda params, *, rate=rate: rate,
    ],
    ids=["object", "method", "named", "positional", "default", "keyword"],
)
def test_objects_are_what_they_hold(make: Any) -> None:
    """Equal ones have equal code; another number in them is another code, and their modules are part of it."""
    assert sources_of(make(1.0)) == sources_of(make(1.0)) != sources_of(make(2.0))
    assert len(sources_of(make(1.0))) >= 1


def test_who_ended_what() -> None:
    """Nothing is said where all trials are by the present code."""
    identity = {"source of a.py": "1"}
    assert codes_text({}, identity) == ""
    assert codes_text({"aaaaaaaa": 1}, identity).startswith("1 trial by code aaaaaaaa, none by ")
    now = codes_text({"aaaaaaaa": 1}, identity).split()[-2]
    assert codes_text({now: 7}, identity) == ""
    assert codes_text({now: 1_000, "aaaaaaaa": 2}, identity) == f"1,000 trials by code {now} (now), 2 by aaaaaaaa"


def test_a_worker_that_imported_the_old_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that lives on keeps what it has imported: its trials would be those of the objective before the edit."""
    (tmp_path / "kept_objective.py").write_text("def f(parameters):\n    return 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    x = {"x": space.uniform(0, 1)}
    with connect(workers=1) as client:
        Study(client, "kept_objective:f", x, run=str(tmp_path / "a")).run(trials=1)
        (tmp_path / "kept_objective.py").write_text("def f(parameters):\n    return 100\n")
        del sys.modules["kept_objective"]
        with pytest.raises(InputError, match=r"this worker has another kept_objective.py than the driver"):
            Study(client, "kept_objective:f", x, run=str(tmp_path / "b")).run(trials=1)
    del sys.modules["kept_objective"]
