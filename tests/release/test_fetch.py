"""Bringing a run folder here: what a pod packs arrives byte for byte, completely or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake import Fake
from situation import run
from streams import SUCCESS, of, output, packed, sent, tar, trailer

from jobs.errors import ClusterError, InputError
from jobs.release.actions.fetch import fetch, helper_pod
from jobs.release.api.exec import Output
from jobs.release.api.objects import RUN_URL
from jobs.storage import Storage, open_storage


def _bring(output: Output, target: Path, *, force: bool = False) -> None:
    """Fetch, into `target`, what the driver's pod sends."""
    fetch(Fake("running", sends=output), "fit", str(target), journal=False, force=force)  # type: ignore[arg-type]


def _filled(storage: Storage) -> dict[str, bytes]:
    files = {
        "options.yaml": b"job: minimize\n",
        "result.json": b"{}\n",
        "x.npy": os.urandom(50_001),
        "attempts/0001": b"a",
        "empty": b"",
    }
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
    _bring(of(packed(storage.url)), tmp_path / "here")
    assert _found(tmp_path / "here") == files
    assert stat.S_IMODE((tmp_path / "here").stat().st_mode) == 0o755


def test_the_journal_arrives_as_a_local_one(storage: Storage, tmp_path: Path) -> None:
    """With --journal the run can go on here: a log that S3 keeps in parts becomes one file."""
    files = _filled(storage)
    _bring(of(packed(storage.url, "--journal")), tmp_path / "here")
    assert _found(tmp_path / "here") == files | {"journal/0001": b"journal " * 1000}
    with open_storage(tmp_path / "here").read_log("journal/0001") as log:
        assert log.read() == b"journal " * 1000


def test_a_studys_journal_always_arrives(storage: Storage, tmp_path: Path) -> None:
    """The journal of a tune job is the study, of which reports are made: it comes in any case, as one file."""
    storage.write("options.yaml", b"job: tune\n")
    with storage.append_log("journal/0002.log") as log:
        log.append(b"{}\n" * 1000)
    _bring(of(packed(storage.url)), tmp_path / "here")
    assert _found(tmp_path / "here") == {"options.yaml": b"job: tune\n", "journal/0002.log": b"{}\n" * 1000}


def test_a_cut_connection_leaves_nothing(tmp_path: Path) -> None:
    """When the connection breaks in the middle, neither the folder nor a part of it stays."""
    _filled(open_storage(tmp_path / "run"))
    with pytest.raises(ClusterError, match="connection to the pod was lost"):
        _bring(of(packed(str(tmp_path / "run")), cut=20_000), tmp_path / "here")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_tar_that_was_changed_on_its_way_is_refused(tmp_path: Path) -> None:
    """Bytes that differ from those that were packed are noticed."""
    _filled(open_storage(tmp_path / "run"))
    done = packed(str(tmp_path / "run"))
    done.stdout = done.stdout[:2000] + bytes([done.stdout[2000] ^ 1]) + done.stdout[2001:]
    with pytest.raises(ClusterError, match="not all of the run folder came"):
        _bring(of(done), tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_an_empty_run_folder_is_told(tmp_path: Path) -> None:
    """A run folder without files is said in the pod's own words, with code 2."""
    with pytest.raises(InputError, match=r"run folder .*/nothing holds no files \(yet\)"):
        _bring(of(packed(str(tmp_path / "nothing"))), tmp_path / "here")
    assert not list(tmp_path.glob("here*"))


def test_a_run_folder_is_replaced_by_force_alone(tmp_path: Path) -> None:
    """A target that holds a run is refused, and replaced as a whole by --force; nothing else is left beside it."""
    files = _filled(open_storage(tmp_path / "run"))
    target = tmp_path / "here"
    target.mkdir()
    (target / "result.json").write_text('{"job": "minimize"}')
    (target / "report.html").write_text("old")
    with pytest.raises(InputError, match="is not empty: name another folder, or replace it by --force"):
        _bring(of(packed(str(tmp_path / "run"))), target)
    _bring(of(packed(str(tmp_path / "run"))), target, force=True)
    assert _found(target) == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "run"]


@pytest.mark.parametrize("name", ["notes.txt", "figures/loss.png", "x.npy.old", "checkpoints.txt"])
def test_force_keeps_a_persons_own_file(name: str, tmp_path: Path) -> None:
    """A file that no run makes and that does not come again is named, and nothing is replaced."""
    _filled(open_storage(tmp_path / "run"))
    target = tmp_path / "here"
    (target / name).parent.mkdir(parents=True)
    (target / name).write_text("mine")
    (target / "result.json").write_text('{"job": "minimize"}')
    before = _found(target)
    with pytest.raises(InputError, match=f"{target} holds '{name}', which no run has made: move it, or name another"):
        _bring(of(packed(str(tmp_path / "run"))), target, force=True)
    assert _found(target) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "run"]


@pytest.mark.parametrize("stream", [bytes(10240), tar(("bla", b"x")), tar(("result.json", b'{"job": "deploy"}'))])
@pytest.mark.parametrize("force", [True, False])
def test_what_is_no_run_is_not_put_here(stream: bytes, force: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """A pod that sends nothing, or files of something else, replaces no run folder, and makes none."""
    target = tmp_path / "here"
    if force:
        target.mkdir()
        (target / "result.json").write_text('{"job": "minimize"}')
    with pytest.raises(InputError, match="the pod sent what is no run folder: no options.yaml, .* of a job"):
        _bring(sent(stream), target, force=force)
    assert _found(tmp_path) == ({"here/result.json": b'{"job": "minimize"}'} if force else {})


def _while_sending(change: Callable[[], object]) -> Output:
    """Return the output of a pod that sends a run while something else happens here."""
    stream = tar(("options.yaml", b"job: minimize\n"))

    def frames() -> Iterator[bytes]:
        change()
        yield from (b"\x01" + stream, b"\x02" + trailer(stream), b"\x03" + SUCCESS)

    return output(frames())


@pytest.mark.parametrize("kind", ["files", "file", "link"])
def test_what_came_meanwhile_stays(kind: str, tmp_path: Path) -> None:
    """Without --force nothing is replaced, also nothing that came to the target while the run folder was on its way."""
    target = tmp_path / "here"

    def fill() -> None:
        if kind == "file":
            target.write_text("mine")
        elif kind == "link":
            (tmp_path / "elsewhere").mkdir()
            target.symlink_to(tmp_path / "elsewhere")
        else:
            target.mkdir()
            (target / "precious.txt").write_text("mine")

    with pytest.raises(InputError, match=f"{target} is "):
        _bring(_while_sending(fill), target)
    assert list(_found(tmp_path).values()) == ([] if kind == "link" else [b"mine"])
    assert target.is_symlink() == (kind == "link")
    assert sorted(path.name for path in tmp_path.iterdir()) == (["elsewhere", "here"] if kind == "link" else ["here"])


def test_what_is_no_run_any_more_stays(tmp_path: Path) -> None:
    """--force replaces a run folder alone, also if it was one when the transfer began."""
    target = tmp_path / "here"
    target.mkdir()
    (target / "result.json").write_text('{"job": "minimize"}')
    with pytest.raises(InputError, match=f"{target} holds files, but no run"):
        _bring(_while_sending(lambda: (target / "result.json").rename(target / "mine")), target, force=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["here", "mine"]


def test_a_cut_connection_leaves_what_was_there(tmp_path: Path) -> None:
    """--force deletes nothing before all of the new run folder has come."""
    _filled(open_storage(tmp_path / "run"))
    target = tmp_path / "here"
    target.mkdir()
    (target / "result.json").write_text('{"job": "minimize"}')
    with pytest.raises(ClusterError, match="connection to the pod was lost"):
        _bring(of(packed(str(tmp_path / "run")), cut=20_000), target, force=True)
    assert (target / "result.json").read_text() == '{"job": "minimize"}'


def test_the_default_name_is_the_run_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name the folder is called as in the cluster; a name that is no plain one is refused."""
    _filled(open_storage(tmp_path / "run"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    cluster: Any = Fake("running", sends=of(packed(str(tmp_path / "run"))), **{RUN_URL: "/runs/fit-1"})
    assert fetch(cluster, "fit", None, journal=False, force=False) == tmp_path / "project/fit-1"
    for url in ("/runs/..", "/runs/.", "/runs/", "", "/", "/runs/.ssh", "/runs/a b", "/runs/-rf", "/runs/\x1b[2J"):
        with pytest.raises(InputError, match="whose last part is no plain name: name a FOLDER here") as told:
            fetch(Fake("running", **{RUN_URL: url}), "fit", None, journal=False, force=True)  # type: ignore[arg-type]
        assert str(told.value).isprintable()
    assert [path.name for path in tmp_path.rglob("project/*")] == ["fit-1"]


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
