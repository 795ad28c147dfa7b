"""The label file, and which image has which label."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tar_files import tar_of

from jobs.alexnet.labels import UNLABELLED, read_labels
from jobs.alexnet.tars import build_index
from jobs.errors import DataError
from jobs.storage import open_storage


def labels_of(storage, text):
    storage.write("train.txt", text if isinstance(text, bytes) else text.encode())
    return read_labels(storage, "train.txt")


def test_labels_by_name(storage):
    """Names count without folders; a path may have blanks, a line any white space, and may come twice."""
    text = "\ufeffn01/b.png 2\r\n\n  c d.png\t0 \na.png 10\nx/b.png 2\n é.png 1"
    labels = labels_of(storage, text)
    assert labels.names.tolist() == [b"a.png", b"b.png", b"c d.png", "é.png".encode()]
    assert labels.labels.tolist() == [10, 2, 0, 1]
    assert labels.classes == 11


def test_large_files_are_parsed_in_pieces(storage, monkeypatch):
    """Lines are whole, and numbered, wherever a piece ends."""
    lines = [f"n{number}/{number}.png {number % 7}" for number in range(500)]
    for piece in (1, 9, 100, 10**6):
        monkeypatch.setattr("jobs.alexnet.labels._PIECE", piece)
        for end in ("", "\n"):
            labels = labels_of(storage, "\n".join(lines) + end)
            assert dict(zip(labels.names.tolist(), labels.labels.tolist(), strict=True)) == {
                b"%d.png" % number: number % 7 for number in range(500)
            }
        for bad in (1, 250, 500):
            with pytest.raises(DataError, match=f"line {bad}: 'nonsense'"):
                labels_of(storage, "\n".join([*lines[: bad - 1], "nonsense", *lines[bad:]]))
        with pytest.raises(DataError, match=r"line 502: '7.png' has the label 3, but 0 in line 8"):
            labels_of(storage, "\n".join([*lines, "", "7.png 3"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it must have lines such as 'n01440764/n01440764_10026.JPEG 0'"),
        (" \n\n", "is empty"),
        ("a.png", "line 1: 'a.png' is not `path label`"),
        ("a.png 0\n\nb.png,1\n", "line 3: 'b.png,1' is not `path label`"),
        ("a.png 0\n5\n", "line 2: '5' is not"),
        ("0 a.png", "line 1: '0 a.png' is not"),
        ("a.png -1", "line 1: 'a.png -1' is not"),
        ("a.png 1.0", "line 1"),
        ("a.png 1000000", "and a label from 0 to 999,999"),
        (f"{'a' * 256} 1", "a name of at most 255 bytes"),
        ("folder/ 1", "line 1: 'folder/ 1' is not"),
        ("x" * 2000 + " 1", "line 1: 'xxx"),
        (b"\0\0 1", "line 1"),
        (b"\xff\xfea\0.\0p\0", "line 1"),
        ("<html> <body>", "line 1: '<html> <body>' is not"),
        ("a.png 1\nb.png 0\nn1/a.png 2\na.png 3", "line 3: 'a.png' has the label 2, but 1 in line 1; remove one"),
    ],
)
def test_bad_label_files(storage, text, message):
    """The line that is wrong is named and shown, in one line."""
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        labels_of(storage, text)
    assert f"label file {storage.url}/train.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_label_file(storage):
    """A label file that does not exist is named."""
    with pytest.raises(
        DataError, match=f"label file {storage.url}/train.txt does not exist; give label_file, or labels folder"
    ):
        read_labels(storage, "train.txt")


@pytest.fixture
def tars(tmp_path):
    """A storage with five images in two tars."""
    storage = open_storage(tmp_path)
    storage.write("1.tar", tar_of({f"n1/{name}.png": b"" for name in "eca"}))
    storage.write("2.tar", tar_of({f"{name}.png": b"" for name in "db"}))
    return storage


def test_label_of_each_image(tars):
    """Labels are by image number; the file may name other images."""
    labels = labels_of(tars, "".join(f"x/{name}.png {ord(name) - ord('a')}\n" for name in "0abcdef".lstrip("0")))
    index = build_index(tars)
    matched = labels.match(index)
    assert matched.dtype == np.int32
    assert matched.tolist() == [4, 2, 0, 3, 1]


def test_images_without_a_label(tars):
    """They are an error that counts them and names the first, or have none."""
    labels = labels_of(tars, "e.png 0\na.png 1\nb.png 1")
    index = build_index(tars)
    message = (
        f"2 images of 5 not in it, the first is {tars.url}/1.tar/n1/c.png; add them, or leave them out by skip_unl"
    )
    with pytest.raises(DataError, match=message):
        labels.match(index)
    assert labels.match(index, skip_unlabelled=True).tolist() == [0, UNLABELLED, 1, UNLABELLED, 1]
    other = labels_of(tars, "zz.png 0")
    with pytest.raises(
        DataError, match=r"none of 5 images is in it, such as .*e\.png; give the label file of these tars"
    ):
        other.match(index, skip_unlabelled=True)


def test_classes_without_images(tars):
    """They are an error that counts them and names the first."""
    labels_of(tars, "a.png 0\nb.png 1\nc.png 0").check_classes()
    gaps = labels_of(tars, "a.png 1\nb.png 9\nc.png 0\nx.png 10")
    with pytest.raises(DataError, match="7 of 11 classes have no image in it: 2, 3, 4, 5, 6, "):
        gaps.check_classes()
