"""How local storages fail: full disks, killed writers, folders that cannot be written."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from storage_tools import USES

from jobs.errors import ClusterError, InputError
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


def test_a_log_that_is_a_link(tmp_path: Path) -> None:
    """A symbolic link in the place of a log is refused in one line, and the file that it leads to is as it was."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "run/journal").mkdir(parents=True)
    (tmp_path / "run/journal/0001.log").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match=r"run/journal/0001\.log is a symbolic link, but a log must be a file"):
        open_storage(tmp_path / "run").append_log("journal/0001.log")
    assert (tmp_path / "victim").read_text() == "mine"
