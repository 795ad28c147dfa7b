"""The provenance in the run folder: command line, software, code, commit; as data, whatever it holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import main
from jobs.errors import InputError
from jobs.formatting import without_credentials
from jobs.runs.provenance import git
from jobs.runs.provenance.code import keep, modules_of, restore
from jobs.runs.provenance.git import commit_of
from jobs.runs.provenance.packages import packages
from jobs.runs.provenance.reading import read_provenance
from jobs.sources import Source
from jobs.storage import Storage, open_storage

PROBLEM = """
import numpy as np
import kept_part
import kept_secrets

class Problem:
    rows = 100
    def x0(self): return np.zeros(2)
    def load(self, start, stop): return np.arange(start, stop, dtype=float)
    def value_and_grad(self, theta, data):
        gap = theta - kept_part.TARGET
        return float(len(data) * gap @ gap), 2 * len(data) * gap

def problem(): return Problem()
"""
HOSTILE = '"><script>alert(1)</script>\x1b[31m'


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a user's code, on the path, the current one, and in git."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "kept_model.py").write_text(PROBLEM)
    (folder / "kept_part.py").write_text("TARGET = 3.0\n")
    (folder / "kept_secrets.py").write_text("PASSWORD = 'hunter2'\n")
    _git(folder, "init")
    _git(folder, "add", ".")
    _git(folder, "commit", "-m", "first")
    _git(folder, "tag", "v1")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    for name in ("kept_model", "kept_part", "kept_secrets"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def _minimize(run: str, *more: str) -> int:
    return main(["minimize", "--problem", "kept_model:problem", "--workers", "0", "--run", run, *more])


def test_a_run_keeps_what_it_was_made_of(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Command, software, code with its commit and its copy, and the pod's image; secrets are not copied."""
    monkeypatch.setenv("DASK_JOBS_IMAGE", "registry/image@sha256:1")
    monkeypatch.setenv("DASK_JOBS_RELEASE", "fit")
    (code / "kept_part.py").write_text("TARGET = 2.0\n")
    assert _minimize("runs/a", "--options", "ftol=1e-9") == 0
    kept = json.loads((code / "runs/a/provenance/0001.json").read_bytes())
    assert kept["command"][:4] == ["dask-jobs", "minimize", "--problem", "kept_model:problem"]
    assert (kept["image"], kept["release"]) == ("registry/image@sha256:1", "fit")
    assert kept["python"] == ".".join(map(str, sys.version_info[:3]))
    assert kept["packages"]["numpy"]
    assert sorted(kept["code"]["sources"]) == ["kept_model.py", "kept_part.py", "kept_secrets.py"]
    assert kept["code"]["left_out"] == {"kept_secrets.py": "looks like a secret"}
    assert (kept["code"]["git"]["describe"], kept["code"]["git"]["changed"]) == ("v1", True)
    assert len(kept["code"]["git"]["commit"]) == 40
    copy = code / "runs/a/code" / kept["code"]["name"]
    assert sorted(path.name for path in copy.iterdir()) == ["kept_model.py", "kept_part.py"]
    assert (copy / "kept_part.py").read_text() == "TARGET = 2.0\n"
    assert kept["identity"]["source of kept_part.py"] == kept["code"]["sources"]["kept_part.py"]


def test_show_and_report_say_it(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` has it in three lines, the report in a folded section."""
    assert _minimize("runs/a") == 0
    capsys.readouterr()
    assert main(["show", "runs/a"]) == 0
    shown = capsys.readouterr().out
    assert "made by   dask-jobs minimize --problem kept_model:problem" in shown
    assert "kept_model.py and 2 more modules, code " in shown
    assert "; git v1\n" in shown
    assert not [line for line in shown.splitlines() if line != line.rstrip()]
    assert main(["report", "runs/a"]) == 0
    page = (code / "runs/a/report.html").read_text()
    assert "<h2>Provenance</h2>" in page
    assert "<summary>What the last attempt was made of</summary>" in page


def _hostile(**changes: Any) -> bytes:
    content = {
        "attempt": 1, "time": HOSTILE, "command": [HOSTILE], "python": HOSTILE, "platform": HOSTILE, "image": HOSTILE,
        "identity": {HOSTILE: {HOSTILE: [HOSTILE]}}, "packages": {f"{HOSTILE}{n}": HOSTILE for n in range(5000)},
        "code": {"name": "00000000", "sources": {HOSTILE: HOSTILE}, "left_out": {HOSTILE: HOSTILE}, "git": None},
    }  # fmt: skip
    return json.dumps(content | changes).encode()


@pytest.mark.parametrize(
    "content",
    [
        _hostile(), b"", b"[]", b"{", b"\xff", b"[" * 100_000, _hostile(packages=[1]), _hostile(attempt="x"),
        _hostile(code={"name": "../../etc", "sources": {}, "left_out": {}}), b" " * (4 * 2**20 + 1),
    ],
)  # fmt: skip
def test_a_hostile_provenance_is_data(content: bytes, code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a fetched folder says of its origin: escaped, of bounded size, and the result is shown all the same."""
    run = code / "runs/a"
    (run / "provenance").mkdir(parents=True)
    (run / "options.yaml").write_text("job: minimize\n")
    (run / "provenance/0001.json").write_bytes(content)
    assert main(["show", str(run)]) == 4
    shown = capsys.readouterr().out
    assert "minimize not started" in shown
    assert "\x1b" not in shown
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "<script>alert" not in page
    assert len(page) < 10 * 2**20


def test_the_copy_of_the_code_is_checked(storage: Storage, tmp_path: Path) -> None:
    """What is restored has the digests of the provenance; a name that leads elsewhere is refused."""
    module = Source("part.mod", "/x/part/mod.py", package=False, text="X = 1\n")
    assert keep(storage, "code/12345678/", [module]) == {}
    restore(storage, "code/12345678/", {"part/mod.py": module.digest}, tmp_path / "a")
    assert (tmp_path / "a/part/mod.py").read_text() == "X = 1\n"
    storage.write("code/12345678/part/mod.py", b"X = 2\n")
    with pytest.raises(InputError, match="part/mod.py was changed since it was copied"):
        restore(storage, "code/12345678/", {"part/mod.py": module.digest}, tmp_path / "b")
    with pytest.raises(InputError, match="other.py is missing: the run folder has no whole copy"):
        restore(storage, "code/12345678/", {"other.py": ""}, tmp_path / "b")
    for name in ("../evil.py", "/evil.py", "a//b.py", "évil.py", "evil.pth"):
        with pytest.raises(InputError, match="is no name of one"):
            restore(storage, "code/12345678/", {name: ""}, tmp_path / "b")


def test_too_much_code_is_not_copied(tmp_path: Path) -> None:
    """Up to 1 MiB of modules are copied; a private key in one keeps it out, whatever it is called."""
    storage = open_storage(tmp_path / "run")
    large = Source("large", "large.py", package=False, text="#" * (2**20 + 1))
    assert "more than 200, or 1 MiB" in keep(storage, "code/1/", [large])["large.py"]
    key = Source("fine", "fine.py", package=False, text="KEY = '''-----BEGIN RSA PRIVATE KEY-----'''\n")
    assert keep(storage, "code/1/", [key]) == {"fine.py": "looks like a secret"}
    assert storage.list() == []


def test_the_packages_around_a_module_are_code_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python runs the __init__.py of a module's package before the module."""
    (tmp_path / "kept_package").mkdir()
    (tmp_path / "kept_package/__init__.py").write_text("SCALE = 2\n")
    (tmp_path / "kept_package/mod.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [one.label for one in modules_of(["kept_package.mod"])] == [
        "kept_package/mod.py",
        "kept_package/__init__.py",
    ]


def test_versions_are_those_of_importlib() -> None:
    """The names of folders say what the metadata say."""
    from importlib.metadata import version

    found = packages()
    assert list(found) == sorted(found)
    for name in ("numpy", "scipy", "dask", "import-linter", "ruamel-yaml" if "ruamel-yaml" in found else "pyyaml"):
        assert found[name] == version(name)


def test_a_repository_runs_nothing(code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither file monitors, hooks, filters nor attributes of a repository run a program, and submodules do not."""
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    evil.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "pre-commit", "fsmonitor-watchman", "post-checkout"):
        (hooks / hook).symlink_to(evil)
    (code / ".gitattributes").write_text("* filter=bad diff=bad\n")
    _git(code, "add", ".")
    _git(code, "commit", "-m", "attributes")
    settings = {
        "core.fsmonitor": str(evil), "core.hooksPath": str(hooks), "core.pager": str(evil),
        **{f"filter.bad.{key}": str(evil) for key in ("clean", "smudge", "process")}, "filter.bad.required": "true",
        "diff.external": str(evil), "diff.bad.textconv": str(evil), "core.sshCommand": str(evil),
    }  # fmt: skip
    for name, value in settings.items():
        _git(code, "config", name, value)
    (code / ".git/info").mkdir(exist_ok=True)
    (code / ".git/info/attributes").write_text("* filter=bad\n")
    for name in code.glob("*.py"):
        os.utime(name, (1, 1))  # so that git has to read them
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    found = commit_of(str(code))
    assert found is not None
    assert found["describe"].startswith("v1-1-g")
    assert found["changed"] is False
    assert not (tmp_path / "ran").exists()


def test_a_git_that_hangs_does_not(code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository on a disk that does not answer costs its time limit, once for all requests."""
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 900\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(git, "SECONDS", 0.3)
    assert commit_of(str(code)) is None


def test_a_folder_without_git_has_no_commit(tmp_path: Path) -> None:
    """That is no error."""
    assert commit_of(str(tmp_path)) is None
    assert read_provenance(open_storage(tmp_path)) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://user:pass@host/x", "s3://host/x"),
        ("--fixed=data=http://me:a/b@h", "--fixed=data=http://h"),
        ("--data=npz:s3://bucket/x.npz", "--data=npz:s3://bucket/x.npz"),
    ],
)
def test_credentials_of_urls_are_cut(text: str, shown: str) -> None:
    """A command line in the run folder has no password that a URL of it has."""
    assert without_credentials(text) == shown
