"""The `result` line of a driver's log: what has our form is made a run folder again, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from drivers import Driver
from fake import Fake, waited

from jobs.release.actions.outcome import outcome_of, rebuild

DEEP = json.loads("[" * 450 + "]" * 450)


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
    change: dict[str, object],
    fitted: Driver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line of another form than ours does not hide what the pod printed, and gives no folder that lies."""
    monkeypatch.chdir(tmp_path)
    lines = [
        json.dumps(json.loads(line) | change) if '"event": "result"' in line else line
        for line in fitted.log.splitlines()
    ]
    assert waited(Fake("done", log="\n".join(lines))) == 0
    told = capsys.readouterr()
    assert told.out.startswith("converged")
    assert told.out.count("converged") == 1
    assert not list(Path().iterdir())


def test_numbers_that_json_has_not(tmp_path: Path) -> None:
    """Infinity, NaN and minus zero in theta come back as they were."""
    theta = [float("inf"), float("-inf"), float("nan"), -0.0, 5e-324, 0.1]
    told = ["inf", "-inf", "nan", -0.0, 5e-324, 0.1]
    result = {"job": "minimize", "parameters": len(told), "x": told}
    outcome = outcome_of({"run": "/runs/a", "options": {"job": "minimize"}, "result": result})
    assert outcome is not None
    rebuild(outcome, tmp_path)
    assert np.load(tmp_path / "x.npy").tobytes() == np.array(theta).tobytes()
    assert yaml.safe_load((tmp_path / "options.yaml").read_text()) == {"job": "minimize"}
