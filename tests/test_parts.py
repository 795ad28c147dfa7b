"""What an objective that goes by value is made of: each change that can change its values changes its digest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from jobs.parts import Parts

RUNNER = """
import json, os, runpy, sys
import jobs.tune.trials.code
found = {}
for folder in sys.argv[1:]:
    if os.fork() == 0:
        sys.path.insert(0, folder)
        runpy.run_path(folder + "/script.py", run_name="__main__")
        sys.stdout.flush()
        os._exit(0)
    assert os.wait()[1] == 0, folder
"""
END = """
if __name__ == "__main__":
    from jobs.tune.trials.code import sources_of
    import json
    print(json.dumps([__file__, sources_of(train)]))
"""
TRAIN = "def train(p): return K * p['x']\n"
CLASS = "class C:\n  def __init__(s, k): s.k = k\n  def m(s): return {}\nK = C({})\n"
WRAPS = (
    "import functools\nS = {}\ndef d(f):\n  @functools.wraps(f)\n  def w(p): return f(p) * S * {}\n  return w\n"
    "@d\ndef train(p): return {}\n"
)
CHANGES = {
    "integer": ("K = 1\n", "K = 2\n"),
    "boolean": ("K = True\n", "K = 1\n"),
    "list": ("K = [1]\n", "K = [2]\n"),
    "list or tuple": ("K = [1]\n", "K = (1,)\n"),
    "dict": ("K = {'a': 1}\n", "K = {'a': 2}\n"),
    "order of a dict": ("K = {'a': 1, 'b': 2}\n", "K = {'b': 2, 'a': 1}\n"),
    "nested tuple": ("K = ((1,),)\n", "K = ((2,),)\n"),
    "deep list": ("K = [[{'a': (1, [2])}]]\n", "K = [[{'a': (1, [3])}]]\n"),
    "set": ("K = {1, 'a'}\n", "K = {1, 'b'}\n"),
    "frozenset": ("K = frozenset([(1, 'a')])\n", "K = frozenset([(1, 'b')])\n"),
    "array": ("import numpy as np\nK = np.array([1.0])\n", "import numpy as np\nK = np.array([2.0])\n"),
    "number of NumPy": ("import numpy as np\nK = np.float32(1)\n", "import numpy as np\nK = np.float64(1)\n"),
    "path": ("import pathlib\nK = pathlib.Path('a')\n", "import pathlib\nK = pathlib.Path('b')\n"),
    "deque": ("from collections import deque\nK = deque([1])\n", "from collections import deque\nK = deque([2])\n"),
    "instance": (CLASS.format(1, 1), CLASS.format(1, 2)),
    "class of an instance": (CLASS.format(1, 1), CLASS.format(2, 1)),
    "base class": tuple(f"class B:\n  def m(s): return {k}\nclass K(B): pass\n" for k in (1, 2)),
    "metaclass": tuple(f"class M(type):\n  def m(s): return {k}\nclass K(metaclass=M): pass\n" for k in (1, 2)),
    "value of a class": tuple(f"R = [{k}]\nclass K:\n  r = R\n" for k in (1, 2)),
    "property": tuple(f"h = {k}\nclass K:\n  @property\n  def m(s): return h\n" for k in (1, 2)),
    "static method": tuple(f"def h(): return {k}\nclass K:\n  @staticmethod\n  def m(): return h()\n" for k in (1, 2)),
    "class method": tuple(f"def h(): return {k}\nclass K:\n  @classmethod\n  def m(c): return h()\n" for k in (1, 2)),
    "cached property": tuple(
        f"import functools\ndef h(): return {k}\nclass K:\n  @functools.cached_property\n  def m(s): return h()\n"
        for k in (1, 2)
    ),
    "bound method": tuple(CLASS.format(k, 1) + "K = K.m\n" for k in (1, 2)),
    "data class": tuple(
        f"from dataclasses import dataclass\n@dataclass\nclass D:\n  a: int = 0\nK = D({k})\n" for k in (1, 2)
    ),
    "enumeration": tuple(f"import enum\nclass E(enum.Enum):\n  A = {k}\nK = E.A\n" for k in (1, 2)),
    "cached function": tuple(f"import functools\n@functools.lru_cache\ndef K(): return {k}\n" for k in (1, 2)),
    "under a cached function": tuple(
        f"import functools\ndef g(): return {k}\n@functools.lru_cache\ndef K(): return g()\n" for k in (1, 2)
    ),
    "list of functions": tuple(f"def a(): return {k}\nK = [a]\n" for k in (1, 2)),
    "dict of lambdas": tuple(f"K = {{'a': lambda: {k}}}\n" for k in (1, 2)),
    "one of a line's lambdas": tuple(f"L = [lambda: 1, lambda: 2]\nK = L[{k}]\n" for k in (0, 1)),
    "function's attribute": tuple(f"def K(): return K.a\nK.a = {k}\n" for k in (1, 2)),
    "each other": tuple(f"def K(n): return g(n - 1) if n else 0\ndef g(n): return K(n) + {k}\n" for k in (1, 2)),
    "list in itself": tuple(f"K = [{k}]\nK.append(K)\n" for k in (1, 2)),
    "module": ("import h\nK = h.f\n", "import g as h\nK = h.f\n"),
}
WHOLE = {
    "decorator": (WRAPS.format(1, 1, 1), WRAPS.format(1, 2, 1)),
    "what a decorator uses": (WRAPS.format(1, 1, 1), WRAPS.format(2, 1, 1)),
    "what is decorated": (WRAPS.format(1, 1, 1), WRAPS.format(1, 1, 2)),
    "closure over a list": tuple(
        f"def make(k):\n  def train(p): return k\n  return train\ntrain = make([{k}])\n" for k in (1, 2)
    ),
    "default": tuple(f"D = [{k}]\ndef train(p, *, k=D): return k\n" for k in (1, 2)),
    "import within": tuple(f"def train(p):\n  import {m}\n  return {m}.f()\n" for m in ("h", "g")),
}
UNCHANGED = {
    "what is not used": ("Z = 1\nK = 1\n", "Z = 2\nK = 1\n"),
    "empty lines": ("K = [{'a', 'b'}]\n", "\n\n\nK = [{'a', 'b'}]\n"),
    "objects without a value": ("K = [object, object(), open]\n", "K = [object, object(), open]\n"),
}
BESIDE = {
    "constant": "from beside import K\n",
    "list": "from beside import K\n",
    "object of a library": "from beside import P as K\n",
    "all": "from beside import *\n",
    "function": "from beside import f as K\n",
}


def _digests(folder: Path, texts: dict[str, str], seed: str = "0") -> dict[str, dict[str, str]]:
    """Run each text as a script in a process of its own; return its objective's digests, by the texts' names."""
    folders = {name: folder / str(number) for number, name in enumerate(texts)}
    for name, text in texts.items():
        folders[name].mkdir(exist_ok=True)
        (folders[name] / "script.py").write_text(text + END)
        for module in ("h", "g"):
            (folders[name] / f"{module}.py").write_text("def f():\n  return 1\n")
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", RUNNER, *map(str, folders.values())]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = dict(json.loads(line) for line in ended.stdout.splitlines())
    return {name: found[f"{place}/script.py"] for name, place in folders.items()}


def test_each_change_is_another_code(tmp_path: Path) -> None:
    """Whatever a script's objective holds or calls counts, in the same way in each process; what it does not, not."""
    texts = {}
    for pairs, end in ((CHANGES, TRAIN), (WHOLE, ""), (UNCHANGED, TRAIN)):
        for name, (before, after) in pairs.items():
            texts |= {f"{name}, before": before + end, f"{name}, after": after + end}
    found = _digests(tmp_path, texts)
    assert found == _digests(tmp_path, texts, seed="1")
    same = {name for pairs in (CHANGES, WHOLE, UNCHANGED) for name in pairs}
    same = {name for name in same if found[f"{name}, before"] == found[f"{name}, after"]}
    assert same == set(UNCHANGED)


@pytest.mark.parametrize("line", BESIDE.values(), ids=BESIDE)
def test_modules_that_values_come_from(line: str, tmp_path: Path) -> None:
    """A module of the user's counts where the objective uses a name that a script's line takes from it."""
    text = "import itertools\nfrom deeper import Z\nK = [Z]\nP = itertools.count()\ndef f(): return Z\n"
    found = []
    for number in (1, 2):
        (tmp_path / "0").mkdir(exist_ok=True)
        (tmp_path / "0/beside.py").write_text(text)
        (tmp_path / "0/deeper.py").write_text(f"Z = {number}\n")
        (tmp_path / "0/apart.py").write_text(f"A = {number}\n")
        found += _digests(tmp_path, {"": f"import apart\n{line}{TRAIN}"}).values()
    assert {"source of beside.py", "source of deeper.py"} <= set(found[0])
    assert "source of apart.py" not in found[0]
    assert found[0] != found[1]


def test_an_import_within_counts_with_what_it_imports(tmp_path: Path) -> None:
    """A module that a function imports when it is called need not be imported yet."""
    text = textwrap.dedent("""
        def train(p):
            from later import f
            return f()
    """)
    (tmp_path / "0").mkdir()
    (tmp_path / "0/later.py").write_text("from h import f\n")
    assert list(_digests(tmp_path, {"": text})[""]) == [
        "source of __main__:train",
        "source of h.py",
        "source of later.py",
    ]


class _Raises:
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError


def test_whatever_an_object_does(tmp_path: Path) -> None:
    """What refuses to be looked at counts by its class, and a very deep or large object is told in bounded time."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert Parts().describe(_Raises()) == Parts().describe(_Raises())
    assert Parts().describe(deep) == Parts().describe([deep])
    large = [deque([number]) for number in range(150_000)]
    assert Parts().describe(large) != Parts().describe(large[:-1])
    assert Parts().describe(list(range(1_000_000))) != Parts().describe(list(range(999_999)))
