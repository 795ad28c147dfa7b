"""Releases whose run folder has a name of its own (run.name): what it holds is not shown as another run's."""

from __future__ import annotations

from typing import Any

from changing import TEXT
from release import Claim, driver_job
from watched import Watched

OBJECTIVE = """
SPACE = {{"x": {{"uniform": [0, 1]}}}}

def f(parameters):
    return {more} + parameters["x"]
"""
SMALL = {"workers": {"count": 1}}


def _wait(watched: Watched, chart: str, claim: Claim, **values: Any) -> tuple[int, str, str]:
    """Install or upgrade the release, wait for its end, and return its exit code, what was told, and the log."""
    watched.install("fit", f"run.claim.name={claim}", "run.name=pinned", values={**SMALL, **values}, chart=chart)
    job = driver_job(watched.api, "fit")["metadata"]["name"]
    code, told = watched.tell("wait", "fit", "--no-fetch")
    return code, told, watched.kubectl("logs", f"job/{job}", "-c", "driver")


def test_an_edited_problem(watched: Watched, claim: Claim) -> None:
    """An upgrade with the same code shows the result again; one with other code ends with 2 and leaves it."""
    values = {"job": {"problem": "edited:problem"}, "code": {"edited.py": TEXT.format(more="")}}
    code, _, log = _wait(watched, "minimize", claim, **values)
    assert (code, "converged: " in log) == (0, True), log
    before = claim.read("pinned/result.json")
    code, _, log = _wait(watched, "minimize", claim, **values, deadlines={"start": 599})
    assert (code, "converged" in log) == (0, True), log
    code, told, log = _wait(watched, "minimize", claim, **values | {"code": {"edited.py": TEXT.format(more="+ 3")}})
    assert code == 2, log
    assert "belongs to another run: source of edited.py was" in told
    assert claim.read("pinned/result.json") == before


def test_an_edited_objective(watched: Watched, claim: Claim) -> None:
    """A search that has ended is refused with another code, and goes on with it where that is asked for."""
    job = {"objective": "edited:f", "trials": 2}
    edited = {"edited.py": OBJECTIVE.format(more=100)}
    code, _, log = _wait(watched, "tune", claim, job=job, code={"edited.py": OBJECTIVE.format(more=0)})
    assert code == 0, log
    code, told, log = _wait(watched, "tune", claim, job=job, code=edited)
    assert code == 2, log
    assert "source of edited.py was" in told
    more = job | {"trials": 4, "accept_new_code": True}
    code, _, log = _wait(watched, "tune", claim, job=more, code=edited)
    assert code == 0, log
    header, *rows = claim.read("pinned/trials.csv").decode().splitlines()
    column = header.split(",").index("code")
    codes = [row.split(",")[column] for row in rows]
    assert codes[0] == codes[1] != codes[2] == codes[3]
