"""Reading images: by which requests, of which file, and what is left behind."""

from __future__ import annotations

import gzip
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from faulty_s3 import FaultyS3
from tar_files import images, noise, read_all, tar_of, write_many

from jobs.alexnet.tars import Members, Reader, Tar, build_index
from jobs.alexnet.tars import reading as tars_reading
from jobs.alexnet.tars.headers import Bytes
from jobs.alexnet.tars.reading import ranges_of
from jobs.errors import ClusterError, DataError
from jobs.storage import MIB, Storage, open_storage


@pytest.fixture
def many(storage):
    """A storage with a plain tar, one of tars, and a compressed one."""
    write_many(storage)
    return storage


def all_images() -> dict[str, bytes]:
    tars = {f"n{part}.tar/{name}": data for part in range(3) for name, data in images(7, 30 + 7 * part).items()}
    return {**images(30), **tars, **images(25, 60)}


@pytest.fixture
def reader(many, tmp_path):
    with Reader(many, tmp_path / "scratch") as reader:
        yield reader


def test_all_images(many, reader):
    """Every image is read, in the order of the index, with its bytes."""
    index = build_index(many)
    found = read_all(reader, index)
    assert found == all_images()
    assert list(found) == [index.name(number) for number in range(len(index))]


def test_partitions_and_single_images(many, reader):
    """So are those of a partition, and any others by their numbers, from a compressed tar, too."""
    index = build_index(many)
    expected = all_images()
    for part in index.partitions(8):
        found = read_all(reader, index, range(part.start, part.stop))
        assert found == {name: expected[name] for name in found}
        assert len(found) == part.stop - part.start
    chosen = read_all(reader, index, [70, 3, 45, 12])
    assert list(chosen) == [index.name(number) for number in (3, 12, 45, 70)]
    assert chosen == {name: expected[name] for name in chosen}


def members(offsets: list[int], sizes: list[int]) -> Members:
    names = tuple(map(str, offsets))
    tar = Tar("a.tar", (2**40, ""))
    return Members(tar, 2**40, np.arange(len(names)), names, np.array(offsets), np.array(sizes))


def test_neighbours_are_one_request():
    """Images with little between them are one range, up to a size; a larger image is one by itself."""
    near = members([512, 2048, 5 * MIB, 2**39], [1000, 1000, 10, 10])
    assert [(each.start, each.stop, each.first, each.end) for each in ranges_of(near)] == [
        (512, 3048, 0, 2),
        (5 * MIB, 5 * MIB + 10, 2, 3),
        (2**39, 2**39 + 10, 3, 4),
    ]
    large = members([0, 10 * MIB, 17 * MIB, 60 * MIB], [10 * MIB, 7 * MIB, 43 * MIB, 1])
    assert [each.stop - each.start for each in ranges_of(large)] == [10 * MIB, 7 * MIB, 43 * MIB, 1]
    small = members(list(range(0, 64 * MIB, MIB)), [MIB - 512] * 64)
    assert [each.end - each.first for each in ranges_of(small)] == [16] * 4


def test_requests_in_flight_are_bounded(many, reader, monkeypatch):
    """What is read ahead is bounded, however slowly the images are taken."""
    monkeypatch.setattr(tars_reading, "MAX_RANGE", 1)
    index = build_index(many, "a")
    fetched: list[int] = []
    fetch = Reader._fetch

    def note(self, some, wanted):
        fetched.append(wanted.first)
        return fetch(self, some, wanted)

    monkeypatch.setattr(Reader, "_fetch", note)
    taken = 0
    for taken, _ in enumerate(reader.read(index.members(range(30))), start=1):
        reader._pool.submit(lambda: None).result()  # what was submitted before has begun
        assert len(fetched) <= taken + 4
    assert (taken, sorted(fetched)) == (30, list(range(30)))


def test_many_threads(many, reader):
    """One reader serves several threads; a compressed tar is unpacked once."""
    index = build_index(many)
    found: list[dict[str, bytes]] = []
    threads = [threading.Thread(target=lambda: found.append(read_all(reader, index))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [all_images()] * 4
    assert len(reader._unpacked) == 1


def test_compressed_tars_are_unpacked_to_scratch(many, reader, tmp_path):
    """They lie there until the reader ends; nothing is unpacked where no image of one is asked for."""
    index = build_index(many)
    read_all(reader, index, range(40))
    assert not (tmp_path / "scratch").exists()
    read_all(reader, index, [60])
    assert [path.read_bytes() for path in (tmp_path / "scratch").iterdir()] == [tar_of(images(25, 60))]
    reader.__exit__()
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("where", ["before", "within"])
def test_a_reader_that_ends_while_a_tar_is_unpacked(many, tmp_path, monkeypatch, where):
    """It does not wait; the thread ends soon, and leaves no file, nor a folder that was deleted meanwhile."""
    is_reading, is_over, opened = threading.Event(), threading.Event(), tars_reading.open_tar

    def wait() -> None:
        is_reading.set()
        is_over.wait()

    def slowly(storage: Storage, tar: Tar) -> Bytes:
        content = opened(storage, tar)
        if where == "before":
            wait()
            return content
        read = content.read

        def read_slowly(start: int, stop: int) -> bytes:
            data = read(start, stop)
            wait()
            return data

        monkeypatch.setattr(content, "read", read_slowly)
        return content

    index = build_index(many)
    monkeypatch.setattr(tars_reading, "open_tar", slowly)
    scratch = tmp_path / "scratch"
    with Reader(many, scratch) as reader:
        (some,) = index.members([60])
        unpacking = reader._pool.submit(reader._unpack, some)
        is_reading.wait()
    assert not list(scratch.glob("*"))
    shutil.rmtree(scratch, ignore_errors=True)
    is_over.set()
    assert isinstance(unpacking.exception(), ClusterError)
    assert not scratch.exists()


def test_no_place_for_scratch(many, tmp_path):
    """A scratch folder that cannot be written is named."""
    (tmp_path / "file").write_bytes(b"")
    index = build_index(many)
    with Reader(many, tmp_path / "file" / "scratch") as reader, pytest.raises(ClusterError, match="file/scratch"):
        read_all(reader, index, [60])


@pytest.mark.parametrize("name", ["a.tar", "c.tar.gz"])
def test_a_tar_that_changed(many, reader, name):
    """A tar that was written since it was indexed is an error, also with as many bytes; so is one that is gone."""
    index = build_index(many)
    number = 0 if name == "a.tar" else 60
    data = many.read(name)
    many.write(name, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DataError, match=f"{name} was written since"):
        read_all(reader, index, [number])
    many.delete(name)
    with pytest.raises(DataError, match=f"tar {many.url}/{name} was deleted"):
        read_all(reader, index, [number])


def test_a_compressed_tar_of_other_content(many, reader):
    """What is unpacked has as many bytes as when it was indexed."""
    index = build_index(many, "c")
    many.write("c.tar.gz", gzip.compress(tar_of(images(12, 60)), 1))
    changed = Tar("c.tar.gz", many.stamp("c.tar.gz"))
    (some,) = index.members([0])
    other = Members(changed, some.content, some.numbers, some.names, some.offsets, some.sizes)
    with pytest.raises(DataError, match=r"c\.tar\.gz has .* bytes of content, but had"):
        list(reader.read([other]))


def test_a_body_that_is_cut_off_is_continued(s3, s3_server, monkeypatch, tmp_path):
    """A request after a body that ended too early asks for the rest alone."""
    storage = open_storage(s3)
    image = noise(3_000_000, 1)
    storage.write("a.tar", tar_of({"a.png": image}))
    index = build_index(storage)
    proxy = FaultyS3(s3_server["AWS_ENDPOINT_URL"], ["truncated", "reset"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    with Reader(storage, Path(tmp_path)) as reader:
        assert read_all(reader, index) == {"a.png": image}
    starts = [int(wanted.removeprefix("bytes=").partition("-")[0]) for wanted in proxy.ranges]
    proxy.end()
    assert starts[0] == 512
    assert starts[1] == 512 + 1_500_000
    assert starts[1] < starts[2] <= 512 + 2_250_000
    assert len(starts) == 3
