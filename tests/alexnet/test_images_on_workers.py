"""Images on workers: loaded once, shuffled, and made again where a worker is lost."""

from __future__ import annotations

import os
import signal
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from distributed.protocol import to_serialize
from numbered_images import SIDE, Numbered, decoder, decoder_of_two, numbers_of
from tar_files import tar_of

from jobs import connect
from jobs.alexnet.group import loading as on_driver
from jobs.alexnet.group.loading import Loading
from jobs.alexnet.group.worker import ImagesPlugin
from jobs.alexnet.partitions.held import HELD, Images
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.reader import TarReader
from jobs.alexnet.partitions.rows import ImageRows
from jobs.alexnet.partitions.source import Source
from jobs.alexnet.partitions.turns import Turns
from jobs.alexnet.tars import build_index
from jobs.cluster.plugin import call
from jobs.errors import ClusterError
from jobs.storage import open_storage

ENDS = (*range(40, 400, 40), 397)
LAYOUT = Layout(ENDS, seed=3)
LABELS = np.arange(400, dtype=np.int32) % 7


def _loading(
    client: Client,
    reader: Any = None,
    memory: float = 1e9,
    layout: Layout = LAYOUT,
    make: Any = decoder,
    **options: Any,
) -> Loading:
    source = Source(reader or Numbered(), make, SIDE)
    return Loading(client, ImagesPlugin(Images("images-test", source, LABELS, memory)), layout, **options)


def _all(client: Client, loading: Loading, rounds: int) -> list[int]:
    """Return the images of all partitions in order, each read on the worker that has it, in place."""
    rows = ImageRows("images-test", loading.layout, rounds, "")
    ends = np.cumsum([0, *loading.layout.counts])
    found = []
    for number, address in sorted(loading.owners.items()):
        images, labels = client.submit(
            rows.read, ends[number], ends[number + 1], workers=[address], pure=False
        ).result()
        found += numbers_of(images)
        assert labels.tolist() == [LABELS[one] for one in numbers_of(images)]
    return found


@pytest.fixture(scope="module")
def client():
    with connect(workers=3) as client:
        yield client


@pytest.mark.parametrize("memory", [1e9, 0, 100 * SIDE * SIDE * 3], ids=["in memory", "on disk", "both"])
def test_loaded_and_shuffled(client, memory, tmp_path):
    """Each image is read once, lies where the plan puts it, and is read from there."""
    loading = _loading(client, Numbered(log=tmp_path), memory)
    seen = []
    try:
        loading.load(lambda *progress: seen.append(progress))
        assert sorted(loading.owners) == list(range(len(ENDS)))
        assert len(set(loading.owners.values())) == 3
        loading.shuffle(4, lambda *progress: seen.append(progress))
        assert _all(client, loading, 4) == np.concatenate(LAYOUT.after(4)).tolist()
        assert len(list(tmp_path.iterdir())) == 397
    finally:
        loading.close()
    assert ("partitions loaded", 10, 10) in seen
    assert ("rounds of the shuffle", 4, 4) in seen
    assert client.run(_left) == dict.fromkeys(client.run(_left), 0)


def _left(dask_worker) -> int:
    from jobs.alexnet.partitions.held import HELD

    return len(HELD) + len(list(Path(dask_worker.local_directory).glob("dask-jobs-images-*")))


def test_bad_images_are_left_out(client):
    """They are named with the reason; others are shuffled without them, the same wherever they were found."""
    loading = _loading(client, Numbered(bad="13"))
    try:
        loading.load(lambda *_: None)
        assert loading.bad == dict.fromkeys([13, 113, 213, 313], "it is empty")
        assert loading.layout.counts == (39, 40, 39, 40, 40, 39, 40, 39, 40, 37)
        loading.shuffle(3, lambda *_: None)
        found = _all(client, loading, 3)
    finally:
        loading.close()
    assert sorted(found) == [one for one in range(397) if not str(one).endswith("13")]
    assert found == np.concatenate(Layout(ENDS, (13, 113, 213, 313), 3).after(3)).tolist()


@pytest.mark.parametrize("moment", ["while loading", "while shuffling"])
def test_a_worker_is_killed(moment, tmp_path):
    """What it had is made again on the others, by reading those images alone; none is lost or doubled."""
    with connect(workers=3) as client:
        processes = client.run(os.getpid)
        loading = _loading(client, Numbered(log=tmp_path, seconds=0.005))
        victim = sorted(processes.values())[1]

        def kill(what: str, done: int, of: int) -> None:
            if moment == "while loading" and (what, done) == ("partitions loaded", 3):
                os.kill(victim, signal.SIGKILL)

        try:
            loading.load(kill)
            if moment == "while shuffling":
                threading.Timer(0.02, os.kill, (victim, signal.SIGKILL)).start()
            loading.shuffle(5, kill)
            rows = _all(client, loading, 5)
        finally:
            loading.close()
    assert rows == np.concatenate(LAYOUT.after(5)).tolist()
    assert 397 <= len(list(tmp_path.iterdir())) < 2 * 397


@pytest.mark.parametrize("moment", ["while loading", "while shuffling"])
def test_a_worker_is_frozen(moment, tmp_path, caplog):
    """It counts as lost when it has not answered for the step timeout; nothing waits for it any more."""
    with connect(workers=3) as client:
        processes = client.run(os.getpid)
        loading = _loading(client, Numbered(log=tmp_path, seconds=0.005), step_timeout=3.0)
        address, victim = sorted(processes.items())[1]
        when = 3 if moment == "while loading" else 10

        def freeze(what: str, done: int, of: int) -> None:
            if (what, done) == ("partitions loaded", when):
                os.kill(victim, signal.SIGSTOP)

        try:
            loading.load(freeze)
            loading.shuffle(5, lambda *_: None)
            assert address not in client.scheduler_info(n_workers=-1)["workers"]
            rows = _all(client, loading, 5)
        finally:
            loading.close()
            os.kill(victim, signal.SIGKILL)
    assert rows == np.concatenate(LAYOUT.after(5)).tolist()
    named = [record.getMessage() for record in caplog.records if "step_timeout" in record.getMessage()]
    assert named == [f"worker {address} did not answer for 3 s (step_timeout); the others go on without it"]


def test_threads(tmp_path):
    """All of a worker's threads decode."""
    with connect(workers=1, threads=2) as client:
        loading = _loading(client, make=decoder_of_two, layout=Layout((40, 80)))
        try:
            loading.load(lambda *_: None)
            assert _all(client, loading, 0) == list(range(80))
        finally:
            loading.close()


def test_a_compressed_tar_is_unpacked_by_one_worker(client, tmp_path):
    """By that which has its partitions; by another one when that is lost."""
    files = {f"{number:03}.JPEG": struct.pack("<q", number) for number in range(120)}
    names = sorted(files)
    for tar, some in (("a.tar.gz", names[:60]), ("b.tar.gz", names[60:])):
        (tmp_path / tar).write_bytes(tar_of({name: files[name] for name in some}, "w:gz"))
    storage = open_storage(tmp_path)
    index = build_index(storage)
    layout = Layout(tuple(one.stop for one in index.partitions(10)))

    def load(progress: Any) -> list[int]:
        loading = _loading(client, TarReader(index, storage), layout=layout, packed=index.packed(10))
        try:
            loading.load(lambda *_: progress(loading))
            assert _all(client, loading, 0) == list(range(120))
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
    loading = _loading(client)
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
        assert _all(client, loading, 2) == np.concatenate(LAYOUT.after(2)).tolist()
        with pytest.raises(OSError, match="turn 99 of the exchange of images is over"):
            trade(99)
        assert _all(client, loading, 2) == np.concatenate(LAYOUT.after(2)).tolist()
    finally:
        loading.close()


def test_turns():
    """A change waits for those of earlier turns that have begun, and no other of those begins."""
    turns, began, end, order = Turns(), threading.Event(), threading.Event(), []

    def early() -> None:
        with turns.of(1):
            began.set()
            end.wait()
            order.append("early")

    def later() -> None:
        with turns.of(2):
            order.append("later")

    threads = [threading.Thread(target=early), threading.Thread(target=later)]
    threads[0].start()
    began.wait()
    with turns.of(1):
        order.append("beside")
    threads[1].start()
    while True:  # until the later turn has begun
        try:
            with turns.of(1):
                pass
        except OSError:
            break
    end.set()
    for thread in threads:
        thread.join()
    assert order == ["beside", "early", "later"]


def test_what_is_not_here_is_made_when_it_is_read(client, tmp_path):
    """A worker that takes over another one's part of the data reads the images of its rows again, and those alone."""
    loading = _loading(client, Numbered(log=tmp_path))
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
    loading = _loading(client, memory=0)
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
    loading = _loading(client, Broken())
    try:
        with pytest.raises(ClusterError, match=r"attempts in a row to load images failed; the last: .*no such thing"):
            loading.load(lambda *_: None)
    finally:
        loading.close()


class Broken(Numbered):
    """A reader that raises what it must not."""

    def read(self, numbers):
        raise ZeroDivisionError("no such thing")


def test_a_plugin_that_goes_late_does_not_take_what_came_after_it(tmp_path):
    """After a broken connection the old registration may be removed when the new one is there already."""
    images = Images("images-late", Source(Numbered(), decoder, SIDE), LABELS, 1e9)
    old = images.hold(str(tmp_path))
    new = images.hold(str(tmp_path))
    images.free(old)
    assert HELD["images-late"] is new
    images.free(new)
    assert "images-late" not in HELD
