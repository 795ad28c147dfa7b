"""Tars that cannot be used: each is an error of its own, in one line."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest
from tar_files import noise, tar_of

from jobs.alexnet.tars import build_index, check_names
from jobs.errors import DataError, InputError
from jobs.storage import open_storage


@pytest.fixture
def folder(tmp_path):
    return open_storage(tmp_path / "data")


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.png", b"x" * 2000)
    return file.getvalue()


def header(name="a.png", size=0, kind=tarfile.REGTYPE, form=tarfile.GNU_FORMAT):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(form)


def damaged_header() -> bytes:
    data = bytearray(tar_of({"a.png": b"1", "b.png": b"2"}))
    data[1024 + 5] ^= 1
    return bytes(data)


def sparse() -> bytes:
    pax = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1", "GNU.sparse.size": "1"}
    return tar_of({"a.png": b"x"}, pax_headers=pax)


END = bytes(1024)
GOOD = tar_of({"a.png": noise(5000, 1), "b.png": noise(5000, 2)})
BAD = {
    "empty": (b"", "is empty"),
    "nothing in it": (bytes(10240), "has no members"),
    "zip": (zipped(), "is no tar, but a zip file"),
    "html": (b"<!DOCTYPE html><html>" + b" " * 1000, "is no tar, but HTML"),
    "short xml": (b"\n<Error/>", "is no tar, but HTML"),
    "gzip": (gzip.compress(GOOD), r"is no tar, but compressed by gzip; name it \.tar\.gz"),
    "text": (b"hello " * 1000, "is no tar: it begins with b'hello"),
    "short text": (b"hello", "is no tar: it begins with b'hello'"),
    "cut in a body": (GOOD[:3000], "cut short: 'a.png' ends at byte 5,512"),
    "cut in a header": (GOOD[:6000], "cut short: it ends at byte 5,632 without a tar's end"),
    "cut between members": (GOOD[:5632], "cut short: it ends at byte 5,632"),
    "without its end": (GOOD[:11264], "cut short: it ends at byte 11,264"),
    "damaged header": (damaged_header(), "damaged: no header at byte 1,024"),
    "dots": (tar_of({"../../a.png": b"x"}), "'../../a.png' is no name of a member"),
    "inner dots": (tar_of({"b/../a.png": b"x"}), "'b/../a.png' is no name of a member"),
    "absolute": (tar_of({"/etc/a.png": b"x"}), "'/etc/a.png' is no name of a member"),
    "long name": (tar_of({"d/" * 600 + "a.png": b"x"}), "is no name of a member; it must .* at most 1,024 letters"),
    "huge": (header(size=2**40) + END, "cut short: 'a.png' ends at byte 1,099,511,628,288"),
    "negative": (header(size=-512) + END, "damaged: no header at byte "),
    "negative long name": (header("x", -512, tarfile.GNUTYPE_LONGNAME) + END, "damaged: no header at byte 0 "),
    "huge long name": (header("x", 2**40, tarfile.GNUTYPE_LONGNAME) + END, "damaged: no header at byte 0 "),
    "huge pax": (header("x", 2**30, tarfile.XHDTYPE) + END, "damaged: no header at byte 0 "),
    "large pax": (tar_of({"a.png": b"x"}, pax_headers={"comment": "x" * 2**15}), "a header of 33,280 bytes"),
    "headers of headers": (header("x", 0, tarfile.XHDTYPE) * 3000 + END, "damaged: no header at byte 0 "),
    "pax of another size": (tar_of({"a.png": b"x" * 600}, pax_headers={"size": "-5"}), "damaged: no header at byte"),
    "sparse": (sparse(), "'a.png' is a sparse file"),
    "hard link": (
        tar_of({"b.png": b""}, type=tarfile.LNKTYPE, linkname="a.png"),
        "'b.png' is a hard link to 'a.png'; pack the tar again, by --hard-dereference",
    ),
    "joined by cat": (GOOD + GOOD, "goes on after its end at byte 11,264, as tars that were joined by cat do"),
    "tar.gz in a tar": (tar_of({"b.tar.gz": b"x"}), "'b.tar.gz' is a compressed tar within a tar"),
    "broken inner tar": (tar_of({"b.tar": GOOD[:3000]}), "a.tar/b.tar: cut short: 'a.png' ends"),
    "zip in a tar": (tar_of({"b.tar": zipped()}), "a.tar/b.tar is no tar, but a zip"),
    "too deep": (
        tar_of({"1.tar": tar_of({"2.tar": tar_of({"3.tar": tar_of({"4.tar": b""})})})}),
        "'1.tar/2.tar/3.tar'",
    ),
    "too deep, in upper case": (
        tar_of({"1.TAR": tar_of({"2.TAR": tar_of({"3.TAR": tar_of({"4.TAR": b""})})})}),
        "'1.TAR/2.TAR/3.TAR'",
    ),
    "no image": (tar_of({"a.txt": b"x"}), "no images in 1 tar, but files such as 'a.tar/a.txt'"),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD)
def test_bad_tars(folder, data, message):
    """Each is an error of its own, in one line, that names the tar."""
    folder.write("a.tar", data)
    with pytest.raises(DataError, match=message) as caught:
        build_index(folder)
    assert folder.url in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1000], lambda data: data[:-4] + b"1234", lambda data: b"x" + data]
)
def test_bad_compressed_tars(folder, damage):
    """A compressed tar that is cut short or damaged anywhere is noticed when it is indexed."""
    folder.write("a.tgz", damage(gzip.compress(GOOD)))
    with pytest.raises(DataError, match=r"a\.tgz: not a complete \.gz file"):
        build_index(folder)


def test_an_image_that_is_too_large(folder, monkeypatch):
    """A member that no memory should be asked for is refused by name."""
    monkeypatch.setattr("jobs.alexnet.tars.scanning._MAX_IMAGE", 2**20)
    folder.write("a.tar", tar_of({"a.png": bytes(2**20 + 1)}))
    with pytest.raises(DataError, match=r"a\.tar: 'a\.png' is 1 MiB, but an image has at most 1 MiB"):
        build_index(folder)


def test_two_images_of_one_name(folder):
    """Labels are found by the name without folders: two images of one are refused, and both named."""
    folder.write("a.tar", tar_of({"x/a.png": b"", "x/b.png": b""}))
    folder.write("b.tar", tar_of({"c.png": b"", "y/b.png": b""}))
    index = build_index(folder)
    with pytest.raises(DataError, match=f"one name.*: {folder.url}/a.tar/x/b.png and {folder.url}/b.tar/y/b.png"):
        check_names(index)


def test_no_tars(storage):
    """Nothing there, or nothing that is a tar, is told apart; so is a bucket from a folder."""
    argument = "s3_bucket and key_prefix" if storage.url.startswith("s3://") else "data"
    with pytest.raises(InputError, match=f"{storage.url}/n01: nothing that is named .tar, .*; check {argument}"):
        build_index(storage, "n01")
    storage.write("n01/notes.txt", b"")
    message = r"n01: 1 file, such as 'n01/notes.txt', but none that is named .tar"
    with pytest.raises(InputError, match=message) as caught:
        build_index(storage, "n01")
    assert ("tar -cf" in str(caught.value)) == (argument == "data")
    storage.write("n01/a.tar", tar_of({"a.png": b""}))
    storage.write("n01/b.TAR.bz2", b"")
    with pytest.raises(InputError, match=r"n01/b.TAR.bz2: of compressed tars only .tar.gz, .tgz are read; decompress"):
        build_index(storage, "n01")
