"""What `wait` leaves here when a release has ended: the result, where it is, and what comes next.

The logs are those of real drivers; the run folders, too. Only the cluster is recorded.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from drivers import MINIMIZE, TUNE, Driver, driver_of
from fake import Fake, waited
from streams import of, packed

from jobs.commands import show, write_report
from jobs.errors import ClusterError
from jobs.release.actions import cancel
from jobs.release.api.client import Forbidden
from jobs.release.api.exec import Output
from jobs.release.api.objects import RUN_URL
from jobs.storage import open_storage


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cancel, "WORKERS_END_SECONDS", 0.0)


def _sent(driver: Driver) -> Output:
    return of(packed(str(driver.folder)))


def _files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_scratch_gives_the_result_back(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """From the log alone result.json, options.yaml and x.npy are made again with their bits; the last line says what
    is lost, the lines before it where the result is and what removes the release."""
    assert waited(Fake("done", log=fitted.log)) == 0
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
    waited(Fake("done", log=fitted.log))
    capsys.readouterr()
    assert show("fit-result") == 0
    assert capsys.readouterr().out.startswith("converged")
    assert "converged to loss" in Path(write_report(open_storage("fit-result"))).read_text()


def test_a_search_from_scratch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A search's best trial comes back, and neither summary nor report names a table that is lost."""
    driver = driver_of(tmp_path / "pod", "tune", **TUNE)
    assert waited(Fake("done", log=driver.log)) == 0
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
    assert waited(Fake("done", log=driver.log)) == 0
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
    assert waited(cluster, fetch=False) == 0
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
        assert waited(cluster) == 0
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
    waited(Fake("done", log=fitted.log, claim=True, sends=_sent(fitted)))
    assert Path("fit-result/status.json").read_bytes() == (fitted.folder / "status.json").read_bytes()
    assert not Path("fit-result/report.html").exists()
    assert [path.name for path in Path().iterdir()] == ["fit-result"]


def test_what_is_here_already_stays_as_it_is(fitted: Driver) -> None:
    """A folder that has all files of the result is left alone, with what else it holds."""
    waited(Fake("done", log=fitted.log))
    Path("fit-result/notes.txt").write_text("mine")
    before = Path("fit-result/x.npy").stat()
    waited(Fake("done", log=fitted.log))
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
        assert waited(Fake("done", log=fitted.log, claim=True, sends=_sent(fitted))) == 0
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
    assert waited(Fake("done", log=fitted.log, claim=True, sends=_sent(fitted))) == 0
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
    assert waited(cluster) == 0
    assert not list(Path().iterdir())
    told = capsys.readouterr()
    assert f"{np.load(fitted.folder / 'x.npy')[0]:.10g}" in told.out
    assert "fit-1" not in told.out
    again = f"the run folder was not brought here ({error}); this tries again: dask-jobs fetch fit -n "
    assert sum(again in line for line in told.err.splitlines()) == 1


def test_in_s3_it_stays(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a run folder in S3 the URL is told, and nothing is written here."""
    assert waited(Fake("done", log=fitted.log, **{RUN_URL: "s3://bucket/runs/fit-1"})) == 0
    told = capsys.readouterr()
    assert "dask-jobs report s3://bucket/runs/fit-1" in told.out
    assert "dask-jobs: the run folder is s3://bucket/runs/fit-1" in told.err
    assert not list(Path().iterdir())


def test_a_failed_run_leaves_what_there_is(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a failure with a claim the folder is brought, and the log's command is told; from scratch nothing comes.

    A result in that folder is told as an earlier run's.
    """
    failed = Fake("user-code-failed", claim=True, sends=_sent(fitted))
    assert waited(failed) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "what there is of the run folder is in fit-result" in told.err
    assert "fit-result/result.json is the result of an earlier run in that folder, not of this one" in told.err
    assert f"next: dask-jobs logs fit -n {failed.namespace}" in told.err.splitlines()
    assert "dask-jobs: workers may be left (jane may not patch jobs)" in told.err
    assert Path("fit-result/x.npy").exists()
    assert waited(Fake("user-code-failed")) == 1
    told = capsys.readouterr()
    assert "next: dask-jobs logs fit" in told.err
    assert "lost" not in told.err
    assert [path.name for path in Path().iterdir()] == ["fit-result"]


def test_without_a_result_line_the_pods_text_is_shown(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """An earlier driver's summary is shown as it was printed; that its folder is lost comes last."""
    lines = [line for line in fitted.log.splitlines() if '"event": "result"' not in line]
    assert waited(Fake("done", log="\n".join(lines))) == 0
    told = capsys.readouterr()
    assert told.out.startswith("converged")
    assert "the run folder was scratch space, and is lost with the driver's pod" in told.err.splitlines()[-1]
    assert not list(Path().iterdir())


def test_a_log_that_is_gone(fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the driver's pod scratch has nothing to give: an earlier wait's folder is named, and stays as it is."""
    for before in (False, True):
        if before:
            waited(Fake("done", log=fitted.log))
            capsys.readouterr()
        assert waited(Fake("done", pods=False)) == 0
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
    assert waited(cluster) == 0
    told = capsys.readouterr()
    assert told.out.startswith("converged")
    assert "dask-jobs report fit-result" in told.out
