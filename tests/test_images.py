"""The Containerfile's one step that has logic of its own: Debian's packages of the base image's own moment."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

CONTAINERFILE = Path(__file__).parents[1] / "images/Containerfile"
SOURCES = """Types: deb
# http://archive.example/archive/debian/20240110T000000Z
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
# http://archive.example/archive/debian-security/20240110T000000Z
URIs: http://mirror.example/debian-security
Suites: bookworm-security
"""
THEN = """Types: deb
URIs: http://archive.example/archive/debian/20240110T000000Z
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://archive.example/archive/debian-security/20240110T000000Z
Suites: bookworm-security
"""


def _step(folder: Path, snapshot: str) -> int:
    """Run the step on a copy of /etc/apt, and return its exit code."""
    (found,) = re.findall(r'^RUN (\[ "\$DEBIAN_SNAPSHOT" (?:.*\\\n)*.*)$', CONTAINERFILE.read_text(), re.MULTILINE)
    environment = {"DEBIAN_SNAPSHOT": snapshot, "PATH": "/usr/bin:/bin"}
    script = found.replace("/etc/apt", str(folder))
    return subprocess.run(["sh", "-c", script], env=environment, check=False, timeout=60).returncode


def _apt(folder: Path, sources: str) -> Path:
    (folder / "sources.list.d").mkdir()
    (folder / "apt.conf.d").mkdir()
    (folder / "sources.list.d/debian.sources").write_text(sources)
    return folder / "sources.list.d/debian.sources"


@pytest.mark.parametrize(("snapshot", "text", "files"), [("yes", THEN, 1), ("no", SOURCES, 0)])
def test_packages_of_the_base_images_moment(snapshot: str, text: str, files: int, tmp_path: Path) -> None:
    """Asked for, packages come from the archive that the base image names; else from where they always do."""
    sources = _apt(tmp_path, SOURCES)
    assert _step(tmp_path, snapshot) == 0
    assert sources.read_text() == text
    assert len(list((tmp_path / "apt.conf.d").iterdir())) == files


def test_a_base_image_that_names_no_moment_ends_the_build(tmp_path: Path) -> None:
    """Packages of another day would else be taken in silence."""
    _apt(tmp_path, "Types: deb\nURIs: http://mirror.example/debian\n")
    assert _step(tmp_path, "yes") != 0
