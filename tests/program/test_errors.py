"""How the texts of errors name arguments: by Python's names for who calls, as options for who types a command."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from jobs import connect
from jobs.cli import main
from jobs.errors import InputError, UserCodeError, argument, command_line, print_error
from jobs.minimize import Objective, minimize, softmax
from jobs.minimize.job import run
from jobs.minimize.options import Options
from jobs.tune import Study, space


def _error() -> InputError:
    return InputError(f"{argument('max_iterations')} is 0; choose another {argument('run')} than --here", "details")


def test_an_argument_is_spelled_for_its_reader() -> None:
    """The same error names max_iterations to a caller and --max-iterations on the command line, and nothing else."""
    assert str(_error()) == "max_iterations is 0; choose another run than --here"
    with command_line():
        assert str(_error()) == "--max-iterations is 0; choose another --run than --here"
    assert f"{_error()}" == "max_iterations is 0; choose another run than --here"
    assert _error().command_line_text == "--max-iterations is 0; choose another --run than --here"


def test_an_error_that_travels_is_spelled_where_it_is_read() -> None:
    """An error comes from a worker, or inside another error, as it was raised."""
    received = pickle.loads(pickle.dumps(_error()))
    assert (str(received), received.details) == (str(_error()), "details")
    assert received.command_line_text == _error().command_line_text
    wrapped = InputError(f"worker tcp://x: {_error().text}")
    assert str(wrapped) == "worker tcp://x: max_iterations is 0; choose another run than --here"
    assert wrapped.command_line_text == f"worker tcp://x: {_error().command_line_text}"


def test_the_spelling_ends_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that fails leaves Python's spelling behind; a printed error is spelled as options anywhere."""
    assert main(["minimize", "--max-iterations", "0"]) == 2
    assert "--max-iterations is '0'" in capsys.readouterr().err
    assert str(_error()).startswith("max_iterations")
    assert print_error(_error()) == 2
    assert capsys.readouterr().err.startswith("dask-jobs: error: --max-iterations is 0; choose another --run")


def test_what_python_users_read(tmp_path: Path) -> None:
    """`connect`, `Objective`, `minimize` and `Study` name the arguments that they take."""
    with pytest.raises(InputError, match=r"^scheduler is 'udp:/x', but must be an address"), connect("udp:/x"):
        pass
    with Objective(None, softmax.problem()) as objective:
        with pytest.raises(InputError, match=r"^l1 is -1, but must be a finite number"):
            minimize(objective, l1=-1)
        with pytest.raises(InputError, match=r"^method is 'LBFGS'; did you mean 'L-BFGS-B'\?"):
            minimize(objective, method="LBFGS")
        with pytest.raises(InputError, match=r"^bounds: pair 0 is \[1.0, 0.0\]"):
            minimize(objective, bounds=(1, 0))
    for options, text in (
        ({"trials": 0}, "^trials is 0, but must be greater than 0"),
        ({"sampler": "grid", "sampler_options": {"points": 1}}, "^sampler_options points is 1"),
        ({"pruner_options": {"eta": 3}}, "^pruner asha does not take these pruner_options"),
        ({"fixed": {"x": 1}}, "^fixed x is in the space too"),
    ):
        with pytest.raises(InputError, match=text):
            Study(None, len, {"x": space.uniform(0, 1)}, run=tmp_path / "run", **options)


def test_a_run_folder_keeps_the_spelling_of_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """status.json holds the line that the command printed, or that Python raised."""
    (tmp_path / "is_nan.py").write_text("from faulty import Bad\ndef problem():\n    return Bad(how='nan')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    options = {"problem": "is_nan:problem", "workers": 0}
    assert main(["minimize", "--problem=is_nan:problem", "--workers=0", f"--run={tmp_path / 'a'}"]) == 1
    with pytest.raises(UserCodeError, match="; on_nan inf lets"):
        run(Options(**options, run=str(tmp_path / "b")))
    for folder, text in (("a", "; --on-nan inf lets"), ("b", "; on_nan inf lets")):
        assert text in json.loads((tmp_path / folder / "status.json").read_bytes())["error"]
