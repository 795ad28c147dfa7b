"""Code of the user's travels as a name or as bytes, and is named by the argument that it came from."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import threading
from typing import Any

import pytest

from jobs.errors import ClusterError, InputError, JobError, UserCodeError
from jobs.usercode import UserCode, call, only_exceptions, refused

_loaded: list[str] = []


class Noisy:
    """An object of the user's that runs code when it is unpickled."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Leave a trace."""
        _loaded.append("here")
        self.__dict__.update(state)

    def __getstate__(self) -> dict[str, Any]:
        """Hold something, so that it is set again."""
        return {"value": 7}


FORKS = """
import os, sys
from jobs.usercode import call, only_exceptions, refused
def forks():
    child = os.fork()
    if child == 0 and sys.argv[1] == "raises":
        raise ValueError("in the child")
    return child
def loaded():
    with refused("a module", ""):
        child = forks()
    return child
for called in (lambda: call("it", forks), lambda: only_exceptions(forks), loaded):
    child = called()
    sys.stdout.write(f"{os.waitpid(child, 0)[1]}\\n")
    sys.stdout.flush()
"""


@pytest.mark.parametrize("how", ["returns", "raises"])
def test_a_forked_child_does_not_leave_the_users_code(how: str) -> None:
    """It would go on as a second driver or worker: it ends with code 0 where the user's code ends, whatever its end."""
    done = subprocess.run([sys.executable, "-c", FORKS, how], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n0\n0\n", "")


class Zero(ClusterError):
    """A user's error of our kind, whose exit code would be that of a success."""

    exit_code = 0


class Leaves(UserCodeError):
    """One that ends the program when its exit code is asked for."""

    @property
    def exit_code(self) -> int:
        """End the program."""
        sys.exit(0)


@pytest.mark.parametrize("kind", [Zero, Leaves])
@pytest.mark.parametrize("how", ["call", "refused", "only_exceptions"])
def test_errors_of_ours_that_users_derive_from_have_our_exit_codes(kind: Any, how: str) -> None:
    """The driver's exit code is the truth, whatever class the user's code raises."""

    def fails() -> None:
        raise kind("no rows", "the details")

    def is_refused() -> None:
        with refused("it", ""):
            fails()

    calls = {
        "call": lambda: call("it", fails),
        "refused": is_refused,
        "only_exceptions": lambda: only_exceptions(fails),
    }
    with pytest.raises(JobError) as caught:
        calls[how]()
    assert type(caught.value) in (ClusterError, UserCodeError, InputError)
    assert caught.value.exit_code in (1, 2, 3)
    assert "no rows" in str(caught.value)


def test_an_object_is_unpickled_where_it_is_loaded() -> None:
    """Receiving it, as on a worker's event loop, runs none of the user's code; loading it does, once."""
    _loaded.clear()
    code = pickle.loads(pickle.dumps(UserCode("loss", Noisy(), "my_model:loss")))
    assert _loaded == []
    assert code.load().value == 7
    assert code.load() is code.load()
    assert _loaded == ["here"]
    assert pickle.loads(pickle.dumps(code)).load().value == 7


def test_a_name_is_imported_where_it_is_loaded() -> None:
    """It never travels as bytes, and leads to its module and to what it names."""
    code = pickle.loads(pickle.dumps(UserCode("loss", "math:sqrt", "my_model:loss")))
    assert code.load() is math.sqrt
    assert code.roots() == (math, math.sqrt)
    assert code.name == code.spec == "math:sqrt"


def test_a_name_that_its_module_has_not() -> None:
    """The module was found, so the error says what it has not, with its nearest name."""
    with pytest.raises(InputError) as error:
        UserCode("loss", "math:sqtr", "my_model:loss").load()
    assert str(error.value) == "loss math:sqtr: module 'math' has no 'sqtr'; did you mean 'sqrt'?"


def test_frozen_code_stays_as_it_was() -> None:
    """What is pickled once travels as it was then, whatever happens to the object later."""
    data = [1]
    code = UserCode("loss", data, "my_model:loss")
    assert pickle.loads(pickle.dumps(code)).load() == [1]
    code.freeze()
    data.append(2)
    assert code.load() == [1, 2]
    assert pickle.loads(pickle.dumps(code)).load() == [1]


def test_errors_name_the_argument() -> None:
    """What is wrong is refused in one line that begins with the argument."""
    rule = r"loss is 'loss', but must be 'module:function' or 'file.py:function', such as 'my_model:loss'"
    with pytest.raises(InputError, match=rule):
        UserCode("loss", "loss", "my_model:loss").load()
    with pytest.raises(InputError, match=r"loss nowhere:loss: cannot import it \(ModuleNotFoundError: "):
        UserCode("loss", "nowhere:loss", "my_model:loss").load()
    with pytest.raises(InputError, match=r"loss _thread:lock cannot be pickled \(TypeError: .*\): make what it uses"):
        UserCode("loss", threading.Lock(), "my_model:loss").freeze()
