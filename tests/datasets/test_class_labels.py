"""Labels of any kind as classes."""

import numpy as np
import pandas as pd
import pytest

from jobs.datasets.labels import classes_of, codes, encode, plain
from jobs.errors import DataError

KINDS = [
    (["no", "yes", "no"], [0, 1, 0], ("no", "yes")),
    (np.array([-1.0, 1.0, -1.0]), [0, 1, 0], ("-1", "1")),
    (np.array([0.5, 2.0]), [0, 1], ("0.5", "2")),
    ([True, False], [1, 0], ("False", "True")),
    (np.array([7, 3, 7], np.uint8), [1, 0, 1], ("3", "7")),
    (pd.Series(["b", "a"], dtype="category"), [1, 0], ("a", "b")),
    (np.array([b"b", b"a"]), [1, 0], ("a", "b")),
    (np.array([2, 1.5], dtype=object), [1, 0], ("1.5", "2")),
]


@pytest.mark.parametrize(("labels", "classes", "names"), KINDS)
def test_classes_are_the_distinct_values_in_ascending_order(labels, classes, names):
    """Texts, booleans, integers and floats become 0, 1, ... by value, and keep their names."""
    found, called = encode(labels)
    assert found.dtype == np.int64
    assert found.tolist() == classes
    assert called == names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1.0, float("nan")], r"y: row 1 has no label \(nan\)"),
        (["a", None], r"y: row 1 has no label \(None\)"),
        (pd.Series(["a", pd.NA], dtype="string"), r"y: row 1 has no label \(<NA>\)"),
        (np.array(["a", 1], dtype=object), r"y has labels of several kinds \(number, text\)"),
        (np.array(["2020-01-01"], "datetime64[D]"), "labels must be texts, booleans or numbers"),
        (np.zeros((2, 2)), r"y has shape \(2, 2\), but labels must be \(rows,\)"),
    ],
)
def test_labels_that_are_none_are_refused(labels, message):
    """A missing label, several kinds in one column and other types are one line that names the row or the type."""
    with pytest.raises(DataError, match=message):
        encode(labels)


def test_parts_have_the_classes_of_all():
    """Labels that are read in parts have the codes that they would have as one array."""
    parts = [plain(["b", "c"]), plain(["a"])]
    classes = classes_of(parts)
    assert [codes(part, classes).tolist() for part in parts] == [[1, 2], [0]]
    with pytest.raises(DataError, match="y: row 5 is 'd', which is none of the known classes"):
        codes(plain(["d"]), classes, first=5)
