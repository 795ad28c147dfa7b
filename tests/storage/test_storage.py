"""What every storage does, on a local folder and on S3; tests/test_storage_*.py tell of logs and of how they fail."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.errors import DataError, InputError
from jobs.storage import open_storage


def test_reads_what_was_written(storage):
    """A file is stored in folders made for it, and a second write replaces it."""
    storage.write("a/b/c", b"first")
    storage.write("a/b/c", b"second")
    storage.write("empty", b"")
    assert (storage.read("a/b/c"), storage.read("empty")) == (b"second", b"")
    assert (storage.size("a/b/c"), storage.size("empty")) == (6, 0)


def test_a_file_is_stored_piece_by_piece(storage, tmp_path):
    """Its bytes replace those of an earlier one; one of several parts in S3, an empty one."""
    path = tmp_path / "file"
    for data in (b"first", b"", os.urandom(20 * 2**20 + 1)):
        path.write_bytes(data)
        storage.write_file("a/file", path)
        assert storage.read("a/file") == data
        assert storage.list("a/") == ["a/file"]
    assert path.exists()


@pytest.mark.parametrize(
    "call",
    [
        lambda storage: storage.read("a/none"),
        lambda storage: storage.read_range("a/none", 3, 5),
        lambda storage: list(storage.stream("a/none")),
        lambda storage: storage.size("a/none"),
        lambda storage: storage.fingerprint("a/none"),
    ],
)
def test_missing_file(storage, call):
    """A name that does not exist raises FileNotFoundError with the full address."""
    storage.write("a/other", b"")
    with pytest.raises(FileNotFoundError, match=f"{storage.url}/a/none"):
        call(storage)


def test_ranges(storage):
    """A range is start..stop-1, shorter only at the end of the file."""
    storage.write("digits", b"0123456789")
    storage.write("empty", b"")
    assert storage.read_range("digits", 2, 5) == b"234"
    assert storage.read_range("digits", 8, 100) == b"89"
    assert storage.read_range("digits", 10, 12) == b""
    assert storage.read_range("digits", 100, 200) == b""
    assert storage.read_range("digits", 4, 4) == b""
    assert storage.read_range("empty", 0, 4) == b""


def test_ranges_of_a_file_that_must_not_change(storage):
    """They are complete, and of the file as it was; one of as many bytes, or a longer one, is another file."""
    storage.write("digits", b"0123456789")
    stamp = storage.stamp("digits")
    assert storage.read_unchanged("digits", stamp, 2, 5) == b"234"
    assert storage.read_unchanged("digits", stamp, 0, 10) == b"0123456789"
    assert storage.read_unchanged("digits", stamp, 4, 4) == b""
    for other in (b"012345678x", b"0123456789x"):
        storage.write("digits", other)
        with pytest.raises(DataError, match=f"{storage.url}/digits was written since it was first looked at"):
            storage.read_unchanged("digits", stamp, 2, 5)
    storage.delete("digits")
    with pytest.raises(FileNotFoundError, match=f"{storage.url}/digits"):
        storage.read_unchanged("digits", stamp, 2, 5)


@pytest.mark.parametrize(("start", "chunk"), [(0, 4), (0, 5), (3, 7), (10, 5), (0, 100)])
def test_stream(storage, start, chunk):
    """A stream yields all bytes from its start, a chunk at a time."""
    storage.write("digits", b"0123456789")
    pieces = list(storage.stream("digits", start, chunk))
    assert b"".join(pieces) == b"0123456789"[start:]
    assert all(len(piece) == chunk for piece in pieces[:-1])


@pytest.mark.parametrize("size", [0, 65_536, 100_000, 300_000])
def test_fingerprint(storage, size):
    """Equal content has equal fingerprints; another size, beginning or end has another."""
    content = bytes(size)
    storage.write("one", content)
    storage.write("two", content)
    assert storage.fingerprint("one") == storage.fingerprint("two")
    others = [content + b"\0"] + [b"x" + content[1:], content[:-1] + b"x"] * bool(size)
    for other in others:
        storage.write("two", other)
        assert storage.fingerprint("two") != storage.fingerprint("one")


def test_exists(storage):
    """Files exist, folders and missing names do not."""
    storage.write("a/b", b"")
    assert [storage.exists(name) for name in ("a/b", "a", "b", "a/b/c")] == [True, False, False, False]


def test_create_once(storage):
    """The second `create` of a name returns False and changes nothing."""
    assert storage.create("a/lock", b"first")
    assert not storage.create("a/lock", b"second")
    assert storage.read("a/lock") == b"first"
    assert storage.list() == ["a/lock"]


def test_create_race(storage):
    """Of many that create one name at the same time exactly one gets True, and its data are there."""
    starts = threading.Barrier(8)

    def create(number: int) -> bool:
        starts.wait()
        return storage.create("lock", b"%d" % number * 10_000)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert storage.read("lock") == b"%d" % won.index(True) * 10_000


def test_list(storage, monkeypatch):
    """All names that start with the prefix are listed, sorted, from however many pages, without unfinished files."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    names = ["a", "ab", "b/1", "b/2", "b/c/3", "b1", "z"]
    for name in reversed(names):
        storage.write(name, b"")
    storage.write("b/.tmp-0123", b"half a file")
    assert storage.list() == names
    assert storage.list("b/") == ["b/1", "b/2", "b/c/3"]
    assert storage.list("b") == ["b/1", "b/2", "b/c/3", "b1"]
    assert storage.list("b/c/") == ["b/c/3"]
    assert storage.list("b/none/") == storage.list("none") == []


def test_whole_bucket(s3):
    """A bucket without a prefix is a storage as well."""
    storage = open_storage(s3)
    storage.write("a/b", b"data")
    assert (storage.list(), storage.list("a/"), storage.read("a/b")) == (["a/b"], ["a/b"], b"data")


def test_list_of_nothing(storage):
    """A folder that does not exist yet has no files."""
    assert storage.list() == []


def test_delete(storage):
    """A deleted file is gone, and deleting it again is no error."""
    storage.write("a/b", b"")
    storage.delete("a/b")
    storage.delete("a/b")
    storage.delete("c/d")
    assert storage.list() == []


def test_pickle(storage):
    """A storage that was used can be pickled, and equal storages are equal."""
    storage.write("name", b"data")
    again = pickle.loads(pickle.dumps(storage))
    assert again == storage
    assert hash(again) == hash(storage)
    assert again.read("name") == b"data"


def test_check_writable(storage):
    """The check leaves nothing behind: no file, and no folder that was not there."""
    storage.check_writable()
    assert storage.list() == []
    assert storage.url.startswith("s3://") or not Path(storage.url).exists()
    storage.write("file", b"data")
    storage.check_writable()
    assert storage.list() == ["file"]
    assert storage.url.startswith("s3://") or [path.name for path in Path(storage.url).iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "''"),
        ("gs://bucket/run", "'gs://bucket/run'.*local path or s3://bucket/prefix"),
        ("s4://bucket", "did you mean 's3://'"),
        ("s3:/bucket/run", "did you mean 's3://'"),
        ("s3://", "no bucket"),
        ("s3:///run", "no bucket"),
    ],
)
def test_bad_url(url, message):
    """A URL of no known form is an InputError that names it and the forms."""
    with pytest.raises(InputError, match=message):
        open_storage(url)


def test_local_paths(tmp_path, monkeypatch):
    """A local path may be relative, have `~`, or end in a slash; its URL is absolute, so that workers find it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_storage("run").url == open_storage("~/run/").url == open_storage(tmp_path / "run").url
    assert Path(open_storage("run").url) == tmp_path / "run"


def test_import_is_cheap():
    """Opening an S3 storage imports no boto3 and asks no network: that waits for the first method."""
    code = "import sys, jobs.storage as s; s.open_storage('s3://b/p'); print('boto3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == b"False\n"


BAD_NAMES = ("", "/nowhere/file", "../other", "a/../../other", "a//b", "a/", ".", "a/./b", "..", "a\0b")
BY_NAME = {
    "read": lambda storage, name: storage.read(name),
    "read_range": lambda storage, name: storage.read_range(name, 0, 1),
    "read_unchanged": lambda storage, name: storage.read_unchanged(name, (1, ""), 0, 1),
    "stream": lambda storage, name: list(storage.stream(name)),
    "size": lambda storage, name: storage.size(name),
    "fingerprint": lambda storage, name: storage.fingerprint(name),
    "exists": lambda storage, name: storage.exists(name),
    "write": lambda storage, name: storage.write(name, b"data"),
    "create": lambda storage, name: storage.create(name, b"data"),
    "delete": lambda storage, name: storage.delete(name),
    "append_log": lambda storage, name: storage.append_log(name),
    "read_log": lambda storage, name: storage.read_log(name),
    "delete_log": lambda storage, name: storage.delete_log(name),
}


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("call", BY_NAME.values(), ids=BY_NAME)
def test_names_that_lead_out_of_the_folder(storage, call, name):
    """A name that is absolute, or has an empty part, `.`, `..` or NUL, is refused by all methods, which names it."""
    with pytest.raises(InputError, match=re.escape(f"{storage.url}: {name!r} is no name")):
        call(storage, name)
    assert storage.list() == []


@pytest.mark.parametrize("prefix", ["/", "/nowhere/", "../", "a/../", "a//", "./", "..\0"])
def test_prefixes_that_lead_out_of_the_folder(storage, prefix):
    """So is a prefix that no such name can start with."""
    with pytest.raises(InputError, match="is no name"):
        storage.list(prefix)


def test_names_that_look_alike_are_plain(storage):
    """Dots within a part, blanks and backslashes are parts of plain names."""
    names = ["..a", "...", "a..b/.c", "b c", "d\\..\\e"]
    for name in names:
        storage.write(name, name.encode())
    assert storage.list() == sorted(names)
    assert storage.list("..") == ["...", "..a"]
    assert [storage.read(name) for name in names] == [name.encode() for name in names]


def test_objects_that_have_no_plain_name(s3, s3_client):
    """Keys of a bucket that no file of a folder could have are not listed."""
    storage = open_storage(s3 + "/run")
    for key in ("run/a", "run//b", "run/../c", "run/d/"):
        s3_client.put_object(Bucket=s3.removeprefix("s3://"), Key=key, Body=b"")
    assert storage.list() == ["a"]
