"""Softmax regression on a table, from the command line to predictions: columns, categories and classes by name."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from table_files import ACTIVE, FEATURES, NAMES, PLAN, ROWS, TABLE, Y, parquet, write
from table_files import csv as csv_file

from jobs.cli import main
from jobs.datasets import open_dataset
from jobs.datasets.tables.pieces import PIECES
from jobs.minimize import softmax
from jobs.minimize.job import run
from jobs.minimize.options import Options
from jobs.storage import open_storage

MAIN = "import sys; from jobs.cli import main; sys.exit(main())"
L2 = 0.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the table in several files, and runs/churn fitted to it by two workers."""
    folder = tmp_path_factory.mktemp("tables")
    files = {
        "churn/a.parquet": parquet(TABLE.slice(0, 300), row_group_size=70),
        "churn/b.parquet": parquet(TABLE.slice(300)),
    }
    write(open_storage(folder), {**files, "new.csv": csv_file(TABLE.slice(0, 50)), "all.csv": csv_file()})
    command = [
        "minimize",
        "--data",
        f"parquet:{folder}/churn",
        "--label",
        "churned",
        "--features",
        "age,visits,plan,active",
    ]
    more = ["--l2", str(L2), "--workers", "2", "--run", f"{folder}/run"]
    done = subprocess.run([sys.executable, "-c", MAIN, *command, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "summary").write_text(done.stdout)
    return folder


def _options(folder: Path, **more) -> Options:
    given = {
        "data": f"parquet:{folder}/churn",
        "label": "churned",
        "features": FEATURES,
        "l2": L2,
        "workers": 0,
        **more,
    }
    return Options(**given)


def _table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_the_bits_are_those_of_one_process_and_of_arrays(folder, tmp_path):
    """Whatever the row groups, the files and the workers: the optimum is that of the same rows as arrays."""
    run(_options(folder, run=str(tmp_path / "here")))
    theta = np.load(folder / "run/x.npy")
    assert (theta == np.load(tmp_path / "here/x.npy")).all()
    x, y = open_dataset(f"csv:{folder}/all.csv", label="churned", features=FEATURES).read(0, ROWS)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    run(Options(data=f"npz:{tmp_path}/rows.npz", l2=L2, workers=0, run=str(tmp_path / "arrays")))
    assert (theta == np.load(tmp_path / "arrays/x.npy")).all()


def test_names(folder):
    """Parameters have the names of classes, columns and categories, in the result and in softmax.npz."""
    names = json.loads((folder / "run/result.json").read_bytes())["names"]
    assert names == [f"weight[{c}, {f}]" for c in ("no", "yes") for f in NAMES] + ["bias[no]", "bias[yes]"]
    with np.load(folder / "run/softmax.npz") as saved:
        assert (saved["names"].tolist(), saved["class_names"].tolist()) == (NAMES, ["no", "yes"])
    assert "accuracy" in (folder / "summary").read_text()


def test_predictions(folder, capsys):
    """New rows, of another form, are mapped by the run's table; classes have their names."""
    assert main(["predict", f"{folder}/run", "--data", f"{folder}/new.csv"]) == 0
    said = capsys.readouterr()
    header, *rows = _table(said.out)
    assert header == ["row", "predicted", "no", "yes", "label"]
    problem, theta = (
        softmax.problem(open_dataset(f"{folder}/all.csv", label="churned", features=FEATURES)),
        np.load(folder / "run/x.npy"),
    )
    expected = problem.predict(theta, problem.data.read(0, 50)[0])
    np.testing.assert_array_equal([[float(cell) for cell in row[2:4]] for row in rows], expected)
    assert [row[1] for row in rows] == [("no", "yes")[number] for number in expected.argmax(axis=1)]
    assert [row[4] for row in rows] == TABLE["churned"].to_pylist()[:50]
    right = int((expected.argmax(axis=1) == Y[:50]).sum())
    assert said.err == f"dask-jobs: accuracy {right / 50:.2%}: {right} of 50 rows are predicted right\n"


def test_rows_of_few_values(folder, tmp_path, capsys):
    """The categories of new rows are not all there, in another order, and without a label: the model's count."""
    kept = np.flatnonzero((PLAN == "pro") & ~ACTIVE)[:3]
    (tmp_path / "new.parquet").write_bytes(parquet(TABLE.take(kept).select(["plan", "active", "age", "visits"])))
    assert main(["predict", f"{folder}/run", "--data", f"parquet:{tmp_path}/new.parquet"]) == 0
    header, *rows = _table(capsys.readouterr().out)
    assert header == ["row", "predicted", "no", "yes"]
    main(["predict", f"{folder}/run", "--data", f"{folder}/all.csv"])
    everyone = _table(capsys.readouterr().out)
    assert [row[1:] for row in rows] == [everyone[1 + index][1:4] for index in kept]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "age,visits,plan,active\n1,2,gold,true\n",
            "column 'plan' has 'gold' in row 0, which is none of the values that",
        ),
        ("age,visits,plan\n1,2,pro\n", "features has 'active', but there is no such column"),
        ("age,visits,plan,active\n1,,pro,true\n", "in column 'visits' 1 value is missing, the first in row 0"),
        ("age,visits,plan,active,churned\n1,2,pro,true,perhaps\n", "column 'churned' has 'perhaps' in row 0"),
    ],
)
def test_rows_that_do_not_fit(folder, tmp_path, capsys, content, message):
    """One line, and no half of a table of predictions."""
    (tmp_path / "new.csv").write_text(content)
    assert main(["predict", f"{folder}/run", "--data", f"{tmp_path}/new.csv", "--output", f"{tmp_path}/out.csv"]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"features": [], "label": null}', b'{"features": 3, "label": {}}']
)
def test_a_damaged_mapping(folder, tmp_path, capsys, content):
    """A run whose mapping was damaged predicts nothing by guess."""
    for name in ("options.yaml", "result.json", "status.json", "x.npy"):
        (tmp_path / name).write_bytes((folder / "run" / name).read_bytes())
    (tmp_path / "columns.json").write_bytes(content)
    assert main(["predict", str(tmp_path), "--data", f"{folder}/new.csv"]) == 2
    assert f"{tmp_path}/columns.json is damaged (" in capsys.readouterr().err


def test_the_run_knows_its_columns(folder, capsys):
    """The same command shows the result; other columns, or other data under the path, are another run."""
    command = [
        "minimize",
        "--data",
        f"parquet:{folder}/churn",
        "--l2",
        str(L2),
        "--workers",
        "0",
        "--run",
        f"{folder}/run",
    ]
    assert main([*command, "--label", "churned", "--features", "age,visits,plan,active"]) == 0
    capsys.readouterr()
    assert main([*command, "--label", "churned", "--features", "age,visits,plan"]) == 2
    assert (
        "features was ['age', 'visits', 'plan', 'active'], and is now ['age', 'visits', 'plan']"
        in capsys.readouterr().err
    )
    assert main([*command, "--label", "plan", "--features", "age,visits,active"]) == 2
    assert "and is now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--label", "y"], "--label is 'y', but the columns of 'digits' have no names: leave it out; those of"),
        (
            ["--problem", "my:p", "--label", "y"],
            "--label y and --problem my:p exclude each other: it loads its own data",
        ),
        (
            ["--data", "{}/all.csv"],
            "--label is missing: name the column that is to be predicted, one of 'age', 'visits'",
        ),
        (
            ["--data", "{}/all.csv", "--label", "churnd"],
            "--label has 'churnd', but there is no such column; did you mean",
        ),
        (
            ["--data", "{}/all.csv", "--label", "churned", "--features", "[]"],
            "--features is empty: name one column or more",
        ),
    ],
)
def test_wrong_lines(folder, tmp_path, capsys, arguments, text):
    """Options that make no sense are one line, by the names that a command line has."""
    command = [
        "minimize",
        *(word.format(folder) for word in arguments),
        "--workers",
        "0",
        "--run",
        str(tmp_path / "run"),
    ]
    assert main(command) == 2
    assert text in capsys.readouterr().err


def test_data_that_change_meanwhile(tmp_path, capsys):
    """A file that is written anew while a run reads it ends the run: its result would be of both."""
    write(open_storage(tmp_path), {"t.csv": csv_file()})
    problem = softmax.problem(open_dataset(f"{tmp_path}/t.csv", label="churned", features=FEATURES))
    write(open_storage(tmp_path), {"t.csv": csv_file(TABLE.slice(0, 999))})
    PIECES.clear()
    with pytest.raises(Exception, match="was written since it was first looked at; bring the old file back"):
        problem.load(0, 10)
    capsys.readouterr()


def test_a_command_checks_it(folder, capsys):
    """`dask-jobs check` takes the same data."""
    assert main(["check", "--data", f"csv:{folder}/all.csv", "--label", "churned", "--features", "age,plan"]) == 0
    assert "is good" in capsys.readouterr().out
