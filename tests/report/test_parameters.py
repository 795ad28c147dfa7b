"""The parameters that a minimization found, in its report: a table and a bar chart where they are few."""

import numpy as np
import pytest
from browser import look
from run_folders import done, npy, write_run
from test_report import text_of

from jobs.commands import write_report

HOSTILE = "</script><img src=x onerror=window.intruder=1>"


def _files(theta, names=None, **changes):
    listed = {"x": theta.tolist(), "parameters": theta.size, "image_shape": None, **({"names": names} if names else {})}
    return done(**listed, **changes) | {"x.npy": npy(theta)}


@pytest.mark.parametrize("names", [["slope", "offset"], None])
def test_a_few_parameters_are_listed_with_all_digits(names, tmp_path):
    """Each parameter stands there under its name, or its place where the problem gives none."""
    theta = np.array([0.1 + 0.2, -1.5e-7])
    text = text_of(write_run(tmp_path / "run", _files(theta, names)))
    first, second = names or ["x[0]", "x[1]"]
    assert "Parameters found" in text
    assert f"{first}0.30000000000000004" in text
    assert f"{second}-1.5e-07" in text


def test_a_result_without_x_npy_has_them_too(tmp_path):
    """What `wait` makes of a driver's log has result.json's own list."""
    files = _files(np.array([3.25, 4.5]), ["a", "b"])
    del files["x.npy"], files["history.csv"], files["status.json"]
    assert "a3.25" in text_of(write_run(tmp_path / "run", files))


@pytest.mark.parametrize(("count", "shown"), [(200, True), (201, False)])
def test_up_to_200_are_drawn(count, shown, tmp_path):
    """Two hundred parameters are drawn and listed, more are not."""
    text = text_of(write_run(tmp_path / "run", _files(np.linspace(0, 1, count))))
    assert ("Parameters found" in text) == shown


def test_the_accuracy_is_in_the_numbers(tmp_path):
    """A result's accuracy and norm stand among the numbers."""
    text = text_of(write_run(tmp_path / "run", _files(np.ones(2), accuracy=0.9825, x_norm=1.5)))
    assert "Accuracy (share of the rows it was fitted to)0.9825" in text
    assert "Norm of the parameters1.5" in text


def test_the_bars_are_drawn(tmp_path):
    """A browser paints the bars without an error, also where names are equal or are HTML."""
    storage = write_run(tmp_path / "run", _files(np.array([1.0, -2.0, 3.0, np.nan]), ["a", "a", HOSTILE, "$$x$$"]))
    write_report(storage)
    seen = look(storage.read("report.html").decode(), tmp_path / "browser")
    assert seen.errors == []
    assert seen.intruder is None
    assert dict(seen.painted)["Value by parameter"] > 10
    assert HOSTILE in seen.text
