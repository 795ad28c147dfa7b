"""Bringing a run folder here: what a pod packs arrives byte for byte, completely or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from situation import run
from websocket import ABNF, WebSocketConnectionClosedException

from jobs.errors import ClusterError, InputError
from jobs.release.exec import Output
from jobs.release.fetch import check_target, unpack
from jobs.release.helper import helper_pod
from jobs.storage import Storage, open_storage

FRAME = 1000


class Socket:
    """The frames that the API would send for a command's output: STDOUT 1, STDERR 2, status 3."""

    def __init__(self, done: subprocess.CompletedProcess[bytes], cut: int | None = None) -> None:
        self._frames = self._all(done, cut)

    @staticmethod
    def _all(done: subprocess.CompletedProcess[bytes], cut: int | None) -> Iterator[bytes]:
        for start in range(0, len(done.stdout[:cut]), FRAME):
            yield b"\x01" + done.stdout[:cut][start : start + FRAME]
        if cut is not None:
            raise WebSocketConnectionClosedException("gone")
        yield b"\x02" + done.stderr
        causes = b'{"causes": [{"reason": "ExitCode", "message": "%d"}]}' % done.returncode
        ok = b'{"status": "Success"}'
        yield b"\x03" + (b'{"status": "Failure", "details": ' + causes + b"}" if done.returncode else ok)

    def settimeout(self, seconds: float) -> None:
        """Do nothing: nothing is waited for."""

    def recv_data_frame(self, control: bool) -> tuple[int, Any]:  # noqa: FBT001
        data = next(self._frames, None)
        return (ABNF.OPCODE_CLOSE, None) if data is None else (ABNF.OPCODE_BINARY, SimpleNamespace(data=data))


def _pack(url: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "jobs.release.pack", url, *options]
    return subprocess.run(line, capture_output=True, check=False, env=dict(os.environ), timeout=60)


def _output(done: subprocess.CompletedProcess[bytes], cut: int | None = None) -> Output:
    return Output(SimpleNamespace(sock=Socket(done, cut), close=lambda: None))


def _filled(storage: Storage) -> dict[str, bytes]:
    files = {"result.json": b"{}\n", "x.npy": os.urandom(50_001), "attempts/0001": b"a", "empty": b""}
    for name, data in files.items():
        storage.write(name, data)
    with storage.append_log("journal/0001") as log:
        log.append(b"journal " * 1000)
    return files


def _found(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_run_folder_arrives(storage: Storage, tmp_path: Path) -> None:
    """From a folder and from S3 all files arrive byte for byte, the journal only if asked for."""
    files = _filled(storage)
    unpack(_output(_pack(storage.url)), tmp_path / "here", force=False)
    assert _found(tmp_path / "here") == files
    assert stat.S_IMODE((tmp_path / "here").stat().st_mode) == 0o755


def test_the_journal_arrives_as_a_local_one(storage: Storage, tmp_path: Path) -> None:
    """With --journal the run can go on here: a log that S3 keeps in parts becomes one file."""
    files = _filled(storage)
    unpack(_output(_pack(storage.url, "--journal")), tmp_path / "here", force=False)
    assert _found(tmp_path / "here") == files | {"journal/0001": b"journal " * 1000}
    with open_storage(tmp_path / "here").read_log("journal/0001") as log:
        assert log.read() == b"journal " * 1000


def test_a_studys_journal_always_arrives(storage: Storage, tmp_path: Path) -> None:
    """The journal of a tune job is the study, of which reports are made: it comes in any case, as one file."""
    storage.write("options.yaml", b"job: tune\n")
    with storage.append_log("journal/0002.log") as log:
        log.append(b"{}\n" * 1000)
    unpack(_output(_pack(storage.url)), tmp_path / "here", force=False)
    assert _found(tmp_path / "here") == {"options.yaml": b"job: tune\n", "journal/0002.log": b"{}\n" * 1000}


def test_a_cut_connection_leaves_nothing(tmp_path: Path) -> None:
    """When the connection breaks in the middle, neither the folder nor a part of it stays."""
    _filled(open_storage(tmp_path / "run"))
    with pytest.raises(ClusterError, match="connection to the pod was lost"):
        unpack(_output(_pack(str(tmp_path / "run")), cut=20_000), tmp_path / "here", force=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_tar_that_was_changed_on_its_way_is_refused(tmp_path: Path) -> None:
    """Bytes that differ from those that were packed are noticed."""
    _filled(open_storage(tmp_path / "run"))
    done = _pack(str(tmp_path / "run"))
    done.stdout = done.stdout[:2000] + bytes([done.stdout[2000] ^ 1]) + done.stdout[2001:]
    with pytest.raises(ClusterError, match="not all of the run folder came"):
        unpack(_output(done), tmp_path / "here", force=False)
    assert not (tmp_path / "here").exists()


def test_an_empty_run_folder_is_told(tmp_path: Path) -> None:
    """A run folder without files is said in the pod's own words, with code 2."""
    with pytest.raises(InputError, match=r"run folder .*/nothing holds no files \(yet\)"):
        unpack(_output(_pack(str(tmp_path / "nothing"))), tmp_path / "here", force=False)
    assert not list(tmp_path.glob("here*"))


def test_a_folder_with_files_is_replaced_by_force_alone(tmp_path: Path) -> None:
    """A target that holds files is refused, and replaced as a whole by --force."""
    _filled(open_storage(tmp_path / "run"))
    target = tmp_path / "here"
    target.mkdir()
    (target / "mine").write_text("mine")
    with pytest.raises(InputError, match="is not empty: name another folder, or replace it by --force"):
        check_target(target, force=False)
    check_target(target, force=True)
    unpack(_output(_pack(str(tmp_path / "run"))), target, force=True)
    assert "mine" not in _found(target)
    with pytest.raises(InputError, match="is a file"):
        check_target(target / "result.json", force=True)


def test_an_evil_path_is_not_unpacked(tmp_path: Path) -> None:
    """A name that leads out of the folder is refused: the pod is not trusted."""
    tar = tmp_path / "evil.tar"
    with tarfile.open(tar, "w") as packed:
        packed.addfile(tarfile.TarInfo("../outside"))
    sent = tar.read_bytes()
    trailer = json.dumps({"bytes": len(sent), "sha256": hashlib.sha256(sent).hexdigest()})
    done = subprocess.CompletedProcess([], 0, sent, trailer.encode())
    with pytest.raises(ClusterError, match="not all of the run folder came"):
        unpack(_output(done), tmp_path / "in" / "here", force=False)
    assert not (tmp_path / "in" / "outside").exists()


def test_the_helper_pod_is_the_drivers_twin() -> None:
    """Same image, volumes and security; one waiting container without a scheduler; own labels; it ends by itself."""
    driver = run("driver-replaced").driver
    pod = helper_pod(driver)
    template = driver["spec"]["template"]["spec"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == template["containers"][0]["image"]
    assert container["volumeMounts"] == template["containers"][0]["volumeMounts"]
    assert container["securityContext"] == template["containers"][0]["securityContext"]
    assert container["args"][0] == "python"
    assert pod["spec"]["volumes"] == template["volumes"]
    assert pod["spec"]["securityContext"] == template["securityContext"]
    assert "initContainers" not in pod["spec"]
    assert pod["spec"]["activeDeadlineSeconds"] <= 3600
    labels = pod["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "fetch"
    assert labels["app.kubernetes.io/instance"] == "fit"
    assert not [key for key in labels if "controller-uid" in key or "job-name" in key]
    assert pod["metadata"]["ownerReferences"][0]["controller"] is False
