"""What a minimization found is used: `dask-jobs predict` on rows, and the files that a problem saves."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.cli import main
from jobs.keras.runtime import import_tensorflow
from jobs.minimize import softmax
from jobs.minimize.display.summary import show
from jobs.minimize.job import run
from jobs.minimize.options import Options
from jobs.storage import open_storage

MAIN = "import sys; from jobs.cli import main; sys.exit(main())"


def _run(folder: Path | str, problem: str | None = None, **more: Any) -> dict[str, Any]:
    return run(Options(problem=problem, workers=0, run=str(folder), **more))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of the digits."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    _run(folder, max_iterations=20)
    return folder


def _predicted(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[list[str]], str]:
    """Return the exit code, the rows of the table, and what is said."""
    code = main(["predict", *arguments])
    out = capsys.readouterr()
    return code, list(csv.reader(io.StringIO(out.out))), out.err


def test_softmax(digits, tmp_path, capsys):
    """Probabilities of all classes, which sum to 1; the accuracy is that of the result."""
    code, rows, said = _predicted(str(digits), "--data", "digits", capsys=capsys)
    assert code == 0
    header, *rows = rows
    assert header == ["row", "predicted", *(f"p{number}" for number in range(10)), "label"]
    numbers = np.array([[float(cell) for cell in row] for row in rows])
    np.testing.assert_allclose(numbers[:, 2:-1].sum(axis=1), 1, rtol=0, atol=1e-12)
    assert (numbers[:, 1] == numbers[:, 2:-1].argmax(axis=1)).all()
    accuracy = json.loads((digits / "result.json").read_bytes())["accuracy"]
    assert (numbers[:, 1] == numbers[:, -1]).mean() == accuracy
    assert said.startswith(f"dask-jobs: accuracy {accuracy:.2%}: ")


def test_saved_softmax(digits, capsys):
    """softmax.npz gives the same probabilities by a line of NumPy; the summary names it, and the command."""
    result = json.loads((digits / "result.json").read_bytes())
    assert (result["saved"], result["predicts"]) == (["softmax.npz"], True)
    show(result, str(digits))
    out = capsys.readouterr().out
    assert "saved" in out
    assert out.splitlines()[-1] == f"predictions: dask-jobs predict {digits} --data DATA"
    problem, theta = softmax.problem("digits"), np.load(digits / "x.npy")
    x, _ = problem.data.read(0, 7)
    with np.load(digits / "softmax.npz") as saved:
        assert saved["x_shape"].tolist() == [8, 8]
        scores = saved["scale"] * x.reshape(7, -1) @ saved["W"] + saved["b"]
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), problem.predict(theta, x / 16), atol=1e-12)


def test_the_training_data_may_be_gone(tmp_path, capsys):
    """A run folder is enough: its data, deleted since, are not looked at."""
    rows = {"x": np.random.default_rng(0).standard_normal((40, 3)), "y": np.arange(40) % 2}
    np.savez(tmp_path / "old.npz", **rows)
    _run(tmp_path / "run", data=f"npz:{tmp_path}/old.npz", max_iterations=3)
    (tmp_path / "old.npz").rename(tmp_path / "new.npz")
    code, table, said = _predicted(str(tmp_path / "run"), "--data", f"npz:{tmp_path}/new.npz", capsys=capsys)
    assert code == 0, said
    assert len(table) == 41


def test_in_s3(s3, tmp_path, capsys):
    """Run folder, data and output may be in S3; saved files are in the run folder there."""
    _run(f"{s3}/run", "saving_problems:Fit")
    assert {"fit.npy", "more/text.txt"} < set(open_storage(f"{s3}/run").list())
    rows = io.BytesIO()
    np.savez(rows, x=np.ones((4, 3)))
    open_storage(s3).write("rows.npz", rows.getvalue())
    output = f"{s3}/out/table.csv"
    assert main(["predict", f"{s3}/run", "--data", f"npz:{s3}/rows.npz", "--output", output]) == 0
    lines = open_storage(s3).read("out/table.csv").decode().splitlines()
    assert lines[0] == "row,predicted"
    x = np.load(io.BytesIO(open_storage(f"{s3}/run").read("x.npy")))
    assert [float(line.split(",")[1]) for line in lines[1:]] == pytest.approx([x.sum()] * 4)
    assert capsys.readouterr().out == ""


def test_a_problem_of_ones_own(tmp_path, capsys):
    """Its values are a column; its files keep their names, and cannot change the result."""
    result = _run(tmp_path / "run", "saving_problems:Fit")
    assert result["saved"] == ["fit.npy", "more/text.txt"]
    assert np.array_equal(np.load(tmp_path / "run/fit.npy"), np.load(tmp_path / "run/x.npy"))
    assert result["x"] == np.load(tmp_path / "run/x.npy").tolist()
    np.savez(tmp_path / "rows.npz", x=np.eye(3), y=np.array([1.0, 2, 3]))
    capsys.readouterr()
    code, rows, said = _predicted(str(tmp_path / "run"), "--data", f"npz:{tmp_path}/rows.npz", capsys=capsys)
    assert (code, said) == (0, "")
    assert rows[0] == ["row", "predicted", "label"]
    assert [float(row[1]) for row in rows[1:]] == result["x"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("raises", "problem.save(theta, folder): the user's code raised ZeroDivisionError: a bug of mine"),
        ("exits", "problem.save(theta, folder): the user's code raised SystemExit: 0"),
        ("result.json", "problem.save(theta, folder) wrote 'result.json', which the run folder uses itself"),
        ("X.npy", "problem.save(theta, folder) wrote 'X.npy', which the run folder uses itself"),
        ("journal/0001", "problem.save(theta, folder) wrote 'journal/0001', which the run folder uses itself"),
        ("options.yaml/a", "problem.save(theta, folder) wrote 'options.yaml/a', which the run folder uses itself"),
        ("link", "problem.save(theta, folder) wrote 'link', which is a link, but must write plain files"),
        ("folder link", "problem.save(theta, folder) wrote 'link', which is a link, but must write plain files"),
        ("pipe", "problem.save(theta, folder) wrote 'pipe', which is no file, but must write plain files"),
        ("a/.hidden", "problem.save(theta, folder) wrote 'a/.hidden', but a name must have at most 200 printable"),
        ("a\nb", "problem.save(theta, folder) wrote 'a\\nb', but a name must have at most 200 printable"),
    ],
)
def test_a_save_that_fails(tmp_path, monkeypatch, capsys, kind, text):
    """The result is kept, with the error in its last line; none of the files is there."""
    monkeypatch.setenv("ODD", kind)
    result = _run(tmp_path / "run", "saving_problems:Odd")
    assert result["success"]
    assert result["save_error"].startswith(text)
    assert "saved" not in result
    assert not (tmp_path / "run/good.txt").exists()
    assert json.loads((tmp_path / "run/result.json").read_bytes())["save_error"] == result["save_error"]
    assert np.load(tmp_path / "run/x.npy").tolist() == result["x"]
    show(result, "runs/it")
    assert capsys.readouterr().out.splitlines()[-1].startswith("warning: nothing was saved: problem.save")


def test_a_save_that_changes_the_current_folder(tmp_path, monkeypatch):
    """Its folder is deleted: the process is where it was, and the run ends as any other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ODD", "goes there")
    assert _run("run", "saving_problems:Odd")["saved"] == ["good.txt"]
    assert Path.cwd() == tmp_path


def test_a_link_in_the_run_folder(tmp_path):
    """What is saved does not leave the run folder by a link in it."""
    _run(tmp_path / "run", "saving_problems:Fit", max_iterations=1)
    (tmp_path / "run/more/text.txt").unlink()
    (tmp_path / "run/more").rmdir()
    (tmp_path / "run/more").symlink_to(tmp_path)
    result = _run(tmp_path / "run", "saving_problems:Fit", max_iterations=9)
    assert "more is a symbolic link" in result["save_error"]
    assert not (tmp_path / "text.txt").exists()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ("problems:LeastSquares", "digits"),
            (2, "problem LeastSquares has no predict(theta, x), which returns"),
        ),
        (
            ("saving_problems:Wide", "digits"),
            (1, "problem.predict(theta, x) returned shape (1, 8, 8) of float64"),
        ),
        (("saving_problems:Fit", "digits"), (1, "error: problem.predict(theta, x): the user's code raised ValueError")),
        ((None, "idx:nowhere"), (2, "error: data set 'idx:nowhere': no images there; give a folder with")),
        ((None, "npz:nowhere.npz"), (2, "nowhere.npz does not exist; check the path")),
        ((None, "{wide}"), (2, "error: the model takes rows of 64 numbers, but those of the data have shape (2, 5)")),
    ],
)
def test_what_cannot_be_predicted(digits, tmp_path, capsys, names, expected):
    """One line says what the model takes and what there is; standard output stays empty."""
    problem, data = names
    folder = digits if problem is None else tmp_path / "run"
    if problem is not None:
        _run(folder, problem, max_iterations=1)
    np.savez(tmp_path / "wide.npz", x=np.ones((3, 2, 5)))
    found, rows, said = _predicted(str(folder), "--data", data.format(wide=f"npz:{tmp_path}/wide.npz"), capsys=capsys)
    assert (found, rows) == (expected[0], [])
    assert expected[1] in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{run}"], "{run}: there is nothing to predict: give --data DATA\n"),
        (["{run}", "cat.jpg"], "runs of 'minimize' take no files: give --data"),
        (["{run}", "cat.jpg", "--data", "digits"], "--data digits and the file cat.jpg: give one of them"),
        (["{run}", "--output", "a.csv"], "--output a.csv is for the rows of --data, which is missing"),
        (["{run}", "--data"], "argument --data: expected one argument"),
        (["{run}", "--date", "digits"], "--date: there is no such option; did you mean '--data'?"),
        (["--data", "digits"], "the following arguments are required: RUN"),
        (["{run}", "--data", "digits", "--output", "{run}"], "is a folder, but must be a file"),
        (["{run}", "--data", "digits", "--output", "{run}/x.npy"], "is a file of the data or of the run, which would"),
        (["{run}", "--data", "digits", "--output", "{run}/softmax.npz"], "name another one"),
        (["{run}/none", "--data", "digits"], "is no run folder: it has no options.yaml"),
    ],
)
def test_wrong_lines(digits, capsys, arguments, text):
    """Each mistake is one line, with exit code 2."""
    assert main(["predict", *(word.format(run=digits) for word in arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert text.format(run=digits) in said.err
    assert len(said.err.splitlines()) == 1


def test_a_run_that_has_not_ended(tmp_path, capsys):
    """It has no model yet; the line says how it stands."""
    (tmp_path / "options.yaml").write_text("job: minimize")
    (tmp_path / "status.json").write_text('{"state": "failed", "error": "out of luck"}')
    assert main(["predict", str(tmp_path), "--data", "digits"]) == 2
    assert capsys.readouterr().err.endswith("its run has not ended; it is failed: out of luck\n")
    (tmp_path / "result.json").write_text('{"job": "minimize", "parameters": "many"}')
    assert main(["predict", str(tmp_path), "--data", "digits"]) == 2
    assert "result.json of" in capsys.readouterr().err


def test_changed_code(tmp_path, capsys, monkeypatch):
    """Code that is not the run's predicts with a warning; another number of parameters is refused."""
    monkeypatch.syspath_prepend(tmp_path)
    text = (
        "from dataclasses import dataclass\nfrom saving_problems import Fit\n\n\ndef problem():\n    return Fit(n={})\n"
    )
    (tmp_path / "changing_fit.py").write_text(text.format(3))
    _run(tmp_path / "run", "changing_fit:problem", max_iterations=1)
    np.savez(tmp_path / "rows.npz", x=np.eye(3))
    predict = [sys.executable, "-c", MAIN, "predict", str(tmp_path / "run"), "--data", f"npz:{tmp_path}/rows.npz"]
    paths = os.pathsep.join([str(Path(__file__).parent), str(tmp_path), os.environ.get("PYTHONPATH", "")])
    for change, code, said in [
        (text.format(3) + "# more\n", 0, "dask-jobs: warning: not as it was when"),
        (text.format(2), 2, "the run's optimum has 3 parameters, but problem Fit has 2 now"),
    ]:
        (tmp_path / "changing_fit.py").write_text(change)
        done = subprocess.run(
            predict, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths}
        )
        assert done.returncode == code, done.stderr
        assert "source of changing_fit.py was " in done.stderr
        assert said in done.stderr


def test_a_reader_that_ends_early(digits):
    """`| head` ends it without a word."""
    command = [sys.executable, "-c", MAIN, "predict", str(digits), "--data", "digits"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith("row,predicted,p0")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_keras_network(tmp_path, capsys):
    """model.keras opens with Keras alone, and gives the outputs that the table has; wrong rows are refused."""
    result = _run(tmp_path / "run", "saving_problems:network", max_iterations=20)
    assert result.get("saved") == ["model.keras"], result.get("save_error")
    _, keras = import_tensorflow()
    x = np.random.default_rng(1).standard_normal((8, 5))
    np.savez(tmp_path / "rows.npz", x=x)
    code, rows, said = _predicted(str(tmp_path / "run"), "--data", f"npz:{tmp_path}/rows.npz", capsys=capsys)
    assert code == 0, said
    expected = keras.models.load_model(tmp_path / "run/model.keras")(x.astype(np.float32)).numpy()
    assert rows[0] == ["row", "predicted", "p0", "p1", "p2"]
    np.testing.assert_array_equal(np.array([row[2:] for row in rows[1:]], np.float32), expected)
    code, _, said = _predicted(str(tmp_path / "run"), "--data", "digits", capsys=capsys)
    assert (code, said.splitlines()[-1]) == (
        2,
        "dask-jobs: error: the model takes rows of shape (5,), but those of the data have (8, 8)",
    )


@pytest.fixture(autouse=True)
def _keras_may_warn():
    """As in a process of its own: NumPy's deprecation is Keras's, which saves a model."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


def test_the_kernel_predicts_what_it_counts():
    """On odd sizes, as it counts right rows: the class of the largest probability."""
    numbers = np.random.default_rng(0)
    for rows, features, classes in [(1, 1, 2), (70, 3, 5), (130, 784, 10)]:
        theta, x = numbers.standard_normal(classes * (features + 1)), numbers.standard_normal((rows, features))
        found = softmax.probabilities(theta, x, classes)
        scores = x @ theta[: classes * features].reshape(classes, -1).T + theta[classes * features :]
        assert (found.argmax(axis=1) == scores.argmax(axis=1)).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
