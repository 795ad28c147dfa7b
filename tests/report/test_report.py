"""The report of a run folder, as text."""

from __future__ import annotations

import re
import shlex
from html import unescape

import numpy as np
import pytest
import scipy
from run_folders import OPTIONS, done, failed, history_csv, npy, running, write_run

from jobs.commands import write_report
from jobs.errors import InputError
from jobs.minimize import softmax
from jobs.minimize.job import run
from jobs.minimize.options import Options
from jobs.minimize.report.curves import curves
from jobs.minimize.report.history import downsample, lowest_so_far, parse_history
from jobs.minimize.report.weights import _pictures
from jobs.options import parse
from jobs.storage import open_storage


def text_of(storage):
    """Write a report and return what a person reads of it."""
    write_report(storage)
    report = storage.read("report.html").decode()
    return unescape(re.sub(r"<[^>]+>", "", re.sub(r"<(script|style).*?</\1>", "", report, flags=re.DOTALL))).replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_the_report_lies_in_the_run_folder(tmp_path, caplog):
    """The path returned is that of report.html in the run folder; a second one replaces it; Bokeh has no complaint."""
    storage = write_run(tmp_path / "run", done())
    assert write_report(storage) == write_report(storage) == str(tmp_path / "run" / "report.html")
    assert (tmp_path / "run" / "report.html").stat().st_size < 2_500_000
    assert caplog.records == []


def test_the_report_of_a_real_job(tmp_path):
    """What the minimize job leaves in its run folder has all sections, with the job's own numbers."""
    result = run(Options(data="digits", workers=0, l2=1.0, max_iterations=5, run=str(tmp_path)))
    text = text_of(open_storage(tmp_path))
    assert (
        f"ended without success at loss {result['fun']:.6g} with largest gradient entry {result['gradient_norm']:.3g}"
        in text
    )
    assert f"Loss at the optimum{result['fun']}" in text
    assert f"{result['nfev']} of {result['nfev']} evaluations as a table" in text
    assert "Weights by class, 8 by 8 pixels" in text
    for label, column in enumerate(softmax.problem("digits").weights(np.load(tmp_path / "x.npy"))[0].T):
        assert f"\n{label}{float(f'{column.min():.6g}')}{float(f'{column.max():.6g}')}" in text
    assert f"scipy{scipy.__version__}" in text


def test_the_report_of_a_run_in_s3(s3):
    """A run folder in S3 gets its report there, and a command line that needs no file of it."""
    storage = write_run(f"{s3}/my run", failed("no workers"))
    assert write_report(storage) == f"{s3}/my run/report.html"
    assert f"--run '{s3}/my run'" in text_of(storage)


def test_the_command_line_has_the_same_options(tmp_path):
    """Parsed again, the command line shown gives the options of the run, and its run folder."""
    given = {
        "data": "idx:my data; rm -rf *",
        "bounds": [[0.0, None], [-1.5, 2.0]],
        "options": {"ftol": 1e-12, "maxcor": 20},
        "l2": 0.1,
        "on_nan": "inf",
        "workers": 0,
    }
    storage = write_run(tmp_path / "a run", running() | {"options.yaml": {"job": "minimize", **given}})
    line = re.search(r"^dask-jobs minimize (.*a run.*)$", text_of(storage), flags=re.MULTILINE)[1]
    assert parse(Options, "dask-jobs minimize", shlex.split(line)) == Options(run=storage.url, **given)


def test_only_what_differs_from_the_defaults_is_bold(tmp_path):
    """Of the options table exactly the options that were chosen are emphasised."""
    storage = write_run(tmp_path, failed("no workers"))
    write_report(storage)
    bold = re.findall(r'<th scope="row">(\w+)</th><td><strong>', storage.read("report.html").decode())
    assert bold == ["workers", "data", "max_iterations", "options", "l2"]


def test_a_stopped_run_says_that_it_goes_on(tmp_path):
    """A stopped run is told from a failed one, and shows how far it was."""
    files = running()
    files["status.json"] |= {"state": "stopped", "error": "stopped by SIGTERM; all is saved"}
    text = text_of(write_run(tmp_path, files))
    assert "L-BFGS-B was stopped in attempt 1 after 41 evaluations; the lowest so far is loss 197.99" in text
    assert "stopped by SIGTERM; all is saved" in text
    assert "41 of at most 200 iterations\n" in text
    assert "takes the run up where it was" in text


def test_a_run_without_success_says_why(tmp_path):
    """The optimizer's message is in the first sentence, and the state is not a plain `done`."""
    text = text_of(write_run(tmp_path, done(success=False, message="Maximum number of iterations has been exceeded.")))
    assert "\ndone, without success\n" in text
    assert "ended without success at loss" in text
    assert "“Maximum number of iterations has been exceeded”." in text


def test_infinity_and_nan_come_as_text(tmp_path):
    """A result whose loss and largest gradient entry were written as the texts `inf` and `nan` is shown as such."""
    text = text_of(write_run(tmp_path, done(success=False, fun="inf", gradient_norm="nan", workers=0, attempt=1)))
    assert "at loss inf after 83 evaluations in 29.1 s in one process, in 1 attempt" in text


def test_a_run_is_done_when_its_result_is_there(tmp_path):
    """Between the last status and the result, the two files written last, a run still counts as running."""
    files = done()
    del files["result.json"]
    assert "L-BFGS-B is running in attempt 2 after 83 evaluations" in text_of(write_run(tmp_path, files))


def test_a_run_that_has_not_begun(tmp_path):
    """Options alone make a run folder."""
    assert "L-BFGS-B has not begun in attempt 1" in text_of(write_run(tmp_path, {"options.yaml": OPTIONS}))


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "is no run folder: it has no options.yaml"),
        (
            {"options.yaml": "job: [", "status.json": {}},
            "options.yaml of the run folder cannot be read: no YAML (while parsing",
        ),
        ({"options.yaml": OPTIONS, "status.json": b"{"}, "status.json of the run folder cannot be read: Expecting"),
        ({"options.yaml": OPTIONS, "result.json": b"[]"}, "result.json of the run folder holds a list"),
        ({"options.yaml": OPTIONS, "x.npy": b"zeros"}, "x.npy of the run folder cannot be read"),
        ({"options.yaml": OPTIONS, "x.npy": b""}, "x.npy of the run folder cannot be read"),
        (
            {"options.yaml": OPTIONS, "history.csv": "a,b\n1,2\n"},
            "history.csv has the columns ['a', 'b'], but they must be",
        ),
        (
            {"options.yaml": OPTIONS, "history.csv": history_csv([(1, 2, 3, 4)]) + "x,1,1,1\n"},
            "history.csv, line 3: could not",
        ),
        ({"options.yaml": {"job": "dance"}}, "its job is 'dance', but a report can be made for alexnet, minimize"),
    ],
)
def test_what_is_no_run_folder_is_refused(tmp_path, files, complaint):
    """A folder that holds no run, or a broken file, gives one line that names it, and no report."""
    storage = write_run(tmp_path, files)
    with pytest.raises(InputError) as error:
        write_report(storage)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
    assert not storage.exists("report.html")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    """A path without a folder is no run folder, and is not made."""
    with pytest.raises(InputError, match="is no run folder"):
        write_report(open_storage(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_thinning_keeps_each_spike_and_the_minimum():
    """Few values are all kept; of many, at most the points asked for, in order, each stretch's extremes among them."""
    values = np.sin(np.arange(50_000) / 900.0)
    values[[777, 40_001]] = 9.0, -9.0
    kept = downsample(values, points=500)
    assert kept.size <= 500
    assert (np.diff(kept) > 0).all()
    assert {777, 40_001, 0} <= set(kept.tolist())
    assert downsample(values[:500], points=500).tolist() == list(range(500))


def test_the_lowest_so_far_passes_over_what_is_not_finite():
    """The running minimum of inf, 3, nan, 5, -inf, 1 is nan, 3, 3, 3, 3, 1."""
    values = np.array([np.inf, 3.0, np.nan, 5.0, -np.inf, 1.0])
    np.testing.assert_array_equal(lowest_so_far(values), [np.nan, 3, 3, 3, 3, 1])


def test_a_loss_is_drawn_on_a_logarithmic_scale_if_it_can_be():
    """Positive losses make a logarithmic scale, others a linear one; curves with nothing to draw are left out."""
    positive, mixed, single = (
        parse_history(history_csv([(i, i, loss, None) for i, loss in enumerate(losses)]))
        for losses in ([3.0, 2.0, 1.0], [3.0, 0.0, -1.0], [3.0])
    )
    assert [(curve.name, curve.log) for curve in curves(positive)] == [
        ("Loss", True),
        ("Loss above its lowest value", True),
    ]
    assert [curve.log for curve in curves(mixed)] == [False, True]
    assert [curve.name for curve in curves(single)] == ["Loss"]
    assert curves(positive)[1].drawn.tolist() == [0, 1]
    np.testing.assert_array_equal(curves(positive)[1].lowest, [2, 1, np.nan])


def test_pictures_are_the_weights_of_softmax_upright():
    """The picture of a class is what `Softmax.weights` gives for it, its first row on top."""
    problem = softmax.problem("digits")
    theta = np.random.default_rng(0).normal(size=problem.x0().size)
    height, width = problem.data.shape
    images = theta[: -problem.data.classes].reshape(-1, height, width)
    drawn = _pictures(images, limit=1.0).renderers[0].data_source.data["image"]
    for label, column in enumerate(problem.weights(theta)[0].T):
        np.testing.assert_array_equal(np.asarray(drawn[label])[::-1], column.reshape(height, width).astype(np.float32))


def test_too_many_pictures_are_cut(tmp_path):
    """Where pictures would make the file large the first are shown, and the report says so."""
    classes, shape = 80, (64, 64)
    x = np.random.default_rng(0).normal(size=classes * 64 * 64 + classes)
    storage = write_run(tmp_path, done(classes=classes, image_shape=shape) | {"x.npy": npy(x)})
    assert "Shown are 61 of 80 classes." in text_of(storage)
    assert storage.size("report.html") < 3_500_000
