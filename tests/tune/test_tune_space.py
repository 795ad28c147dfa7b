"""Search spaces: what dimensions give, what YAML means, and what is refused, with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.errors import InputError
from jobs.tune import space

DIMENSIONS = {
    "uniform": space.uniform(-1, 2),
    "log": space.log(1e-6, 10),
    "integer": space.integer(-2, 3),
    "scaled": space.integer(1, 1000, log=True),
    "choice": space.choice(["a", 2, None, True]),
    "stepped": space.uniform(0.1, 0.7, step=0.2),
    "multiples": space.integer(32, 256, step=32),
    "layers": space.choice([[64], [64, 32]]),
}
TEXT = """\
learning_rate: {log: [1e-6, 10]}
batch_size: {integer: [30, 100]}
units:
  integer: [1, 512]
  log: true
dropout: {uniform: [0, 1]}
layers: {choice: [1, 2, three, null]}
decay: {loguniform: [1e-5, 1]}
momentum: {uniform: [0, 1], step: 5e-2}
width: {integer: [32, 256], step: 32}
hidden: {choice: [[64], [64, 32]]}
"""


@pytest.mark.parametrize("name", DIMENSIONS)
def test_a_dimension_draws_what_optuna_allows(name: str) -> None:
    """Each draw, and each point of a grid, is within the dimension's own Optuna distribution."""
    dimension = DIMENSIONS[name]
    distribution = dimension.distribution()
    random = np.random.default_rng(0)
    for value in [*(dimension.draw(random) for _ in range(500)), *dimension.grid(4)]:
        assert distribution._contains(distribution.to_internal_repr(value))


def test_draws_reach_all_integers_and_choices() -> None:
    """Both ends of an integer range, and each choice, are drawn."""
    random = np.random.default_rng(0)
    assert {DIMENSIONS["integer"].draw(random) for _ in range(200)} == {-2, -1, 0, 1, 2, 3}
    assert {repr(DIMENSIONS["choice"].draw(random)) for _ in range(100)} == {"'a'", "2", "None", "True"}


def test_a_logarithm_draws_each_decade_equally() -> None:
    """A seventh of the draws from 1e-6 to 10 lies in each of its seven decades."""
    random = np.random.default_rng(0)
    decades = np.floor(np.log10([DIMENSIONS["log"].draw(random) for _ in range(7000)])).astype(int)
    assert np.abs(np.bincount(decades + 6) / 1000 - 1).max() < 0.15


def test_a_draw_depends_on_seed_and_number_alone() -> None:
    """Trial 7 is the same whenever it is drawn, and differs from others and from other seeds'."""
    first = space.draw(DIMENSIONS, 3, 7)
    space.draw(DIMENSIONS, 3, 8)
    assert space.draw(DIMENSIONS, 3, 7) == first
    assert len({str(space.draw(DIMENSIONS, seed, number)) for seed in (3, 4) for number in (7, 8)}) == 4
    turned = dict(reversed(DIMENSIONS.items()))
    assert space.draw(turned, 3, 7) == first
    assert list(space.draw(turned, 3, 7)) == list(turned)


def test_a_grid_has_its_ends_and_all_choices() -> None:
    """A grid goes from low to high in the dimension's scale, without repeating integers."""
    assert space.log(1e-2, 1e2).grid(3) == pytest.approx([1e-2, 1, 1e2])
    assert space.integer(1, 3).grid(5) == [1, 2, 3]
    assert space.integer(0, 10).grid(3) == [0, 5, 10]
    assert space.choice([1, 2, 3]).grid(2) == [1, 2, 3]


def test_steps() -> None:
    """A dimension with a step has all its steps, both ends among them, and its grid is of them."""
    random = np.random.default_rng(0)
    assert {DIMENSIONS["stepped"].draw(random) for _ in range(200)} == {0.1, 0.3, 0.5, 0.7}
    assert {DIMENSIONS["multiples"].draw(random) for _ in range(200)} == set(range(32, 257, 32))
    assert DIMENSIONS["stepped"].grid(9) == [0.1, 0.3, 0.5, 0.7]
    assert DIMENSIONS["multiples"].grid(3) == [32, 160, 256]


def test_yaml_means_what_python_says(tmp_path: Path) -> None:
    """A file gives the dimensions of the same names, in its order; 1e-6 is a number though YAML has it for a text."""
    (tmp_path / "space.yaml").write_text(TEXT)
    loaded = space.load(str(tmp_path / "space.yaml"))
    assert list(loaded.items()) == [
        ("learning_rate", space.log(1e-6, 10)),
        ("batch_size", space.integer(30, 100)),
        ("units", space.integer(1, 512, log=True)),
        ("dropout", space.uniform(0, 1)),
        ("layers", space.choice([1, 2, "three", None])),
        ("decay", space.log(1e-5, 1)),
        ("momentum", space.uniform(0, 1, step=0.05)),
        ("width", space.integer(32, 256, step=32)),
        ("hidden", space.choice([(64,), (64, 32)])),
    ]
    assert space.parse(space.plain(loaded)) == loaded


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x: {gauss: [0, 1]}", "line 1: 'x': 'gauss' is no kind (kinds: uniform, log, integer, choice)"),
        ("x: {unifrom: [0, 1]}", "line 1: 'x': 'unifrom' is no kind; did you mean 'uniform'?"),
        ("a: {uniform: [0, 1]}\nx: {uniform: [1, 1]}", "line 2: 'x': uniform(1, 1): the range is empty"),
        ("x: {choice: []}", "line 1: 'x': choice([]): the range is empty"),
        ("x: {integer: [9, 3]}", "line 1: 'x': integer(9, 3): low is greater than high"),
        ("x: {log: [0, 1]}", "line 1: 'x': log(0, 1): low must be > 0"),
        ("x: {log: [-1, 1]}", "line 1: 'x': log(-1, 1): low must be > 0"),
        ("x: {integer: [0, 8], log: true}", "line 1: 'x': integer(0, 8, log): low must be >= 1"),
        ("x: {uniform: [0, 1]}\n\nx: {uniform: [0, 2]}", "line 3: 'x' is given a second time"),
        ("x: {uniform: [0, 1], uniform: [0, 2]}", "line 1: 'x' has the same key twice"),
        ("x: {uniform: [0, 1], log: [1, 2]}", "line 1: 'x' has the kinds uniform and log; give one"),
        ("x: {uniform: [1, 2], log: true}", "line 1: 'x': log: true goes with integer only; write {log: [low, high]}"),
        ("[a]: {uniform: [0, 1]}", "line 1: a name must be a text, and no list or mapping"),
        ("{a: 1}: {uniform: [0, 1]}", "line 1: a name must be a text, and no list or mapping"),
        ("x: {[a]: [0, 1]}", "line 1: 'x': a kind must be one of uniform, log, integer, choice, and no list"),
        ("x: {uniform: [0, 1]}\0", "no YAML (unacceptable character"),
        ("x: {choice: [2026-13-01]}", "no YAML (month must be in 1..12"),
        ("x: {integer: [0, 9223372036854775808]}", "line 1: 'x': integer(0, 9223372036854775808): both must be in -2*"),
        (f"x: {{uniform: [0, 1{'0' * 400}]}}", "must be a finite number"),
        ("x: {uniform: [-1.7e+308, 1.7e+308]}", "uniform(-1.7e+308, 1.7e+308): high - low is not finite"),
        ("'': {uniform: [0, 1]}", "line 1: the name '' must be a text"),
        ("3: {uniform: [0, 1]}", "line 1: the name 3 must be a text"),
        ("x: {uniform: 3}", "line 1: 'x': uniform is 3, but must be a list"),
        ("x: {uniform: [0, 1, 2]}", "line 1: 'x': uniform is [0, 1, 2], but must be [low, high]"),
        ("x: {uniform: [low, 1]}", "line 1: 'x': uniform('low', 1): 'low' must be a finite number"),
        ("x: {integer: [0.5, 3]}", "line 1: 'x': integer(0.5, 3): 0.5 must be an integer"),
        ("x: {uniform: [0, .inf]}", "line 1: 'x': uniform(0, inf): inf must be a finite number"),
        ("x: {choice: [1, 1]}", "line 1: 'x': choice: 1 is given twice"),
        ("x: {choice: [a, 1, true]}", "line 1: 'x': choice: 1 and True are equal, so nothing tells them apart"),
        ("x: {choice: [0, 0.0]}", "line 1: 'x': choice: 0 and 0.0 are equal"),
        ("x: {choice: [1, .nan]}", "line 1: 'x': choice: nan must be finite, since the journal is JSON"),
        ("x: {choice: [[1], [{a: 2}]]}", "line 1: 'x': choice: {'a': 2} must be a number, a text, a boolean, None or"),
        ("x: {choice: [[1], [1]]}", "line 1: 'x': choice: [1] is given twice"),
        ("x: {loguniform: [0, 1]}", "line 1: 'x': log(0, 1): low must be > 0"),
        ("x: {log: [1, 2], step: 1}", "line 1: 'x': a step goes with uniform or integer only; remove it"),
        (
            "x: {uniform: [0, 1], step: 0.3}",
            "'x': uniform(0, 1, step=0.3): high must be low and a multiple of the step; write 0.9",
        ),
        ("x: {uniform: [0, 1], step: 2}", "'x': uniform(0, 1, step=2): the step is larger than high - low"),
        ("x: {uniform: [0, 1], step: 0}", "'x': uniform(0, 1, step=0): the step must be a finite number > 0"),
        ("x: {integer: [0, 8], step: 0.5}", "'x': integer(0, 8, step=0.5): the step must be an integer > 0"),
        ("x: {integer: [1, 9], log: true, step: 2}", "'x': integer(1, 9, log): a step does not go with a logarithm"),
        ("x:", "line 1: 'x' is None, but must be {kind: [...]}"),
        ("x: 3", "line 1: 'x' is 3, but must be {kind: [...]}"),
        ("- x", "holds no entries"),
        ("", "holds no entries"),
        ("x: {", "no YAML"),
    ],
)
def test_what_a_file_must_not_hold(text: str, told: str, tmp_path: Path) -> None:
    """A wrong entry is told in one line, with the file, its line and its name."""
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(InputError, match=r"^space .*space\.yaml") as caught:
        space.load(str(tmp_path / "space.yaml"))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The path and the reason are told."""
    with pytest.raises(InputError, match=r"^space .*nowhere: No such file or directory"):
        space.load(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="^space a\0b: embedded null byte"):
        space.load("a\0b")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([1], "space is list, but must be a mapping"),
        ({}, "space is empty"),
        ({"": space.uniform(0, 1)}, "space: '' must be a name"),
        ({"x": 3}, "space: x is 3, but must be one of uniform, log, integer, choice"),
        ({"x": {"gauss": [0, 1]}}, "space: 'x': 'gauss' is no kind"),
    ],
)
def test_what_a_space_in_python_must_not_be(given: object, told: str) -> None:
    """A space in Python is a mapping of names to dimensions."""
    with pytest.raises(InputError, match=told):
        space.check(given)


def test_a_space_in_python_may_be_as_in_yaml() -> None:
    """Dimensions and entries as YAML has them go together."""
    given = {"x": {"integer": [1, 9], "log": True}, "y": space.log(1, 2)}
    assert space.check(given) == {"x": space.integer(1, 9, log=True), "y": space.log(1, 2)}


def test_numpys_values_are_pythons() -> None:
    """A choice from an array can be written as YAML and JSON."""
    assert repr(space.choice(np.linspace(0, 1, 3)).values) == "(0.0, 0.5, 1.0)"


def test_the_largest_integers() -> None:
    """The whole range that is allowed can be drawn from, put on a grid and given to Optuna."""
    dimension = space.integer(-(2**53), 2**53)
    distribution = dimension.distribution()
    for value in [dimension.draw(np.random.default_rng(0)), *dimension.grid(3)]:
        assert distribution.to_external_repr(distribution.to_internal_repr(value)) == value
    assert dimension.grid(3) == [-(2**53), 0, 2**53]
