"""Logs on a local folder and on S3: appended to, read as one stream, and stored in the background on S3."""

from __future__ import annotations

import errno
import os
import threading

import pytest
from waiting import until

from jobs.errors import ClusterError, UserCodeError
from jobs.storage import MIB, Storage, open_storage
from jobs.storage import local as storage_local
from jobs.storage import s3_log as storage_s3_log
from jobs.storage.s3 import S3Storage


def log_bytes(storage: Storage, name: str) -> bytes:
    with storage.read_log(name) as file:
        return file.read()


def test_log(storage):
    """A log reads as what was appended, in order, also by writers one after the other, and can be deleted."""
    with storage.append_log("logs/one") as log:
        log.append(b"first ")
        log.append(b"")
        log.flush()
        log.append(b"second ")
        log.flush()
        assert log_bytes(storage, "logs/one") == b"first second "
        log.append(b"third ")
    with storage.append_log("logs/one") as log:
        log.append(b"fourth")
    with storage.read_log("logs/one") as file:
        assert (file.read(6), file.read()) == (b"first ", b"second third fourth")
    storage.delete_log("logs/one")
    storage.delete_log("logs/one")
    assert storage.list() == []


def test_logs_with_one_beginning(storage):
    """A log whose name is the beginning of another's is not mixed up with it."""
    for name in ("log/1", "log/11"):
        with storage.append_log(name) as log:
            log.append(name.encode())
    storage.delete_log("log/1")
    assert log_bytes(storage, "log/1") == b""
    assert log_bytes(storage, "log/11") == b"log/11"


def test_no_log(storage):
    """A log that nobody wrote reads as empty."""
    with storage.read_log("none") as file:
        assert file.read() == b""


def test_log_closed(storage):
    """Closing twice is no error, appending to a closed log is."""
    log = storage.append_log("log")
    log.close()
    log.close()
    with pytest.raises(ValueError, match="closed"):
        log.append(b"late")


def test_log_survives_an_error(storage):
    """Leaving the block by an exception stores what was appended and lets the exception through."""

    def fail() -> None:
        with storage.append_log("log") as log:
            log.append(b"before")
            raise UserCodeError("the loss")

    with pytest.raises(UserCodeError, match="the loss"):
        fail()
    assert log_bytes(storage, "log") == b"before"


def test_large_log(storage):
    """A log larger than the pieces it is read in reads as one stream."""
    record = bytes(range(256)) * 4096
    with storage.append_log("log") as log:
        for _ in range(20):
            log.append(record)
    with storage.read_log("log") as file:
        assert all(file.read(len(record)) == record for _ in range(20))
        assert file.read() == b""


def test_s3_log_is_stored_meanwhile(s3):
    """What was appended is stored soon without a flush."""
    storage = open_storage(s3)
    with storage.append_log("log") as log:
        log.append(b"record")
        until(lambda: storage.list("log/"))
    assert storage.list("log/") == ["log/00000001"]


def test_s3_log_stores_much_at_once(s3):
    """When 8 MiB wait they are stored at once, even in an old log, which stores every 30 s otherwise."""
    storage = open_storage(s3)
    with storage.append_log("log") as log:
        log._began -= 3000
        log.append(bytes(8 * MIB))
        until(lambda: storage.list("log/"))


def test_s3_log_bounds_its_memory(s3, monkeypatch):
    """Appending waits while too much is not stored yet."""
    monkeypatch.setattr(storage_s3_log, "_MAX_BUFFERED_BYTES", 10)
    may_write = threading.Event()

    class Slow(S3Storage):
        def write(self, name: str, data: bytes) -> None:
            may_write.wait(30)
            super().write(name, data)

    storage = Slow(s3)
    with storage.append_log("log") as log:
        log.append(bytes(11))
        appender = threading.Thread(target=log.append, args=[b"second"])
        appender.start()
        appender.join(0.1)
        assert appender.is_alive()
        log._flushing = True
        may_write.set()
        appender.join()
    assert log_bytes(storage, "log") == bytes(11) + b"second"


def test_a_local_log_is_stored_without_flush(tmp_path, monkeypatch):
    """What was appended is synced by another thread than the one that appends, and one that failed is told."""
    synced, threads, error = threading.Event(), set(), None

    def fsync(_: int) -> None:
        nonlocal error
        threads.add(threading.current_thread())
        synced.set()
        if error:
            failure, error = error, None  # the system reports it once
            raise failure

    monkeypatch.setattr(storage_local, "SYNC_SECONDS", 0.01)
    log = open_storage(tmp_path).append_log("log")
    monkeypatch.setattr(os, "fsync", fsync)
    log.append(b"record")
    assert synced.wait(60)
    assert threading.current_thread() not in threads
    error = OSError(errno.EIO, os.strerror(errno.EIO))
    log.append(b"record")
    until(lambda: error is None)
    for use in (lambda: log.append(b"record"), log.close):
        with pytest.raises(ClusterError, match="log: Input/output error; check the disk"):
            use()
    assert log_bytes(open_storage(tmp_path), "log") == b"recordrecord"
