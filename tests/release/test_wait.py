"""What `wait` says while a release goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake import Fake
from situation import objects, run

from jobs.release import stop, wait
from jobs.release.objects import Object, Objects
from jobs.release.screen import Screen
from jobs.release.wait import Wait


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
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the last driver saved went with its pod, whatever its last line says: it is said when another is awaited
    and when it is followed. On a claim the run goes on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wait, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(stop, "LAST_WORD_SECONDS", 0.0)
    both, older = objects("driver-replaced"), run("driver-replaced").driver_pods[0]
    workers = tuple(pod for pod in both.pods if "workers" in pod["metadata"]["name"])
    stages = (replace(both, pods=(older, *workers)), replace(both, pods=workers), both, objects("done"))
    with Screen("fit") as screen:
        Wait(Going(*stages, claim=claim), "fit", screen, fetch=False).run(None)  # type: ignore[arg-type]
    told = capsys.readouterr().err.splitlines()
    anew = "its run folder was scratch space of the last driver's pod, so the run begins anew (run.claim or run.s3"
    for text in ("has ended: a new driver is awaited", "the driver was replaced: following "):
        lines = [line for line in told if text in line]
        assert lines
        assert all((anew in line) != claim for line in lines)
