"""Runs of the shipped models by command: --model, --validation, standard errors, predictions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jobs import from_arrays
from jobs.cli import main
from jobs.minimize import Objective, held_out, logistic, minimize, poisson, softmax, squared
from jobs.minimize.problems.held_out import is_held
from jobs.minimize.standard_errors import standard_errors

ROWS = 300


@pytest.fixture
def data(tmp_path):
    """Return the spec of a data set of numbers, counts and classes, and its arrays."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(ROWS, 3))
    y = {
        "squared": x @ [2.0, -1.0, 0.0] + 3 + rng.normal(size=ROWS),
        "poisson": rng.poisson(np.exp(x @ [0.5, 0.0, -0.3])),
        "logistic": (x[:, 0] + rng.normal(size=ROWS) > 0).astype(int),
        "softmax": np.digitize(x[:, 0] + rng.normal(size=ROWS), [-0.5, 0.5]),
    }
    for model, labels in y.items():
        np.savez(tmp_path / f"{model}.npz", x=x, y=labels)
    return tmp_path, x, y


def run(tmp_path, model, *options):
    """Run a model in this process; return its exit code and result."""
    folder = tmp_path / "run"
    code = main(["minimize", "--data", f"npz:{tmp_path / model}.npz", "--model", model, "--workers", "0",
                 "--method", "trust-exact", "--run", str(folder), *options])  # fmt: skip
    result = folder / "result.json"
    return code, json.loads(result.read_text()) if result.exists() else {}


def textbook(model, x, y, theta):
    """Return the standard errors by the formulas, whole matrices."""
    ones = np.column_stack([x, np.ones(len(x))])
    z = ones @ theta
    p = 1 / (1 + np.exp(-z))
    curvature = {"squared": np.ones(len(x)), "poisson": np.exp(z), "logistic": p * (1 - p)}[model]
    factor = ((z - y) ** 2).sum() / (len(x) - 4) if model == "squared" else 1
    return np.sqrt(factor * np.diag(np.linalg.inv(ones.T @ (ones * curvature[:, None]))))


@pytest.mark.parametrize("model", ["squared", "poisson", "logistic"])
def test_a_model_is_fitted_with_its_standard_errors(model, data, capsys):
    """--model names the regression; its parameters have the standard errors of the textbook, in summary and report."""
    tmp_path, x, y = data
    code, result = run(tmp_path, model)
    assert code == 0
    np.testing.assert_allclose(result["standard_errors"], textbook(model, x, y[model], result["x"]), rtol=1e-6)
    shown = capsys.readouterr().out
    assert f"{result['x'][0]:.10g} ± {result['standard_errors'][0]:.2g}" in shown
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "Standard error" in (tmp_path / "run/report.html").read_text()
    saved = np.load(tmp_path / f"run/{model}.npz")
    assert np.append(saved["w"], saved["b"]).tolist() == result["x"]


def test_numbers_that_mean_nothing_are_not_printed(data, capsys):
    """Softmax, a penalty and a constant feature have a sentence in the place of standard errors."""
    tmp_path, x, y = data
    assert "logistic regression has them" in run(tmp_path, "softmax")[1]["standard_errors_note"]
    assert "standard errors" in capsys.readouterr().out
    with Objective(None, squared.problem(from_arrays(np.column_stack([x, x[:, 0]]), y["squared"]))) as objective:
        assert "singular" in standard_errors(objective, np.zeros(5), 1.0)["standard_errors_note"]
        assert "none with l2" in standard_errors(objective, np.zeros(5), 1.0, restricted="l2")["standard_errors_note"]
    with Objective(None, squared.problem(from_arrays(x[:4], y["squared"][:4]))) as objective:
        assert "no more rows than parameters" in standard_errors(objective, np.zeros(4), 1.0)["standard_errors_note"]


@pytest.mark.parametrize("model", ["softmax", "poisson"])
def test_rows_are_held_out(model, data, capsys):
    """--validation fits the other rows alone, and has the loss and accuracy on those that it holds out."""
    tmp_path, x, y = data
    code, result = run(tmp_path, model, "--validation", "0.25", "--l2", "0.1")
    assert code == 0
    held = is_held(0, ROWS, 0.25, 0)
    problem = {"softmax": softmax, "poisson": poisson}[model].problem
    theta = np.array(result["x"])
    with Objective(None, problem(from_arrays(x[~held], y[model][~held])), l2=0.1) as fitted:
        assert result["fun"] == pytest.approx(fitted(theta)[0], rel=1e-9)
        assert np.abs(fitted(theta)[1]).max() < 1e-3
        assert result.get("accuracy") == fitted.accuracy(theta)
    with Objective(None, problem(from_arrays(x[held], y[model][held]))) as other:
        found = result["validation"]
        assert found["rows"] == held.sum()
        assert found["loss"] == pytest.approx(other(theta)[0] / held.sum(), rel=1e-9)
        assert found.get("accuracy") == other.accuracy(theta)
    assert f"of {held.sum()} rows held out" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "Mean loss on rows held out" in (tmp_path / "run/report.html").read_text()
    assert run(tmp_path, model, "--validation", "0.25", "--l2", "0.1", "--validation-seed", "1")[0] == 2


def test_rows_that_are_held_out_depend_on_their_numbers_alone():
    """Any range has the same rows held out as the whole, about the share of them, and other ones by another seed."""
    held = is_held(0, 100_000, 0.2, 7)
    assert (np.concatenate([is_held(0, 77, 0.2, 7), is_held(77, 100_000, 0.2, 7)]) == held).all()
    assert abs(held.mean() - 0.2) < 0.005
    assert 0.03 < (held & is_held(0, 100_000, 0.2, 8)).mean() < 0.05


def test_held_out_rows_change_no_bits(client_of):
    """Loss and gradient without some rows, or without all of a block, have equal bits on 0, 1 and 3 workers."""
    rng = np.random.default_rng(0)
    source = from_arrays(rng.normal(size=(4000, 3)), rng.integers(0, 3, 4000), rng.random(4000))
    problem = held_out(softmax.problem(source), 0.3, seed=5)
    theta = rng.normal(size=12)
    found = []
    for workers in (0, 1, 3):
        with Objective(client_of(workers) if workers else None, problem) as objective:
            value, gradient = objective(theta)
            found.append((value, gradient.tobytes(), str(objective.validation(theta)), objective.accuracy(theta)))
    assert len(set(found)) == 1
    small = held_out(logistic.problem(from_arrays(np.eye(2), [0, 1])), 0.999999)
    with Objective(None, small) as objective:
        assert objective(np.ones(3))[0] == 0
        assert objective.validation(np.ones(3))["rows"] == 2
        assert not objective.hess(np.ones(3)).any()


def test_predictions_have_the_models_form(data, capsys):
    """`predict` writes values of a regression, and both classes' probabilities of logistic regression."""
    tmp_path, x, _ = data
    for model in ("poisson", "logistic"):
        where = tmp_path / model
        where.mkdir()
        (tmp_path / f"{model}.npz").rename(where / f"{model}.npz")
        assert run(where, model)[0] == 0
        capsys.readouterr()
        assert main(["predict", str(where / "run"), "--data", f"npz:{where / model}.npz"]) == 0
        header, first, *_ = capsys.readouterr().out.splitlines()
        z = x[0] @ (theta := np.load(where / "run/x.npy"))[:-1] + theta[-1]
        if model == "poisson":
            assert header == "row,predicted,label"
            assert float(first.split(",")[1]) == pytest.approx(np.exp(z))
        else:
            assert header == "row,predicted,p0,p1,label"
            assert float(first.split(",")[3]) == pytest.approx(1 / (1 + np.exp(-z)))


def test_options_that_do_not_go_together_are_one_line(data, capsys):
    """--model and --validation need data of their own, --classes softmax, and a share is one of a whole."""
    tmp_path, *_ = data
    for options, text in [
        (["--problem", "m:p", "--model", "poisson"], "--model poisson and --problem m:p exclude each other"),
        (["--problem", "m:p", "--validation", "0.1"], "--validation 0.1 and --problem m:p exclude each other"),
        (["--data", "digits", "--validation", "1"], "--validation"),
        (["--data", "digits", "--model", "squared", "--classes", "3"], "--classes goes with softmax alone"),
    ]:
        assert main(["minimize", "--run", str(tmp_path / "none"), *options]) == 2
        assert text in capsys.readouterr().err
    assert minimize(Objective(None, squared.problem("digits")), options={"maxiter": 2}).x.shape == (65,)
