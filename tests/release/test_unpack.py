"""What a pod sends is not trusted: regular files with plain names are written, all else is refused in one line."""

from __future__ import annotations

import io
import json
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from streams import SUCCESS, output, sent, tar, trailer

from jobs.errors import ClusterError, InputError
from jobs.release.actions.unpack import unpack
from jobs.release.api.exec import Output

REGULAR = ("result.json", b"{}\n")


def _entry(name: str, kind: bytes, target: str = "", **pax: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.pax_headers = kind, target, pax
    return entry


def _into(output: Output, folder: Path) -> Path:
    folder.mkdir(parents=True)
    unpack(output, folder)
    return folder


def _cve_2025_4517() -> list[tarfile.TarInfo | tuple[str, bytes]]:
    """Return the published attack: links longer than a path may be, one out of the folder, a hard link through it."""
    long, members, path = "d" * 247, [], ""
    for letter in "abcdefghijklmnop":
        members += [_entry(path + long, tarfile.DIRTYPE), _entry(path + letter, tarfile.SYMTYPE, long)]
        path += f"{long}/"
    chain = "/".join("abcdefghijklmnop") + "/" + "l" * 254
    return [
        *members,
        _entry(chain, tarfile.SYMTYPE, "../" * 16),
        _entry("escape", tarfile.SYMTYPE, chain + "/../../victim"),
        _entry("flaglink", tarfile.LNKTYPE, "escape/flag"),
        ("flaglink", b"OVERWRITTEN BY THE POD"),
        ("escape/planted.py", b"import os"),
    ]


def test_the_published_attack_writes_nothing(tmp_path: Path) -> None:
    """CVE-2025-4517's chain of links ends at its first member: no file beside the folder is written or changed."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "flag").write_text("mine")
    with pytest.raises(InputError, match="the pod sent what is no run folder: 'd+"):
        _into(sent(tar(*_cve_2025_4517())), tmp_path / "a" / "here")
    assert {path.name: path.read_text() for path in victim.iterdir()} == {"flag": "mine"}


def test_nothing_is_left_to_tarfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An honest tar arrives without tarfile's own unpacking, of which Python 3.11.2 has no safe form."""
    for name in ("extractall", "extract", "_extract_member"):
        monkeypatch.delattr(tarfile.TarFile, name)
    files = {"result.json": b"{}\n", "attempts/0001": b"a", "empty": b"", "é" * 60 + "/x" * 12: b"long"}
    here = _into(sent(tar(*files.items())), tmp_path / "here")
    found = {path.relative_to(here).as_posix(): path.read_bytes() for path in here.rglob("*") if path.is_file()}
    assert found == files


def test_the_last_of_two_counts(tmp_path: Path) -> None:
    """A file that changed while it was packed comes twice: the later one replaces the earlier."""
    here = _into(sent(tar(("status.json", b"long before"), REGULAR, ("status.json", b"now"))), tmp_path / "here")
    assert (here / "status.json").read_bytes() == b"now"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../outside",
        "a/../../outside",
        "a/./b",
        "./a",
        "a//b",
        "a/",
        "",
        "a/" * 40 + "b",
        "x" * 256,
        "/".join(["y" * 200] * 8),
        "a\x1b[2Jb",
        "a\nb",
        "a\\b",
    ],
)
def test_odd_names_are_refused(name: str, tmp_path: Path) -> None:
    """A name that is absolute, leads elsewhere, is too long or deep, or no plain text is refused, in one line."""
    with pytest.raises(InputError, match="the pod sent what is no run folder") as told:
        _into(sent(tar(REGULAR, (name, b"x"))), tmp_path / "in" / "here")
    assert str(told.value).isprintable()
    assert [path.name for path in (tmp_path / "in").rglob("*")] in (["here"], ["here", "result.json"])


@pytest.mark.parametrize(
    "member",
    [
        _entry("link", tarfile.SYMTYPE, "/etc"),
        _entry("link", tarfile.LNKTYPE, "result.json"),
        _entry("device", tarfile.CHRTYPE),
        _entry("block", tarfile.BLKTYPE),
        _entry("pipe", tarfile.FIFOTYPE),
        _entry("folder", tarfile.DIRTYPE),
        _entry("sparse", tarfile.REGTYPE, **{"GNU.sparse.map": "0,1", "GNU.sparse.size": "1099511627776"}),
        _entry("sparse", tarfile.REGTYPE, **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
        _entry("linked", tarfile.REGTYPE, linkpath="/etc/passwd"),
        _entry("nul", tarfile.REGTYPE, path="a\0b"),
        _entry("negative", tarfile.REGTYPE, size="-1"),
        _entry("strange", tarfile.REGTYPE, size="many"),
        _entry("late", tarfile.REGTYPE, mtime="1e400"),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}-{len(member.pax_headers)}",
)
def test_odd_members_are_refused(member: tarfile.TarInfo, tmp_path: Path) -> None:
    """Links, devices, pipes, folders and sparse files are refused: a pod packs regular files alone."""
    with pytest.raises(InputError, match="the pod sent what is no run folder"):
        _into(sent(tar(REGULAR, member)), tmp_path / "here")
    assert [path.name for path in (tmp_path / "here").rglob("*")] == ["result.json"]


def test_gnu_sparse_members_are_refused(tmp_path: Path) -> None:
    """The old form of a sparse file, which stands for bytes that were never sent, is refused by its type."""
    stream = tar(_entry("big", tarfile.GNUTYPE_SPARSE), form=tarfile.GNU_FORMAT)
    with pytest.raises(InputError, match="no run folder"):
        _into(sent(stream), tmp_path / "here")


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    """A name below one that is a file already is refused, not followed."""
    with pytest.raises(InputError, match="no run folder: 'a/b'"):
        _into(sent(tar(("a", b"x"), ("a/b", b"x"))), tmp_path / "here")


def _header(size: int, kind: bytes = tarfile.XHDTYPE) -> bytes:
    entry = tarfile.TarInfo("header")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    "stream",
    [
        _header(2**33 - 1) + bytes(2**20),
        _header(0) * 5000 + tar(REGULAR),
        _header(0, tarfile.XGLTYPE) + tar(REGULAR),
        _header(512) + b"no record".ljust(512, b"\0") + tar(REGULAR),
        _header(512) + b"99 path=x\n".ljust(512, b"\0") + tar(REGULAR),
        _header(512) + b"9 path=\xff\n".ljust(512, b"\0") + tar(REGULAR),
        b"\xff" * 5000,
        tar(REGULAR) + b"more",
        tar(REGULAR) + bytes(2**20),
        tar(("\udcff", b"x"), form=tarfile.GNU_FORMAT),
    ],
    ids=["huge", "nested", "global", "junk", "short", "bytes", "noise", "tail", "zeros", "surrogate"],
)
def test_odd_headers_are_refused(stream: bytes, tmp_path: Path) -> None:
    """Headers that are huge, nested, global or damaged, and bytes after the end, are refused in one line."""
    with pytest.raises(InputError, match="the pod sent what is no run folder"):
        _into(sent(stream), tmp_path / "here")


@pytest.mark.parametrize("cut", [0, 100, 512, 700, 1500])
def test_a_tar_that_ends_early_did_not_come_completely(cut: int, tmp_path: Path) -> None:
    """A stream without its end is told as one that may come completely when it is asked for again."""
    whole = tar(("x.npy", bytes(1000)))
    with pytest.raises(ClusterError, match="not all of the run folder came"):
        _into(sent(whole[:cut], trailer(whole)), tmp_path / "here")


WHOLE = tar(REGULAR)


@pytest.mark.parametrize(
    "stderr",
    [
        b"",
        b"\n",
        b"Killed\n",
        b"[]\n",
        b"null\n",
        b"7\n",
        b"{}\n",
        json.dumps({"bytes": len(WHOLE)}).encode(),
        json.dumps({"bytes": len(WHOLE) - 1, "sha256": "0" * 64}).encode(),
        json.dumps({"bytes": str(len(WHOLE)), "sha256": None}).encode(),
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_odd_trailers(stderr: bytes, tmp_path: Path) -> None:
    """A trailer that is missing, no JSON, of another form, or of other bytes means that not all came."""
    with pytest.raises(ClusterError, match="not all of the run folder came; the same call tries again"):
        _into(sent(WHOLE, stderr), tmp_path / "here")


def test_words_after_the_trailer(tmp_path: Path) -> None:
    """What the pod's Python says at its exit, after the trailer, does not hide it."""
    _into(sent(WHOLE, trailer(WHOLE) + b"Exception ignored in: <_io.TextIOWrapper>\n"), tmp_path / "here")
    assert (tmp_path / "here/result.json").read_bytes() == b"{}\n"


@pytest.mark.parametrize(
    "status",
    [b"", b"[]", b"null", b"3", b"{", b"[" * 100_000, b"{}", b'{"status": ["Success"]}'],
)
def test_odd_ends_of_a_command(status: bytes, tmp_path: Path) -> None:
    """Without the API's word on how the command ended, the connection counts as lost."""
    with pytest.raises(ClusterError, match="the connection to the pod was lost; the same call tries again"):
        _into(sent(WHOLE, status=status), tmp_path / "here")


@pytest.mark.parametrize(
    "details",
    [
        None,
        [],
        {"causes": None},
        {"causes": 5},
        {"causes": [None, 7, {"reason": ["ExitCode"], "message": {}}]},
        {"causes": [{"reason": "ExitCode", "message": "abc"}]},
        {"causes": [{"reason": "ExitCode", "message": "9" * 5000}]},
        {"causes": [{"reason": "ExitCode", "message": 1e400}]},
    ],
)
def test_odd_exit_codes(details: Any, tmp_path: Path) -> None:
    """A failure with details that are no exit code is a failure still, in the pod's words."""
    status = json.dumps({"status": "Failure", "details": details}).encode()
    with pytest.raises(InputError, match="run folder x holds no files"):
        _into(sent(WHOLE, b"run folder x holds no files\n", status), tmp_path / "here")


def test_a_pods_error_is_one_plain_line(tmp_path: Path) -> None:
    """What a pod says of its failure is shown without control characters, and cut to a line's length."""
    status = b'{"status": "Failure", "message": "exit"}'
    with pytest.raises(InputError) as told:
        _into(sent(WHOLE, b"\x1b]0;title\x07 bad \x9b2J" + b"x" * 5000, status), tmp_path / "here")
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 600


def test_a_flood_of_standard_error_is_not_kept(tmp_path: Path) -> None:
    """Of 300 MB of standard error the end is kept, where the trailer is."""
    flood = (b"\x02" + b"noise " * 10_000 for _ in range(5000))
    frames = (
        frame for part in ([b"\x01" + WHOLE], flood, [b"\x02\n" + trailer(WHOLE), b"\x03" + SUCCESS]) for frame in part
    )
    tracemalloc.start()
    try:
        _into(output(frames), tmp_path / "here")
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert (tmp_path / "here/result.json").exists()


def test_a_flood_of_status_is_not_kept(tmp_path: Path) -> None:
    """A status that never ends is none."""
    frames = (frame for part in ([b"\x01" + WHOLE], (b"\x03" + bytes(60_000) for _ in range(2000))) for frame in part)
    with pytest.raises(ClusterError, match="the connection to the pod was lost"):
        _into(output(frames), tmp_path / "here")


def test_a_stream_is_read_as_it_comes(tmp_path: Path) -> None:
    """A member larger than a frame arrives whole, with a size that only its pax header can say."""
    content = bytes(range(256)) * 5000
    member = io.BytesIO()
    with tarfile.open(fileobj=member, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("x.npy")
        entry.size, entry.pax_headers = len(content), {"size": str(len(content))}
        archive.addfile(entry, io.BytesIO(content))
    assert (_into(sent(member.getvalue()), tmp_path / "here") / "x.npy").read_bytes() == content
