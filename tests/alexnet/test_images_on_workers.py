"""Images on workers: loaded once, shuffled, and made again where a worker is lost."""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from distributed.protocol import to_serialize
from loaded_images import ENDS, LABELS, LAYOUT, all_of, loading_of
from numbered_images import SIDE, Numbered, decoder, decoder_of_two, numbers_of
from tar_files import tar_of

from jobs import connect
from jobs.alexnet import job
from jobs.alexnet.group import loading as on_driver
from jobs.alexnet.group.loading import Loading
from jobs.alexnet.group.worker import ImagesPlugin
from jobs.alexnet.options import Options
from jobs.alexnet.partitions.held import HELD, Images
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.reader import TarReader
from jobs.alexnet.partitions.rows import ImageRows
from jobs.alexnet.partitions.source import Source
from jobs.alexnet.tars import build_index
from jobs.cluster.plugin import call
from jobs.errors import ClusterError
from jobs.storage import open_storage


@pytest.fixture(scope="module")
def client():
    with connect(workers=3) as client:
        yield client


@pytest.mark.parametrize("memory", [1e9, 0, 100 * SIDE * SIDE * 3], ids=["in memory", "on disk", "both"])
def test_loaded_and_shuffled(client, memory, tmp_path):
    """Each image is read once, lies where the plan puts it, and is read from there."""
    loading = loading_of(client, Numbered(log=tmp_path), memory)
    seen = []
    try:
        loading.load(lambda *progress: seen.append(progress))
        assert sorted(loading.owners) == list(range(len(ENDS)))
        assert len(set(loading.owners.values())) == 3
        loading.shuffle(4, lambda *progress: seen.append(progress))
        assert all_of(client, loading, 4) == np.concatenate(LAYOUT.after(4)).tolist()
        assert len(list(tmp_path.iterdir())) == 397
    finally:
        loading.close()
    assert ("partitions loaded", 10, 10) in seen
    assert ("rounds of the shuffle", 4, 4) in seen
    assert client.run(_left) == dict.fromkeys(client.run(_left), 0)


def _left(dask_worker) -> int:

    return len(HELD) + len(list(Path(dask_worker.local_directory).glob("dask-jobs-images-*")))


def test_bad_images_are_left_out(client):
    """They are named with the reason; others are shuffled without them, the same wherever they were found."""
    loading = loading_of(client, Numbered(bad="13"))
    try:
        loading.load(lambda *_: None)
        assert loading.bad == dict.fromkeys([13, 113, 213, 313], "it is empty")
        assert loading.layout.counts == (39, 40, 39, 40, 40, 39, 40, 39, 40, 37)
        loading.shuffle(3, lambda *_: None)
        found = all_of(client, loading, 3)
    finally:
        loading.close()
    assert sorted(found) == [one for one in range(397) if not str(one).endswith("13")]
    assert found == np.concatenate(Layout(ENDS, (13, 113, 213, 313), 3).after(3)).tolist()


def test_a_compressed_tar_is_unpacked_by_one_worker(client, tmp_path):
    """By that which has its partitions; by another one when that is lost."""
    files = {f"{number:03}.JPEG": struct.pack("<q", number) for number in range(120)}
    names = sorted(files)
    for tar, some in (("a.tar.gz", names[:60]), ("b.tar.gz", names[60:])):
        (tmp_path / tar).write_bytes(tar_of({name: files[name] for name in some}, "w:gz"))
    storage = open_storage(tmp_path)
    index = build_index(storage)
    options = Options(data=str(tmp_path), partition_images=10)
    images = Images("images-test", Source(TarReader(index, storage), decoder, SIDE), LABELS[:120], 1e9)
    attempt: Any = SimpleNamespace(folder=SimpleNamespace(heartbeat=lambda: None))

    def load(progress: Any) -> list[int]:
        loading = job.make_loading(options, attempt, client, images, index)
        try:
            loading.load(lambda *_: progress(loading))
            assert all_of(client, loading, 0) == list(range(120))
            return sorted(client.run(_unpacked).values())
        finally:
            loading.close()

    processes, killed = client.run(os.getpid), list[int]()

    def kill(loading: Loading) -> None:
        if 0 in loading.owners and not killed:
            killed.append(processes[loading.owners[0]])
            os.kill(killed[0], signal.SIGKILL)

    assert load(lambda _: None) == [0, 1, 1]
    assert sum(load(kill)) == 2
    assert killed
    client.wait_for_workers(3)


def _unpacked(dask_worker) -> int:
    return len(list(Path(dask_worker.local_directory).glob("dask-jobs-tars-*/*.tar")))


def test_a_trade_that_comes_late_changes_nothing(client):
    """Of a round that is over, and of any once the images have been read."""
    loading = loading_of(client)
    rows, images = np.arange(5), np.zeros((5, SIDE, SIDE, 3), np.uint8)
    late = [list(map(to_serialize, (rows, images, np.full(5, 399))))]

    def trade(turn: int) -> None:
        message = {"trade": [turn, 0, *late[0]]}
        client.sync(call, client.rpc, "images-test", loading.owners[0], ImagesPlugin.trade, **message)

    try:
        loading.load(lambda *_: None)
        loading.shuffle(2, lambda *_: None)
        with pytest.raises(OSError, match="turn 1 of the exchange of images is over"):
            trade(1)
        assert all_of(client, loading, 2) == np.concatenate(LAYOUT.after(2)).tolist()
        with pytest.raises(OSError, match="turn 99 of the exchange of images is over"):
            trade(99)
        assert all_of(client, loading, 2) == np.concatenate(LAYOUT.after(2)).tolist()
    finally:
        loading.close()


def test_what_is_not_here_is_made_when_it_is_read(client, tmp_path):
    """A worker that takes over another one's part of the data reads the images of its rows again, and those alone."""
    loading = loading_of(client, Numbered(log=tmp_path))
    try:
        loading.load(lambda *_: None)
        loading.shuffle(5, lambda *_: None)
        assert len(list(tmp_path.iterdir())) == 397
        other = next(address for address in client.run(os.getpid) if address != loading.owners[2])
        rows = ImageRows("images-test", loading.layout, 5, "")
        images, _ = client.submit(rows.read, 85, 90, workers=[other], pure=False).result()
        again, _ = client.submit(rows.read, 80, 120, workers=[other], pure=False).result()
    finally:
        loading.close()
    assert numbers_of(images) == LAYOUT.after(5)[2][5:10].tolist()
    assert numbers_of(again) == LAYOUT.after(5)[2].tolist()
    assert len(list(tmp_path.iterdir())) == 397 + 40


def test_a_full_disk(client):
    """Memory that maps a file without room would end the process: it is an error that says what to do."""
    client.run(_no_room)
    loading = loading_of(client, memory=0)
    try:
        with pytest.raises(
            ClusterError, match=r"no room for 7.7 kB of images \(No space left on device\); give the workers"
        ):
            loading.load(lambda *_: None)
    finally:
        loading.close()
        client.run(_room)


def _no_room() -> None:
    import errno
    import os

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    os.kept_fallocate, os.posix_fallocate = os.posix_fallocate, full


def _room() -> None:
    import os

    os.posix_fallocate = os.kept_fallocate


def test_what_a_worker_cannot_do_is_tried_again_and_then_said(client, monkeypatch):
    """An error of a kind that no call of ours has is taken for a lost worker: not for ever."""
    monkeypatch.setattr(on_driver, "MAX_FAILURES", 1)
    loading = loading_of(client, Broken())
    try:
        with pytest.raises(ClusterError, match=r"attempts in a row to load images failed; the last: .*no such thing"):
            loading.load(lambda *_: None)
    finally:
        loading.close()


class Broken(Numbered):
    """A reader that raises what it must not."""

    def read(self, numbers):
        raise ZeroDivisionError("no such thing")


def test_threads(tmp_path):
    """All of a worker's threads decode."""
    with connect(workers=1, threads=2) as client:
        loading = loading_of(client, make=decoder_of_two, layout=Layout((40, 80)))
        try:
            loading.load(lambda *_: None)
            assert all_of(client, loading, 0) == list(range(80))
        finally:
            loading.close()
