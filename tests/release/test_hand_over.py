"""What `wait` leaves here when a release has ended: the result, where it is, and what comes next.

The logs are those of real drivers; the run folders, too. Only the cluster is recorded.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from drivers import MINIMIZE, TUNE, Driver, driver_of
from fake import Fake
from streams import of, packed

from jobs.errors import ClusterError
from jobs.release import stop
from jobs.release.client import Forbidden
from jobs.release.exec import Output
from jobs.release.objects import RUN_URL
from jobs.release.outcome import Outcome, rebuild
from jobs.release.screen import Screen
from jobs.release.wait import Wait
from jobs.report import write_report
from jobs.show import show
from jobs.storage import open_storage

DEEP = json.loads("[" * 450 + "]" * 450)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """Return a driver that has minimized a problem of three parameters."""
    return driver_of(tmp_path_factory.mktemp("fitted") / "pod", "minimize", **MINIMIZE)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stop, "LAST_WORD_SECONDS", 0.0)


def _waited(cluster: Fake, *, fetch: bool = True) -> int:
    with Screen("fit") as screen:
        return Wait(cluster, "fit", screen, fetch=fetch).run(None)  # type: ignore[arg-type]


def _sent(driver: Driver) -> Output:
    return of(packed(str(driver.folder)))


def _files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_scratch_gives_the_result_back(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """From the log alone result.json, options.yaml and x.npy are made again with their bits; the last line says what
    is lost, the lines before it where the result is and what removes the release."""
    assert _waited(Fake("done", log=fitted.log)) == 0
    assert _files(Path("fit-result")) == {
        name: (fitted.folder / name).read_bytes() for name in ("result.json", "options.yaml", "x.npy")
    }
    told = capsys.readouterr()
    assert told.out.startswith("converged")
    assert "dask-jobs report fit-result" in told.out
    for line in told.out.splitlines():
        assert str(fitted.folder) not in line
    here, remove, last = told.err.splitlines()[-3:]
    assert here == "dask-jobs: the result is in fit-result (result.json, options.yaml, x.npy)"
    assert remove.startswith("dask-jobs: to remove the release: ")
    assert "the rest of the run folder (history, journal) was scratch space and is lost" in last
    assert '"event": "result"' not in told.err


def test_what_was_made_again_can_be_shown(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` and `report` take the folder; what it does not have is left out."""
    _waited(Fake("done", log=fitted.log))
    capsys.readouterr()
    assert show("fit-result") == 0
    assert capsys.readouterr().out.startswith("converged")
    assert "converged to loss" in Path(write_report(open_storage("fit-result"))).read_text()


def test_a_search_from_scratch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A search's best trial comes back, and neither summary nor report names a table that is lost."""
    driver = driver_of(tmp_path / "pod", "tune", **TUNE)
    assert _waited(Fake("done", log=driver.log)) == 0
    assert sorted(_files(Path("fit-result"))) == ["options.yaml", "result.json"]
    told = capsys.readouterr()
    assert "best" in told.out
    assert "(table of trials, journal, checkpoints) was scratch space" in told.err.splitlines()[-1]
    assert "trials.csv" not in told.out
    assert "dask-jobs report fit-result" in told.out
    assert show("fit-result") == 0
    page = Path(write_report(open_storage("fit-result"))).read_text()
    assert "has not begun" not in page
    assert "no trial has begun" not in page
    assert "The table of trials is not in this folder" in page


def test_a_long_theta_is_told_as_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More than 1,000 parameters are not in the log: that x.npy is lost is said last, and no line names the file."""
    driver = driver_of(tmp_path / "pod", "minimize", **MINIMIZE | {"problem": "model:Wide"})
    assert _waited(Fake("done", log=driver.log)) == 0
    assert sorted(_files(Path("fit-result"))) == ["options.yaml", "result.json"]
    told = capsys.readouterr()
    assert "x.npy" not in told.out
    assert "x.npy is lost: its 1,001 numbers are too many for the log" in told.err.splitlines()[-1]


@pytest.mark.parametrize(("claim", "command"), [(False, "wait"), (True, "fetch")])
def test_no_fetch_says_how_to_get_it(
    claim: bool,  # noqa: FBT001
    command: str,
    fitted: Driver,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With --no-fetch nothing is written, the summary has x and no path within a pod, and the command is told."""
    cluster = Fake("done", log=fitted.log, claim=claim, **{RUN_URL: "/runs/fit-1"})
    assert _waited(cluster, fetch=False) == 0
    assert not list(Path().iterdir())
    told = capsys.readouterr()
    theta = np.load(fitted.folder / "x.npy")
    assert f"{theta[0]:.10g}" in told.out
    assert "fit-1" not in told.out
    assert "report" not in told.out
    assert f": dask-jobs {command} fit -n {cluster.namespace}" in told.err
    assert "to remove the release, once you have it: " in told.err


def test_a_claims_run_folder_is_brought(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole run folder comes through a helper pod, which goes again; a second wait has nothing to change."""
    for _ in range(2):
        cluster = Fake("done", log=fitted.log, claim=True, sends=_sent(fitted), **{RUN_URL: "/runs/fit-1"})
        assert _waited(cluster) == 0
        assert not cluster.helpers
        expected = {name: data for name, data in _files(fitted.folder).items() if not name.startswith("journal/")}
        assert _files(Path("fit-result")) == expected
        assert [path.name for path in Path().iterdir()] == ["fit-result"]
        told = capsys.readouterr()
        assert "dask-jobs report fit-result" in told.out
        lines = [line for line in told.err.splitlines() if not line.startswith("{")]
        assert lines[-2] == "dask-jobs: the run folder is in fit-result"
        assert lines[-1].startswith("dask-jobs: to remove the release: ")


def test_an_earlier_state_of_the_run_is_replaced(fitted: Driver) -> None:
    """A folder of the same run with other contents, and a report of them, is replaced."""
    shutil.copytree(fitted.folder, "fit-result", ignore=shutil.ignore_patterns("journal"))
    Path("fit-result/status.json").write_text("{}")
    Path("fit-result/report.html").write_text("old")
    _waited(Fake("done", log=fitted.log, claim=True, sends=_sent(fitted)))
    assert Path("fit-result/status.json").read_bytes() == (fitted.folder / "status.json").read_bytes()
    assert not Path("fit-result/report.html").exists()
    assert [path.name for path in Path().iterdir()] == ["fit-result"]


def test_what_is_here_already_stays_as_it_is(fitted: Driver) -> None:
    """A folder that has all files of the result is left alone, with what else it holds."""
    _waited(Fake("done", log=fitted.log))
    Path("fit-result/notes.txt").write_text("mine")
    before = Path("fit-result/x.npy").stat()
    _waited(Fake("done", log=fitted.log))
    assert Path("fit-result/notes.txt").read_text() == "mine"
    assert Path("fit-result/x.npy").stat().st_ino == before.st_ino
    assert [path.name for path in Path().iterdir()] == ["fit-result"]


@pytest.mark.parametrize("kind", ["foreign", "other run", "more", "link", "file", "went on"])
def test_no_file_of_anybodys_is_touched(kind: str, fitted: Driver, tmp_path: Path) -> None:
    """What is no earlier state of this very run is left as it is, and the result is put beside it with a number."""
    taken = tmp_path / "fit-result"
    if kind == "file":
        taken.write_text("mine")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        taken.symlink_to(tmp_path / "elsewhere")
    elif kind == "other run":
        taken.mkdir()
        (taken / "result.json").write_text('{"job": "minimize", "run_id": "0123456789abcdef"}')
    elif kind == "foreign":
        taken.mkdir()
        (taken / "mine").write_text("mine")
    else:
        shutil.copytree(fitted.folder, taken)
        (taken / "status.json").write_text("{}")
        (taken / ("mine" if kind == "more" else "attempts/0002")).write_text("mine")
    before = _files(taken) if taken.is_dir() else {}
    (tmp_path / "fit-result-2").mkdir()
    (tmp_path / "fit-result-2/mine").write_text("mine")
    for _ in range(2):
        assert _waited(Fake("done", log=fitted.log, claim=True, sends=_sent(fitted))) == 0
    assert (_files(taken) if taken.is_dir() else {}) == before
    assert _files(tmp_path / "fit-result-2") == {"mine": b"mine"}
    assert (tmp_path / "fit-result-3/x.npy").read_bytes() == (fitted.folder / "x.npy").read_bytes()
    assert not (tmp_path / "fit-result-4").exists()


def test_what_came_at_the_last_moment_is_not_replaced(
    fitted: Driver, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that came to an earlier state of the run just before that is replaced stays, and the command is told."""
    shutil.copytree(fitted.folder, "fit-result", ignore=shutil.ignore_patterns("journal"))
    Path("fit-result/status.json").write_text("{}")
    moves = Path.replace

    def replace(path: Path, to: Path) -> Path:
        if path == Path("fit-result"):
            shutil.copy(fitted.folder / "status.json", path)
            (path / "mine").write_text("mine")
        return moves(path, to)

    monkeypatch.setattr(Path, "replace", replace)
    assert _waited(Fake("done", log=fitted.log, claim=True, sends=_sent(fitted))) == 0
    assert Path("fit-result/mine").read_text() == "mine"
    assert (
        "the run folder was not brought here (fit-result was changed meanwhile); this tries" in capsys.readouterr().err
    )


@pytest.mark.parametrize("error", [Forbidden("jane may not create pods"), ClusterError("no helper in 300 s")])
def test_a_folder_that_cannot_be_brought(
    error: Forbidden | ClusterError, fitted: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says why and which command tries again; the summary with x is shown, and the exit code is the job's."""
    cluster = Fake("done", log=fitted.log, claim=True, sends=error, **{RUN_URL: "/runs/fit-1"})
    assert _waited(cluster) == 0
    assert not list(Path().iterdir())
    told = capsys.readouterr()
    assert f"{np.load(fitted.folder / 'x.npy')[0]:.10g}" in told.out
    assert "fit-1" not in told.out
    again = f"the run folder was not brought here ({error}); this tries again: dask-jobs fetch fit -n "
    assert sum(again in line for line in told.err.splitlines()) == 1


def test_in_s3_it_stays(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a run folder in S3 the URL is told, and nothing is written here."""
    assert _waited(Fake("done", log=fitted.log, **{RUN_URL: "s3://bucket/runs/fit-1"})) == 0
    told = capsys.readouterr()
    assert "dask-jobs report s3://bucket/runs/fit-1" in told.out
    assert "dask-jobs: the run folder is s3://bucket/runs/fit-1" in told.err
    assert not list(Path().iterdir())


def test_a_failed_run_leaves_what_there_is(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a failure with a claim the folder is brought, and the log's command is told; from scratch nothing comes.

    A result in that folder is told as an earlier run's.
    """
    failed = Fake("user-code-failed", claim=True, sends=_sent(fitted))
    assert _waited(failed) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "what there is of the run folder is in fit-result" in told.err
    assert "fit-result/result.json is the result of an earlier run in that folder, not of this one" in told.err
    assert f"next: dask-jobs logs fit -n {failed.namespace}" in told.err.splitlines()
    assert "dask-jobs: workers may be left (jane may not patch jobs)" in told.err
    assert Path("fit-result/x.npy").exists()
    assert _waited(Fake("user-code-failed")) == 1
    told = capsys.readouterr()
    assert "next: dask-jobs logs fit" in told.err
    assert "lost" not in told.err
    assert [path.name for path in Path().iterdir()] == ["fit-result"]


@pytest.mark.parametrize(
    "change",
    [
        {"result": None},
        {"result": {"job": "minimize"}},
        {"result": {"job": "../evil"}},
        {"result": {"job": ["minimize"]}, "options": {"job": ["minimize"]}},
        {"options": []},
        {"run": 7},
        {"run": ""},
        {"options": {"job": "minimize", "deep": DEEP}},
        {"result": {"job": "minimize", "deep": DEEP}},
        {"options": {"job": "minimize", "name": "\ud800"}},
        *({"result": {"job": "minimize", "parameters": count}} for count in ("abc", [1], None, True, 1.5, -1)),
        *(
            {"result": {"job": "minimize", "x": x}}
            for x in ([10**400], [True], [None], ["1.0"], "abc", None, {}, [[1.0]])
        ),
        {"result": {"job": "minimize", "parameters": 3, "x": [1.0]}},
    ],
)
def test_an_odd_result_line_is_no_result(
    change: dict[str, object], fitted: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line of another form than ours does not hide what the pod printed, and gives no folder that lies."""
    lines = [
        json.dumps(json.loads(line) | change) if '"event": "result"' in line else line
        for line in fitted.log.splitlines()
    ]
    assert _waited(Fake("done", log="\n".join(lines))) == 0
    told = capsys.readouterr()
    assert told.out.startswith("converged")
    assert told.out.count("converged") == 1
    assert not list(Path().iterdir())


def test_without_a_result_line_the_pods_text_is_shown(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """An earlier driver's summary is shown as it was printed; that its folder is lost comes last."""
    lines = [line for line in fitted.log.splitlines() if '"event": "result"' not in line]
    assert _waited(Fake("done", log="\n".join(lines))) == 0
    told = capsys.readouterr()
    assert told.out.startswith("converged")
    assert "the run folder was scratch space, and is lost with the driver's pod" in told.err.splitlines()[-1]
    assert not list(Path().iterdir())


def test_numbers_that_json_has_not(tmp_path: Path) -> None:
    """Infinity, NaN and minus zero in theta come back as they were."""
    theta = [float("inf"), float("-inf"), float("nan"), -0.0, 5e-324, 0.1]
    told = ["inf", "-inf", "nan", -0.0, 5e-324, 0.1]
    rebuild(Outcome("/runs/a", {"job": "minimize"}, {"job": "minimize", "x": told}), tmp_path)
    assert np.load(tmp_path / "x.npy").tobytes() == np.array(theta).tobytes()
    assert yaml.safe_load((tmp_path / "options.yaml").read_text()) == {"job": "minimize"}


def test_a_log_that_is_gone(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the driver's pod scratch has nothing to give: an earlier wait's folder is named, and stays as it is."""
    for before in (False, True):
        if before:
            _waited(Fake("done", log=fitted.log))
            capsys.readouterr()
        assert _waited(Fake("done", pods=False)) == 0
        told = capsys.readouterr()
        assert told.out == ""
        *_, earlier, last = told.err.splitlines()
        assert "the run folder was scratch space, and is lost with the driver's pod" in last
        assert before == earlier.endswith(
            "fit-result holds the result of an earlier wait, perhaps of this run: dask-jobs show fit-result"
        )
    assert [path.name for path in Path().iterdir()] == ["fit-result"]


def test_a_claim_tells_what_the_log_does_not(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the driver's pod the summary is made from the run folder that was brought."""
    cluster = Fake("done", pods=False, claim=True, sends=_sent(fitted), **{RUN_URL: "/runs/fit-1"})
    assert _waited(cluster) == 0
    told = capsys.readouterr()
    assert told.out.startswith("converged")
    assert "dask-jobs report fit-result" in told.out


def test_a_stopped_run_on_scratch_is_told_as_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """A driver that says at its deadline that all is saved has saved it to its pod's scratch space."""
    assert _waited(Fake("deadline")) == 4
    assert "the run folder was scratch space, and is lost with the driver's pod" in capsys.readouterr().err


@pytest.mark.parametrize("event", ["done", "result"])
def test_a_summary_before_its_event(event: str, fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """A log whose summary came before the run's last events gives the summary once, and no stray text of it."""
    lines = fitted.log.splitlines()
    text = [line for line in lines if not line.startswith("{")]
    rest = [line for line in lines if line.startswith("{")]
    place = next(number for number, line in enumerate(rest) if f'"event": "{event}"' in line)
    assert _waited(Fake("done", log="\n".join([*rest[:place], *text, *rest[place:]]))) == 0
    told = capsys.readouterr()
    assert told.out.count("converged") == 1
    assert [line for line in told.err.splitlines() if not line.startswith(("{", "dask-jobs: "))] == []
    assert (Path("fit-result") / "x.npy").read_bytes() == (fitted.folder / "x.npy").read_bytes()
