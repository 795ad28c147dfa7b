"""Durations, sizes, counts and errors as people read them."""

from __future__ import annotations

import pytest

from jobs import formatting


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (48, "48 s"), (59.7, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (273600, "3 d 4 h")],
)
def test_duration(seconds: float, text: str) -> None:
    """Durations are given in the two units that matter."""
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0 s"), (0.0123, "0.0123 s"), (48.26, "48.3 s"), (60, "1 min"), (90.4, "1 min 30 s")]
)
def test_a_short_duration_has_its_digits(seconds: float, text: str) -> None:
    """Below a minute three digits are shown where they are asked for; above there are none to show."""
    assert formatting.duration(seconds, digits=3) == text


def test_clock() -> None:
    """A live display shows hours, minutes and seconds at all times, so that its width does not jump."""
    assert [formatting.clock(seconds) for seconds in (0.4, 83, 7505)] == ["0:00:00", "0:01:23", "2:05:05"]
    assert formatting.clock(1e300) == formatting.clock(1e12)


def test_bytes() -> None:
    """What is moved is counted in powers of ten, memory in powers of two, as Kubernetes has it."""
    moved = [formatting.decimal_bytes(count) for count in (0, 99_949, 1e5, 2.5e9)]
    assert moved == ["0.0 kB", "99.9 kB", "0.1 MB", "2,500.0 MB"]
    held = [formatting.binary_bytes(count) for count in (2**19, 2**30 - 2**20, 3 * 2**29)]
    assert held == ["0.5 MiB", "1023 MiB", "1.5 GiB"]


def test_counts_and_numbers() -> None:
    """One is singular, none is plural; a float is rounded, and all else is as it is."""
    assert [formatting.plural(count, "worker") for count in (0, 1, 1234)] == ["0 workers", "1 worker", "1,234 workers"]
    assert [formatting.short(value, 4) for value in (0.0123456789, 64, None, True)] == ["0.01235", "64", "None", "True"]
    assert formatting.short("a\nb\x1b[31m\u2028é", 4) == r"a\nb\x1b[31m\u2028é"
    assert formatting.number(1 / 3) == "0.333333"


def test_values_in_errors() -> None:
    """A value is as Python writes it, a long one short; one that Python cannot write is named by its type."""
    assert [formatting.given(value) for value in (True, "a\n", [1.5])] == ["True", "'a\\n'", "[1.5]"]
    assert formatting.given(10**400) == "1" + "0" * 79 + "..." + "0" * 20
    assert formatting.given(10**5000) == "a value of type int"


class Broken(ValueError):
    """An error of the user's whose text cannot be had."""

    def __str__(self) -> str:
        """Leave the process, as a library's error might."""
        raise SystemExit(3)


def test_errors_on_one_line() -> None:
    """An error's type comes first, and its text on one line; one that raises when it is asked has no text."""
    error = ValueError("first\n  second ")
    assert formatting.error_line(error) == "ValueError: first second"
    assert formatting.error_first_line(error) == "ValueError: first"
    assert formatting.one_line(error) == "first second"
    assert (formatting.error_line(Broken()), formatting.error_first_line(Broken())) == ("Broken:", "Broken")
