"""What jobs ask of data: a spec, or an object of the user's that reads rows."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.datasets import Dataset, row_source
from jobs.datasets.rows import files_of, identity_of
from jobs.errors import InputError


class Rows:
    """The least that a user's object needs."""

    rows = 3

    def __init__(self, first: float = 1.0) -> None:
        self.x = np.array([[first], [2.0], [3.0]])

    def read(self, start, stop):
        return self.x[start:stop], np.zeros(stop - start, np.int64)


def test_a_spec_is_opened_and_an_object_taken_as_it_is():
    """The shipped digits by their name; an object comes back itself."""
    digits = row_source("digits")
    assert isinstance(digits, Dataset)
    assert identity_of(digits) == digits.fingerprint()
    assert len(files_of(digits)) == 2
    rows = Rows()
    assert row_source(rows) is rows
    assert files_of(rows) == []


def test_data_without_a_fingerprint_are_told_apart_by_their_first_row():
    """Equal first rows are one identity, another value is another."""
    assert identity_of(Rows()) == identity_of(Rows())
    assert identity_of(Rows()) != identity_of(Rows(4.0))


@pytest.mark.parametrize(
    ("data", "classes", "message"),
    [
        (object(), None, "data is object, which has no 'rows': give a dataset's spec, or an object with"),
        (Rows(), 3, "classes is 3, but only a data set that is opened here takes it"),
        ("digist", None, "did you mean"),
    ],
)
def test_what_cannot_be_read_from_is_refused(data, classes, message):
    """One line that says what is missing."""
    with pytest.raises(InputError, match=message):
        row_source(data, classes)
