"""What a pod sends for its run folder, damaged: the files as they are, or one line, and nothing beside the folder."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from random import Random

from mutations import damaged, flipped
from seeds import seeded, times
from streams import SUCCESS, output, tar, trailer

from jobs.errors import JobError
from jobs.release.actions.unpack import unpack

FILES = {"result.json": b'{"fun": 1.5}\n', "attempts/1": b"{}", "x.npy": bytes(range(256)) * 8, "journal/1": b"j" * 600}


def _unpacked(stream: bytes, words: bytes, status: bytes, here: Path) -> str:
    """Unpack what a pod sends into an empty folder; return whether that came whole, or was refused in one line."""
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)
    try:
        unpack(output([b"\x01" + stream, b"\x02" + words, b"\x03" + status]), here)
    except JobError as error:
        assert str(error).isprintable()  # noqa: PT017
        assert error.exit_code in (2, 3)  # noqa: PT017
        return "refused"
    return "whole"


def test_damaged_streams(tmp_path: Path) -> None:
    """Bytes of the tar, of the words after it, and of the exit code."""
    honest, here, seen = tar(*FILES.items()), tmp_path / "a" / "here", {"whole": 0, "refused": 0}
    for number in range(times(250)):
        random = seeded(f"stream-{number}")
        parts = [honest, trailer(honest), SUCCESS]
        which = random.choice((0, 0, 0, 1, 2))
        before, bits = parts[which], random.randint(1, 5)
        parts[which] = change = flipped(before, random, bits) if random.random() < 0.5 else damaged(before, random)
        if which == 0 and random.random() < 0.5:
            parts[1] = trailer(change)  # a pod that lies
        seen[_unpacked(*parts, here)] += 1
        assert [path.name for path in tmp_path.iterdir()] == ["a"]
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["here"]
        assert not any(path.is_symlink() for path in here.rglob("*"))
    assert all(seen.values())


NAMES = (
    "result.json",
    "a/b",
    "a",
    "/abs",
    "../up",
    "a/../../up",
    "./a",
    "a\nb",
    "a\x1b[2J",
    "é",
    "e\u0301",
    "\u202e",
    "A",
)
PAX = ("path", "size", "linkpath", "uname", "hdrcharset", "GNU.sparse.name", "GNU.sparse.realsize", "SCHILY.xattr.x")
KINDS = [bytes([kind]) for kind in b"\x000123456789LKSVMxgXD"]
SIZES = (0, 1, 513, 2**33, 2**70, -1)


def _member(random: Random) -> bytes:
    """Return one of a tar's headers, of any kind, with what may follow it; its sum is right, nothing else need be."""
    header = tarfile.TarInfo(random.choice(NAMES))
    header.type, header.linkname = random.choice([tarfile.REGTYPE] * len(KINDS) + KINDS), random.choice(NAMES)
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")[:512])
    size = random.choice(SIZES)
    block[124:136] = b"%011o\0" % size if 0 <= size < 2**33 else (2**95 + size).to_bytes(12, "big")[-12:]
    block[148:156] = b"%06o\0 " % sum(block[:148] + b" " * 8 + block[156:])
    content = b"x" * random.choice((0, size if 0 <= size < 1000 else 0))
    return bytes(block) + content + bytes(-len(content) % 512)


def _records(random: Random) -> bytes:
    """Return a pax header with some records, of which one may have another length than it says."""
    body = b""
    for name in random.choices(PAX, (8, 8, 1, 1, 1, 1, 1, 1), k=random.randint(1, 3)):
        record = f" {name}={random.choice((*NAMES, *map(str, SIZES), '1e9', ''))}\n".encode()
        length = next(count for count in range(len(record), 999) if len(record) + len(str(count)) == count)
        body += str(length + random.choice((0, 0, 0, 0, 1, -1))).encode() + record
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(body)
    return header.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)


def test_hostile_streams(tmp_path: Path) -> None:
    """Tars of honest sums and hostile headers: other kinds of members, names that lead elsewhere, sizes that lie."""
    here, seen = tmp_path / "a" / "here", {"whole": 0, "refused": 0}
    for number in range(times(600)):
        random = seeded(f"hostile-{number}")
        parts = [random.choice((_member, _member, _records))(random) for _ in range(random.randint(1, 4))]
        stream = b"".join([*([tar(*FILES.items())[:-10240]] * random.randrange(2)), *parts]) + bytes(1024)
        seen[_unpacked(stream, trailer(stream), SUCCESS, here)] += 1
        assert [path.name for path in tmp_path.iterdir()] == ["a"]
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["here"]
        assert all(path.is_dir() or path.is_file() for path in here.rglob("*"))
        assert not any(path.is_symlink() or path.stat().st_mode & 0o7000 for path in here.rglob("*"))
    assert all(seen.values())
