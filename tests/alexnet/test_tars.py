"""The index of tars: where each image lies, and what is wrong with a tar that cannot be used."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import random
import tarfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from tar_files import images, tar_of, write_many

from jobs.alexnet.tars import Partition, Scan, build_index, load_index, save_index, scan
from jobs.alexnet.tars.build import merge
from jobs.datasets.readers import Decompressor
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
    """Members of other kinds are left out by name and counted, links and devices too; folders are none."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, kind in (("n01", tarfile.DIRTYPE), ("l.png", tarfile.SYMTYPE), ("h.txt", tarfile.LNKTYPE)):
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
    assert (index.others, index.example) == (7, "a.tar/l.png")


def test_upper_case_names(folder):
    """A tar is one whose name ends in .TAR or .Tar.GZ, too: none is left out beside others."""
    folder.write("a.tar", tar_of({"a.png": b"a"}))
    folder.write("b.TAR", tar_of({"b.png": b"b"}))
    folder.write("c.Tar.GZ", tar_of({"c.png": b"c"}, "w:gz"))
    index = build_index(folder)
    assert [content(folder, index, number) for number in range(3)] == [b"a", b"b", b"c"]


def test_folders_that_are_named_as_tars(folder):
    """They do not count as tars in each other."""
    folder.write("a.tar", tar_of({"x.tar/y.tar/z.tar/b.tar": tar_of({"a.png": b"x"})}))
    assert as_dict(folder, build_index(folder)) == {"x.tar/y.tar/z.tar/b.tar/a.png": b"x"}


def test_a_compressed_tar_is_decompressed_once(folder, monkeypatch):
    """Each header is looked at twice, but not from the beginning; then the rest is read on, for the checksum."""
    begun, rewind = [], Decompressor._rewind
    monkeypatch.setattr(Decompressor, "_rewind", lambda its: (begun.append(its), rewind(its)))
    folder.write("a.tgz", tar_of(images(20) | {"b.tar": tar_of(images(9, 20))}, "w:gz"))
    build_index(folder)
    assert len(begun) == 1


@pytest.fixture
def many(folder):
    """A storage with tars of many kinds, their images in the order of the index."""
    write_many(folder)
    return folder


def test_equal_for_any_number_of_workers(many):
    """The order in which scans end does not show: not in the numbers, and not in the digest."""

    def noted(spans):
        done.extend(scan(many, span) for span in spans)
        return done[-len(spans) :]

    done: list[Scan] = []
    one = build_index(many)
    build_index(many, run=noted)
    random.Random(1).shuffle(done)
    other = merge(many.url, done)
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
    save_index(storage, replace(index, sizes=index.sizes + 2**20))
    with pytest.raises(InputError, match=r"index\.npz is damaged .*an image lies outside its tar"):
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
