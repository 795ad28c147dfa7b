"""The command line's grammar, option by option: what is read from which words, what is refused; help; completion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.errors import InputError
from jobs.minimize.options import Options as Minimize
from jobs.options import parse
from jobs.pods.scheduler import Options as Scheduler
from jobs.pods.worker import Options as Worker
from jobs.tune.options import Options as Tune

PROGRAMS: dict[str, tuple[type[Any], str]] = {
    "minimize": (Minimize, "dask-jobs minimize"),
    "tune": (Tune, "dask-jobs tune"),
    "worker": (Worker, "python -m jobs.pods.worker"),
    "scheduler": (Scheduler, "python -m jobs.pods.scheduler"),
}
HINT = " (a value that starts with '-' is given as --option=-1)"
ROLES = "(choose from 'driver', 'scheduler', 'workers')"
PAIRS = "must be given as name=value, or as several of them: name=value,name=value"


def _parsed(program: str, *words: str) -> dict[str, Any]:
    """Return the options that the words give, without those that are defaults."""
    return dict(parse(*PROGRAMS[program], words).model_dump(exclude_unset=True))


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], {}),
        (["--l2", "1", "--l2=2"], {"l2": 2.0}),
        (["--method", "BFGS", "--max-iterations=7"], {"method": "BFGS", "max_iterations": 7}),
        (["--x0", "-1"], {"x0": "-1"}),
        (["--x0", "-.5"], {"x0": "-.5"}),
        (["--x0", "-"], {"x0": "-"}),
        (["--x0", "-a b"], {"x0": "-a b"}),
        (["--x0=-x"], {"x0": "-x"}),
        (["--x0=--l1"], {"x0": "--l1"}),
        (["--x0=a=b"], {"x0": "a=b"}),
        (["--x0="], {"x0": ""}),
        (["--x0", "None"], {"x0": None}),
        (["--x0", "null"], {"x0": "null"}),
        (["--run=\udcff"], {"run": "\udcff"}),
        (["--options", "a=1,b=1e-12"], {"options": {"a": 1, "b": 1e-12}}),
        (["--options", "a=1", "--options", "b=2"], {"options": {"a": 1, "b": 2}}),
        (["--options", "a=1,a=2"], {"options": {"a": 2}}),
        (["--options", "a=1,,b=2,"], {"options": {"a": 1, "b": 2}}),
        (["--options", " a=1, b=2"], {"options": {"a": 1, "b": 2}}),
        (["--options", "a="], {"options": {"a": None}}),
        (["--options", ""], {"options": {}}),
        (["--options", "a=true"], {"options": {"a": True}}),
        (["--options", '{"a": 1, "b": [1, 2]}'], {"options": {"a": 1, "b": [1, 2]}}),
        (["--options", '{"a": {"b": 1}},c=2'], {"options": {"a": {"b": 1}, "c": 2}}),
        (["--options", "[a=1,b=2]"], {"options": {"a": 1, "b": 2}}),
        (["--options", "-a=1"], None),
        (["--options=-a=1"], {"options": {"-a": 1}}),
        (["--bounds", "0,1"], {"bounds": [0.0, 1.0]}),
        (["--bounds", "[0,1]"], {"bounds": [0.0, 1.0]}),
        (["--bounds", "0 , 1"], {"bounds": [0.0, 1.0]}),
        (["--bounds=-1,1"], {"bounds": [-1.0, 1.0]}),
        (["--bounds", "-1,1"], None),
        (["--bounds", "0", "--bounds=1"], {"bounds": [0.0, 1.0]}),
        (["--bounds", "[[0,1],[0,null]]"], {"bounds": [(0.0, 1.0), (0.0, None)]}),
        (["--bounds", "null,1"], {"bounds": [None, 1.0]}),
        (["--bounds", "None,1"], {"bounds": [None, 1.0]}),
        (["--bounds", '"0","1"'], {"bounds": [0.0, 1.0]}),
        (["--bounds", "[]"], {"bounds": []}),
        (["--bounds=.5,inf"], {"bounds": [0.5, float("inf")]}),
    ],
)
def test_what_minimize_reads(words: list[str], given: dict[str, Any] | None) -> None:
    """Values are read from the next word or after '='; what looks like an option is no value."""
    if given is None:
        with pytest.raises(InputError, match="expected one argument"):
            _parsed("minimize", *words)
    else:
        assert _parsed("minimize", *words) == given


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--metric", "a,b", "--direction=maximize,minimize"], {"metric": ["a", "b"]}),
        (["--metric", "a", "--metric", "b", "--direction=maximize,minimize"], {"metric": ["a", "b"]}),
        (["--metric", '"a,b"'], {"metric": ["a,b"]}),
        (["--metric", "1e3"], {"metric": ["1e3"]}),
        (["--metric", "a\\n"], {"metric": ["a\\n"]}),
        (["--metric", "'a'"], {"metric": ["'a'"]}),
        (["--metric", "a=b"], {"metric": ["a=b"]}),
        (["--metric", "[]"], {"metric": []}),
        (["--direction", "minimize"], {"direction": ["minimize"]}),
        (["--fixed", "a=1", "--fixed", "data=idx:/d/m"], {"fixed": {"a": 1, "data": "idx:/d/m"}}),
        (["--fixed", "a=b=c"], {"fixed": {"a": "b=c"}}),
        (["--fixed", 'a="x,y",b=2'], {"fixed": {"a": "x,y", "b": 2}}),
        (["--fixed", 'a="1"'], {"fixed": {"a": 1}}),
        (["--fixed", "a=None"], {"fixed": {"a": "None"}}),
        (["--fixed", "a=null"], {"fixed": {"a": None}}),
        (["--fixed", "a=*.csv"], {"fixed": {"a": "*.csv"}}),
        (["--fixed", "a={x: 1}"], {"fixed": {"a": {"x": 1}}}),
        (["--fixed", 'a=\\"x'], {"fixed": {"a": '\\"x'}}),
        (["--space", "a.yaml"], {"space": "a.yaml"}),
        (["--space", "a,b.yaml"], {"space": "a,b.yaml"}),
        (["--space", '{"x": {"uniform": [0, 1]}}'], {"space": {"x": {"uniform": [0, 1]}}}),
        (["--space", "x=1"], {"space": {"x": "1"}}),
        (["--target", "-1.5"], {"target": -1.5}),
        (["--target=-1e-4"], {"target": -1e-4}),
        (["--isolate"], {"isolate": True}),
        (["--isolate", "--no-isolate"], {"isolate": False}),
        (["--no-accept-new-code"], {"accept_new_code": False}),
    ],
)
def test_what_tune_reads(words: list[str], given: dict[str, Any]) -> None:
    """Lists and mappings come from commas, from JSON, and from options given several times; flags have a no."""
    assert _parsed("tune", *words).items() >= given.items()


@pytest.mark.parametrize(
    ("program", "words", "message"),
    [
        ("minimize", ["--help", "--bad"], "--bad: there is no such option (dask-jobs minimize --help lists them)"),
        ("tune", ["--he"], "--he: there is no such option (dask-jobs tune --help lists them)"),
        ("minimize", ["--"], "--: there is no such option (dask-jobs minimize --help lists them)"),
        (
            "minimize",
            ["--tolx=1"],
            "--tolx: there is no such option; did you mean '--tol'? (dask-jobs minimize --help lists them)",
        ),
        ("minimize", ["--l2", "--l1", "1"], f"argument --l2: expected one argument{HINT}"),
        ("minimize", ["--l2"], f"argument --l2: expected one argument{HINT}"),
        ("minimize", ["--l2", "-1e-4"], f"argument --l2: expected one argument{HINT}"),
        ("minimize", ["--l2", "-1.5"], "--l2 is '-1.5', but must be greater than or equal to 0"),
        ("minimize", ["--l2", ""], "--l2 is '', but must be a valid number, unable to parse string as a number"),
        ("minimize", ["--l2", "None"], "--l2 is None, but must be a valid number"),
        ("minimize", ["a", "--method", "BFGS", "-r", "b"], f"unrecognized arguments: a -r b{HINT}"),
        ("minimize", ["--help=1"], f"argument -h/--help: ignored explicit argument '1'{HINT}"),
        ("minimize", ["--options", "a"], f"--options {PAIRS}"),
        ("minimize", ["--options", '"a=1"'], f"--options {PAIRS}"),
        ("minimize", ["--options", 'a="'], f"--options {PAIRS}"),
        ("minimize", ["--options", '{"a": 1'], f"--options {PAIRS}"),
        ("minimize", ["--options", "a=x"], "--options a is 'x', but must be a number"),
        ("minimize", ["--bounds", "[0,1"], f"--bounds {PAIRS}"),
        ("minimize", ["--bounds", '{"a": 1},1'], "--bounds is {'a': 1}, but must be a valid number; "),
        ("tune", ["--metric", 'a"b'], f"--metric {PAIRS}"),
        ("tune", ["--metric=a,,b"], "--metric and --constraints must be names, and one of them is empty; remove it"),
        ("tune", ["--metric="], "--metric and --constraints must be names, and one of them is empty; remove it"),
        ("tune", ["--metric=true"], "--metric is True, but must be a valid string"),
        ("tune", ["--isolate=1"], f"argument --isolate/--no-isolate: ignored explicit argument '1'{HINT}"),
        ("tune", ["--isolate", "true"], f"unrecognized arguments: true{HINT}"),
        (
            "tune",
            ["--no-isolat"],
            "--no-isolat: there is no such option; did you mean '--isolate'? (dask-jobs tune --help lists them)",
        ),
        (
            "tune",
            ["--fixed", "day=2026-01-02"],
            "--fixed day is datetime.date(2026, 1, 2), but must be a number, a text, true, false or null",
        ),
        ("worker", [], "--scheduler is missing"),
        ("worker", ["--port=-1"], "--scheduler is missing; --port is '-1', but must be greater than or equal to 0"),
        ("worker", ["stray"], f"unrecognized arguments: stray{HINT}"),
        (
            "worker",
            ["--config", "x"],
            "--config: there is no such option (python -m jobs.pods.worker --help lists them)",
        ),
        ("scheduler", ["--port"], f"argument --port: expected one argument{HINT}"),
        (
            "scheduler",
            ["--dashboard-port", "x"],
            "--dashboard-port is 'x', but must be a valid integer, unable to parse string as an integer",
        ),
    ],
)
def test_what_is_refused(program: str, words: list[str], message: str) -> None:
    """Each wrong word is one line, which says what is right."""
    with pytest.raises(InputError) as told:
        _parsed(program, *words)
    text = told.value.command_line_text
    assert text.startswith(message) if message.endswith("; ") else text == message


def test_the_options_of_a_worker() -> None:
    """The processes of a release read all their options in both spellings."""
    words = ["--id", "a/b/c", "--scheduler=x", "--name", "n", "--gpus", "1", "--lost-timeout", "1e3", "--grace", ".5"]
    assert _parsed("worker", *words) == {
        "id": "a/b/c",
        "scheduler": "x",
        "name": "n",
        "gpus": 1,
        "lost_timeout": 1000.0,
        "grace": 0.5,
    }


CONFIG = "isolate: true\nmetric: [a, b]\ndirection: [maximize, minimize]\nfixed: {a: 1}\ntrials: 7\n"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--trials", "8"], {"trials": 8, "fixed": {"a": 1}}),
        (["--fixed", "b=1"], {"fixed": {"b": 1}, "trials": 7}),
        (["--metric", "c,d"], {"metric": ["c", "d"], "isolate": True}),
        (["--no-isolate"], {"isolate": False, "metric": ["a", "b"]}),
    ],
)
def test_the_command_line_goes_before_the_file(words: list[str], given: dict[str, Any], tmp_path: Path) -> None:
    """A whole option of the file is replaced by that of the command line, wherever --config stands; also a flag."""
    (tmp_path / "job.yaml").write_text(CONFIG)
    config = f"--config={tmp_path / 'job.yaml'}"
    assert _parsed("tune", config, *words).items() >= given.items()
    assert _parsed("tune", *words, config).items() >= given.items()
