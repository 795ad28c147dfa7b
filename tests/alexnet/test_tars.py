"""The index of tars: where each image lies, and what is wrong with a tar that cannot be used."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import tarfile
import zipfile
from functools import partial

import numpy as np
import pytest
from tar_files import images, noise, tar_of

from jobs.alexnet.tars import Partition, build_index, load_index, save_index, scan
from jobs.errors import DataError, InputError
from jobs.storage import open_storage
from jobs.storage.s3_client import s3_client


@pytest.fixture
def folder(tmp_path):
    return open_storage(tmp_path / "data")


def content(storage, index, number):
    """Return what the index says an image is, read without the package's reader."""
    tar = int(np.searchsorted(index.starts, number, "right")) - 1
    data = storage.read(index.tars[tar].name)
    data = gzip.decompress(data) if index.tars[tar].is_gzip else data
    return data[index.offsets[number] : index.offsets[number] + index.sizes[number]]


def as_dict(storage, index):
    return {index.name(number): content(storage, index, number) for number in range(len(index))}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_where_images_lie(storage, form):
    """Each image's name, offset and size, in tars of all formats, by key; in folders of tars, with `./`."""
    files = {f"./n01/{name}": data for name, data in images(7).items()}
    storage.write("b/2.tar", tar_of(files, form=form))
    storage.write("b/1.tar", tar_of(images(5, 10), form=form))
    storage.write("c/3.tar", tar_of(images(5, 20), form=form))
    storage.write("b/notes.txt", b"")
    index = build_index(storage, "b/")
    assert [tar.name for tar in index.tars] == ["b/1.tar", "b/2.tar"]
    assert index.starts.tolist() == [0, 5, 12]
    assert as_dict(storage, index) == {**images(5, 10), **{name[2:]: data for name, data in files.items()}}
    assert index.address(6) == f"{storage.url}/b/2.tar/n01/n0001_1.JPEG"


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(folder, form):
    """Names longer than a header has room for, with letters of any script, or with bytes of no encoding."""
    files = {f"{'d' * 90}/{'e' * 90}/{name}": ascii(name).encode() for name in ("é漢字.png", "\udcff.png", "x y.JPG")}
    folder.write("a.tar", tar_of(files, form=form))
    assert as_dict(folder, build_index(folder)) == files


def test_sizes_in_pax_headers(folder):
    """A size that a header has no room for stands in one of its own; the members behind it are found."""
    data = tar_of({"a.png": b"x" * 700, "b.png": b"y"}, pax_headers={"size": "700"})
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        header = tar.getmember("a.png").offset_data - 512
    blank = bytearray(data)
    info = tarfile.TarInfo("a.png")
    blank[header : header + 512] = info.tobuf()  # size 0
    second = io.BytesIO()
    with tarfile.open(fileobj=second, mode="w") as tar:
        info = tarfile.TarInfo("b.png")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"y"))
    folder.write("a.tar", bytes(blank[: header + 512 + 1024]) + second.getvalue())
    assert as_dict(folder, build_index(folder)) == {"a.png": b"x" * 700, "b.png": b"y"}


def test_tars_within_tars(storage):
    """Images of tars within a tar are indexed in place, those of a compressed one too, in the order of bytes."""
    inner = {f"n{number}.tar": tar_of(images(3, 10 * number)) for number in range(3)}
    deep = tar_of({"n9.tar": tar_of(images(2, 90))})
    outer = {"x.png": b"first", **inner, "y.png": b"between", "deep.tar": deep}
    storage.write("a.tar", tar_of(outer))
    storage.write("z/b.tgz", tar_of({f"z{name}": data for name, data in outer.items()}, "w:gz"))
    expected = {"x.png": b"first", "y.png": b"between"}
    for number in range(3):
        expected |= {f"n{number}.tar/{name}": data for name, data in images(3, 10 * number).items()}
    expected |= {f"deep.tar/n9.tar/{name}": data for name, data in images(2, 90).items()}
    index = build_index(storage, "a")
    assert as_dict(storage, index) == expected
    assert (np.diff(index.offsets) > 0).all()
    compressed = build_index(storage, "z/")
    assert [content(storage, compressed, number) for number in range(len(compressed))] == [
        content(storage, index, number) for number in range(len(index))
    ]


def test_what_is_no_image_is_counted(folder):
    """Members of other kinds are left out by name and counted; folders and links are none."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, kind in (("n01", tarfile.DIRTYPE), ("l.png", tarfile.SYMTYPE), ("h.png", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        for name in ("p.png", "tty.png"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.FIFOTYPE if name == "p.png" else tarfile.CHRTYPE
            tar.addfile(info)
        for name in ("0.cls", "0.JPEG", "._0.JPEG", "readme"):
            tar.addfile(tarfile.TarInfo(name))
    folder.write("a.tar", file.getvalue())
    index = build_index(folder)
    assert as_dict(folder, index) == {"0.JPEG": b""}
    assert (index.others, index.example) == (3, "a.tar/0.cls")


@pytest.fixture
def many(folder):
    """A storage with tars of many kinds, their images in the order of the index."""
    folder.write("a.tar", tar_of(images(30)))
    folder.write("b.tar", tar_of({f"n{part}.tar": tar_of(images(7, 30 + 7 * part)) for part in range(3)}))
    folder.write("c.tar.gz", tar_of(images(25, 60), "w:gz"))
    return folder


def test_equal_for_any_number_of_workers(many):
    """The order in which scans end does not show: not in the numbers, and not in the digest."""

    def shuffled(spans):
        done = [scan(many, span) for span in spans]
        random.Random(len(spans)).shuffle(done)
        return done

    one, other = build_index(many), build_index(many, run=shuffled)
    assert one.names == other.names
    assert one.offsets.tolist() == other.offsets.tolist()
    assert one.digest == other.digest
    many.write("a.tar", tar_of(images(30, size=2999)))
    assert build_index(many).digest != one.digest


def test_stored_in_the_run_folder(storage, many):
    """What was stored is read again; before that there is none; a damaged one is refused by name."""
    assert load_index(storage) is None
    index = build_index(many)
    save_index(storage, index)
    again = load_index(storage)
    assert again is not None
    assert (again.digest, again.tars, again.url) == (index.digest, index.tars, index.url)
    assert as_dict(many, again) == as_dict(many, pickle.loads(pickle.dumps(index)))
    stored = storage.read("index.npz")
    for damaged in (b"", stored[:100], stored[: len(stored) // 2], stored[:200] + bytes(50) + stored[250:], b"[]"):
        storage.write("index.npz", damaged)
        with pytest.raises(InputError, match=r"index\.npz is damaged .*; remove it"):
            load_index(storage)


def test_partitions(many):
    """Runs of at most so many images, each of one tar, as even as can be; together all images once."""
    index = build_index(many)
    assert index.partitions(1024) == [Partition(0, 0, 30), Partition(1, 30, 51), Partition(2, 51, 76)]
    assert index.partitions(20) == [
        Partition(0, 0, 15),
        Partition(0, 15, 30),
        Partition(1, 30, 40),
        Partition(1, 40, 51),
        Partition(2, 51, 63),
        Partition(2, 63, 76),
    ]


def test_members_by_number(many):
    """Images of any numbers are given tar by tar, each once, in ascending order."""
    index = build_index(many)
    found = index.members([70, 3, 45, 2, 3])
    assert [(some.tar.name, some.numbers.tolist()) for some in found] == [
        ("a.tar", [2, 3]),
        ("b.tar", [45]),
        ("c.tar.gz", [70]),
    ]
    assert found[0].names == (index.name(2), index.name(3))
    assert index.members([]) == []


def test_requests_of_an_index(s3):
    """Small images are read in large pieces, since a request for each header takes longer; large ones are skipped."""
    storage = open_storage(s3)
    storage.write("small.tar", tar_of(images(300)))
    storage.write("large.tar", tar_of({f"{number}.png": bytes(3 * 2**20) for number in range(5)}))
    ranges = []

    def note(request, **_):
        ranges.append(request.headers["Range"].decode())

    events = s3_client(storage.access, adaptive=True).meta.events
    events.register("before-send.s3.GetObject", note)
    build_index(storage, "small")
    assert len(ranges) == 1
    ranges.clear()
    build_index(storage, "large")
    events.unregister("before-send.s3.GetObject", note)
    sizes = [int(stop) - int(start) for start, stop in (text[6:].split("-") for text in ranges)]
    assert sum(sizes[1:]) <= 5 * 2**16  # the first piece has three headers


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
    "negative": (header(size=-512) + END, "damaged: no header at byte .*size"),
    "negative long name": (header("x", -512, tarfile.GNUTYPE_LONGNAME) + END, "damaged: no header at byte 0 "),
    "huge long name": (header("x", 2**40, tarfile.GNUTYPE_LONGNAME) + END, "damaged: no header at byte 0 "),
    "huge pax": (header("x", 2**30, tarfile.XHDTYPE) + END, "damaged: no header at byte 0 "),
    "headers of headers": (header("x", 0, tarfile.XHDTYPE) * 3000 + END, "damaged: no header at byte 0 "),
    "pax of another size": (tar_of({"a.png": b"x" * 600}, pax_headers={"size": "-5"}), "damaged: no header at byte"),
    "sparse": (sparse(), "'a.png' is a sparse file"),
    "tar.gz in a tar": (tar_of({"b.tar.gz": b"x"}), "'b.tar.gz' is a compressed tar within a tar"),
    "broken inner tar": (tar_of({"b.tar": GOOD[:3000]}), "a.tar/b.tar: cut short: 'a.png' ends"),
    "zip in a tar": (tar_of({"b.tar": zipped()}), "a.tar/b.tar is no tar, but a zip"),
    "too deep": (
        tar_of({"1.tar": tar_of({"2.tar": tar_of({"3.tar": tar_of({"4.tar": b""})})})}),
        "'1.tar/2.tar/3.tar'",
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
    with pytest.raises(DataError, match=f"one name.*: {folder.url}/a.tar/x/b.png and {folder.url}/b.tar/y/b.png"):
        build_index(folder)


def test_no_tars(storage):
    """Nothing there, or nothing that is a tar, is told apart; so is a bucket from a folder."""
    argument = "s3_bucket and key_prefix" if storage.url.startswith("s3://") else "data"
    with pytest.raises(InputError, match=f"{storage.url}/n01: nothing that is named .tar, .*; check {argument}"):
        build_index(storage, "n01")
    storage.write("n01/notes.txt", b"")
    with pytest.raises(InputError, match=r"n01: 1 file, such as 'n01/notes.txt', but none that is named .tar"):
        build_index(storage, "n01")


def test_a_tar_that_changes_while_it_is_indexed(many):
    """A tar that is written between its first and its last read is an error."""

    def later(spans):
        many.write("b.tar", tar_of(images(3, 100)))
        os.utime(many.address("b.tar"), (1, 1))
        return map(partial(scan, many), spans)

    with pytest.raises(DataError, match=r"b\.tar was written since"):
        build_index(many, run=later)
    with pytest.raises(DataError, match=r"tar .*b\.tar was deleted"):
        build_index(many, run=lambda spans: [many.delete("b.tar"), *map(partial(scan, many), spans)])
