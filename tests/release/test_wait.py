"""What `wait` says while a release goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from drivers import Driver
from fake import Fake, waited
from situation import objects, run

from jobs.release.actions import cancel, wait
from jobs.release.actions.wait import Wait
from jobs.release.actions.wait_view import WaitView
from jobs.release.api.objects import Object, Objects


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cancel, "WORKERS_END_SECONDS", 0.0)


class Going(Fake):
    """A release that is read as one situation after the other."""

    def __init__(self, *stages: Objects, claim: bool) -> None:
        super().__init__("done", claim=claim)
        self._stages = list(stages)

    def jobs(self, selector: str) -> tuple[Object, ...]:
        if self._stages:
            self._objects = self._stages.pop(0)
            self._pods = self._objects.pods
        return super().jobs(selector)


@pytest.mark.parametrize("claim", [False, True])
def test_another_driver_begins_anew_on_scratch(
    claim: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the last driver saved went with its pod, whatever its last line says: it is said when another is awaited
    and when it is followed. On a claim the run goes on."""
    monkeypatch.setattr(wait, "POLL_SECONDS", 0.1)
    both, older = objects("driver-replaced"), run("driver-replaced").driver_pods[0]
    workers = tuple(pod for pod in both.pods if "workers" in pod["metadata"]["name"])
    stages = (replace(both, pods=(older, *workers)), replace(both, pods=workers), both, objects("done"))
    with WaitView("fit") as view:
        Wait(Going(*stages, claim=claim), "fit", view, fetch=False).run(None)  # type: ignore[arg-type]
    told = capsys.readouterr().err.splitlines()
    anew = "its run folder was scratch space of the last driver's pod, so the run begins anew (run.claim or run.s3"
    for text in ("has ended: a new driver is awaited", "the driver was replaced: following "):
        lines = [line for line in told if text in line]
        assert lines
        assert all((anew in line) != claim for line in lines)


def test_a_stopped_run_on_scratch_is_told_as_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """A driver that says at its deadline that all is saved has saved it to its pod's scratch space."""
    assert waited(Fake("deadline")) == 4
    assert "the run folder was scratch space, and is lost with the driver's pod" in capsys.readouterr().err


@pytest.mark.parametrize("event", ["done", "result"])
def test_a_summary_before_its_event(event: str, fitted: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """A log whose summary came before the run's last events gives the summary once, and no stray text of it."""
    lines = fitted.log.splitlines()
    text = [line for line in lines if not line.startswith("{")]
    rest = [line for line in lines if line.startswith("{")]
    place = next(number for number, line in enumerate(rest) if f'"event": "{event}"' in line)
    assert waited(Fake("done", log="\n".join([*rest[:place], *text, *rest[place:]]))) == 0
    told = capsys.readouterr()
    assert told.out.count("converged") == 1
    assert [line for line in told.err.splitlines() if not line.startswith(("{", "dask-jobs: "))] == []
    assert (Path("fit-result") / "x.npy").read_bytes() == (fitted.folder / "x.npy").read_bytes()


def test_what_was_stuck_is_cured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A problem that is over is said to be, once, after what it was; one that comes again is said again."""
    monkeypatch.setattr(wait, "POLL_SECONDS", 0.1)
    stages = [objects(name) for name in ("no-cpu", "no-cpu", "running", "no-cpu", "done")]
    with WaitView("fit") as view:
        Wait(Going(*stages, claim=False), "fit", view, fetch=False).run(None)  # type: ignore[arg-type]
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("stuck: ", "cured after "))]
    assert [line.split()[0] for line in told] == ["stuck:", "cured", "stuck:", "cured"]
    assert "1 Insufficient cpu" in told[1]
