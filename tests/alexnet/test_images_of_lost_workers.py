"""Images on workers that are killed, freeze, or go on after they were taken for lost."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time

import numpy as np
import pytest
from loaded_images import LABELS, LAYOUT, all_of, loading_of
from numbered_images import SIDE, Numbered, decoder
from tar_files import images, tar_of

from jobs import connect
from jobs.alexnet.indexing import scans_on_workers
from jobs.alexnet.options import Options
from jobs.alexnet.partitions.held import HELD, Images
from jobs.alexnet.partitions.source import Source
from jobs.alexnet.partitions.turns import Turns
from jobs.alexnet.tars import build_index
from jobs.errors import ClusterError
from jobs.storage import open_storage


@pytest.mark.parametrize("moment", ["while loading", "while shuffling"])
def test_a_worker_is_killed(moment, tmp_path):
    """What it had is made again on the others, by reading those images alone; none is lost or doubled."""
    with connect(workers=3) as client:
        processes = client.run(os.getpid)
        loading = loading_of(client, Numbered(log=tmp_path, seconds=0.005))
        victim = sorted(processes.values())[1]

        def kill(what: str, done: int, of: int) -> None:
            if moment == "while loading" and (what, done) == ("partitions loaded", 3):
                os.kill(victim, signal.SIGKILL)

        try:
            loading.load(kill)
            if moment == "while shuffling":
                threading.Timer(0.02, os.kill, (victim, signal.SIGKILL)).start()
            loading.shuffle(5, kill)
            rows = all_of(client, loading, 5)
        finally:
            loading.close()
    assert rows == np.concatenate(LAYOUT.after(5)).tolist()
    assert 397 <= len(list(tmp_path.iterdir())) < 2 * 397


@pytest.mark.parametrize("moment", ["while loading", "while shuffling"])
def test_a_worker_is_frozen(moment, tmp_path, caplog):
    """It counts as lost when it has not answered for the step timeout; nothing waits for it any more."""
    with connect(workers=3) as client:
        processes = client.run(os.getpid)
        loading = loading_of(client, Numbered(log=tmp_path, seconds=0.005), step_timeout=3.0)
        address, victim = sorted(processes.items())[1]
        when = 3 if moment == "while loading" else 10

        def freeze(what: str, done: int, of: int) -> None:
            if (what, done) == ("partitions loaded", when):
                os.kill(victim, signal.SIGSTOP)

        try:
            loading.load(freeze)
            loading.shuffle(5, lambda *_: None)
            assert address not in client.scheduler_info(n_workers=-1)["workers"]
            rows = all_of(client, loading, 5)
        finally:
            loading.close()
            os.kill(victim, signal.SIGKILL)
    assert rows == np.concatenate(LAYOUT.after(5)).tolist()
    named = [record.getMessage() for record in caplog.records if "step_timeout" in record.getMessage()]
    assert named == [f"worker {address} did not answer for 3 s (step_timeout); the others go on without it"]


@pytest.mark.parametrize("frozen", [1, 2])
def test_workers_are_frozen_while_tars_are_indexed(frozen, tmp_path, caplog):
    """Dask alone would wait for their tasks for ever, as their connections stand; where none is left, for others."""
    storage = open_storage(tmp_path / "data")
    for number in range(8):
        storage.write(f"{number}.tar", tar_of(images(3, 3 * number)))
    options = Options(data=str(tmp_path / "data"), step_timeout=3.0, workers_timeout=5.0)
    with connect(workers=2) as client:
        processes = client.run(os.getpid)
        victims = sorted(processes.items())[:frozen]
        for _, victim in victims:
            os.kill(victim, signal.SIGSTOP)
        began = time.monotonic()

        def poll() -> None:
            assert time.monotonic() < began + 60

        try:
            with contextlib.nullcontext() if frozen == 1 else pytest.raises(ClusterError, match="no worker"):
                index = build_index(storage, "", functools.partial(scans_on_workers, client, poll, options))
                assert len(index) == 24
        finally:
            for _, victim in victims:
                os.kill(victim, signal.SIGKILL)
    for address, _ in victims:
        assert f"worker {address} did not answer for 3 s (step_timeout); the others go on without it" in caplog.text


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


def test_a_plugin_that_goes_late_does_not_take_what_came_after_it(tmp_path):
    """After a broken connection the old registration may be removed when the new one is there already."""
    images = Images("images-late", Source(Numbered(), decoder, SIDE), LABELS, 1e9)
    old = images.hold(str(tmp_path))
    new = images.hold(str(tmp_path))
    images.free(old)
    assert HELD["images-late"] is new
    images.free(new)
    assert "images-late" not in HELD
