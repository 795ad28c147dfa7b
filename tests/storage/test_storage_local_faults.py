"""How local storages fail: full disks, killed writers, folders that cannot be written."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from storage_tools import USES

from jobs.errors import ClusterError, InputError
from jobs.minimize.job import run
from jobs.minimize.options import Options
from jobs.release.actions.destination import run_id
from jobs.storage import open_storage

ROOT = Path(__file__).parents[2]


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start Python on `code`, which finds `storage` (of the first argument) ready."""
    start = "import sys; from jobs.storage import open_storage; storage = open_storage(sys.argv[1])\n"
    command = [sys.executable, "-c", start + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)


FULL_DISK = """
import resource
from jobs.errors import ClusterError

storage.write("file", b"old")
log = storage.append_log("log")
log.append(b"record" * 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
for use in (
    lambda: storage.write("file", bytes(20_000)),
    lambda: storage.create("new", bytes(20_000)),
    lambda: log.append(bytes(20_000)),
):
    try:
        use()
    except ClusterError as error:
        print(error)
log.append(b"small")
log.close()
"""


def test_full_disk(tmp_path):
    """With no space left a file stays as it was, no part of one is left, and a log keeps its records and goes on."""
    with child(FULL_DISK, tmp_path) as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    for line, name in zip(output.splitlines(), ("file", "new", "log"), strict=True):
        assert line.startswith(f"{tmp_path}/{name}: no space left")
        assert "free some" in line
    storage = open_storage(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "log"]
    assert storage.read("file") == b"old"
    assert storage.read("log") == b"record" * 1000 + b"small"


def test_full_device():
    """A log on a device that never has space says so."""
    log = open_storage("/dev").append_log("full")
    with pytest.raises(ClusterError, match="/dev/full: no space left"):
        log.append(b"record")
    with pytest.raises(ClusterError, match="/dev/full"):
        log.close()


def test_killed_log_writer(tmp_path):
    """What a log's writer appended before it was killed with SIGKILL is in the log."""
    code = """
log = storage.append_log("log")
for number in range(10**9):
    log.append(b"%9d\\n" % number)
    print(number, flush=True)
"""
    with child(code, tmp_path) as process:
        last = next(int(line) for line in process.stdout if int(line) >= 200)
        process.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in process.stdout if line.endswith("\n"))])
    lines = open_storage(tmp_path).read("log").splitlines()
    assert [int(line) for line in lines[: last + 1]] == list(range(last + 1))


def test_killed_file_writer(tmp_path):
    """A writer that is killed at any time leaves one of the complete files, and nothing else is listed."""
    code = """
print("started", flush=True)
for number in range(10**9):
    storage.write("file", b"%d" % (number % 10) * 100_000)
"""
    with child(code, tmp_path) as process:
        process.stdout.readline()
        while not (tmp_path / "file").exists():
            pass
        process.kill()
    storage = open_storage(tmp_path)
    assert storage.list() == ["file"]
    data = storage.read("file")
    assert data == data[:1] * 100_000


@pytest.mark.parametrize("name", ["write", "create", "append_log", "check_writable"])
@pytest.mark.parametrize("folder", ["file", "file/run", "/proc/run", "/proc/self/run"])
def test_no_access(tmp_path, name, folder):
    """A folder that cannot be made or written is an InputError in one line that names it."""
    (tmp_path / "file").write_bytes(b"data")
    storage = open_storage(tmp_path / folder)
    with pytest.raises(InputError, match=f"{storage.url}.*(cannot be written|must be a folder)") as caught:
        USES[name](storage)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_bytes() == b"data"


def test_check_writable_names_the_option():
    """The check of the run folder speaks of `--run`."""
    with pytest.raises(InputError, match=r"^run /proc/run: no write access"):
        open_storage("/proc/run").check_writable()


def test_folder_in_place_of_a_file(tmp_path):
    """A folder where a file is expected is an InputError."""
    (tmp_path / "name").mkdir()
    for use in ("read", "read_range", "size", "write"):
        with pytest.raises(InputError, match=f"{tmp_path}/name: cannot be"):
            USES[use](open_storage(tmp_path))


def test_path_below_a_file(tmp_path):
    """Nothing exists below a regular file."""
    (tmp_path / "file").write_bytes(b"")
    storage = open_storage(tmp_path / "file")
    assert not storage.exists("name")
    assert storage.list() == []


USES_OF_A_NAME = {
    "write": lambda storage: storage.write("folder/file", b"new"),
    "write_file": lambda storage: storage.write_file("folder/file", Path(__file__)),
    "create": lambda storage: storage.create("folder/new", b"new"),
    "delete": lambda storage: storage.delete("folder/file"),
    "append_log": lambda storage: storage.append_log("folder/file"),
    "delete_log": lambda storage: storage.delete_log("folder/file"),
}


@pytest.mark.parametrize("use", USES_OF_A_NAME)
def test_a_folder_that_is_a_link(use: str, tmp_path: Path) -> None:
    """What is written or deleted lies in the folder itself: one in it that leads elsewhere is refused, not followed."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/folder").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="run/folder is a symbolic link, but what a run folder has must lie in it"):
        USES_OF_A_NAME[use](open_storage(tmp_path / "run"))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]
    assert (tmp_path / "mine/file").read_text() == "mine"


def test_a_folder_that_is_reached_by_a_link(tmp_path: Path) -> None:
    """The run folder itself may be one, as to a larger disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    open_storage(tmp_path / "run").write("folder/file", b"new")
    assert (tmp_path / "disk/folder/file").read_bytes() == b"new"


def test_a_log_that_is_a_link(tmp_path: Path) -> None:
    """A symbolic link in the place of a log is refused in one line, and the file that it leads to is as it was."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "run/journal").mkdir(parents=True)
    (tmp_path / "run/journal/0001.log").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match=r"run/journal/0001\.log is a symbolic link, but a log must be a file"):
        open_storage(tmp_path / "run").append_log("journal/0001.log")
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.fixture(params=[errno.EOPNOTSUPP, errno.EPERM, errno.ENOSYS], ids=errno.errorcode.get)
def no_links(request, tmp_path, monkeypatch):
    """Return a storage on a file system without hard links, as SMB's, exFAT's and many of FUSE's."""

    def link(*arguments: object, **options: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", link)
    return open_storage(tmp_path / "run")


def test_create_without_hard_links(no_links):
    """Of many that create one name exactly one gets True, and a reader sees all of its bytes or none."""
    seen, starts = set(), threading.Barrier(9)

    def create(number: int) -> bool:
        starts.wait()
        return no_links.create("lock", b"%d" % number * 10_000)

    with ThreadPoolExecutor(8) as pool:
        created = [pool.submit(create, number) for number in range(8)]
        starts.wait()
        while not all(future.done() for future in created):
            if no_links.exists("lock"):
                seen.add(no_links.read("lock"))
    won = [future.result() for future in created]
    assert won.count(True) == 1
    assert no_links.read("lock") == b"%d" % won.index(True) * 10_000
    assert seen <= {b"", no_links.read("lock")}
    assert no_links.list() == ["lock"]
    assert [path.name for path in Path(no_links.url).iterdir()] == ["lock"]


def test_a_run_without_hard_links(no_links):
    """A job runs and is resumed there; an attempt that was killed before its file had its bytes counts as ended."""
    first = run(Options(workers=0, max_iterations=1, run=no_links.url))
    assert first["attempt"] == 1
    no_links.write("attempts/0002", b"")
    assert run(Options(workers=0, max_iterations=2, run=no_links.url))["attempt"] == 3


def test_an_attempt_without_bytes_names_no_run(tmp_path):
    """All such files are alike, so no two run folders are taken for one."""
    for name in ("one", "two"):
        (tmp_path / name / "attempts").mkdir(parents=True)
        (tmp_path / name / "attempts/0001").touch()
        run(Options(workers=0, max_iterations=1, run=str(tmp_path / name)))
        assert run_id(tmp_path / name) is None


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP], ids=errno.errorcode.get)
def test_a_folder_that_cannot_be_synced(tmp_path, monkeypatch, code):
    """A file system that syncs files but no folders, as some networks', is a storage like any other."""
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    storage = open_storage(tmp_path / "run")
    storage.check_writable()
    for name in ("write", "create", "append_log"):
        USES[name](storage)
    assert storage.list() == ["log", "name"]


def test_a_disk_that_fails_to_sync_is_told(tmp_path, monkeypatch):
    """Any other error of storing a folder's names is no success."""

    def fsync(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("write", "create", "append_log"):
        with pytest.raises(ClusterError, match="Input/output error; check the disk"):
            USES[name](open_storage(tmp_path))
