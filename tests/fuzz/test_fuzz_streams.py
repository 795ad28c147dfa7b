"""What a pod sends for its run folder, damaged: the files as they are, or one line, and nothing beside the folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from mutations import damaged, flipped
from seeds import seeded, times
from streams import SUCCESS, output, tar, trailer

from jobs.errors import JobError
from jobs.release.actions.unpack import unpack

FILES = {"result.json": b'{"fun": 1.5}\n', "attempts/1": b"{}", "x.npy": bytes(range(256)) * 8, "journal/1": b"j" * 600}


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
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True)
        try:
            unpack(output([b"\x01" + parts[0], b"\x02" + parts[1], b"\x03" + parts[2]]), here)
            seen["whole"] += 1
        except JobError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert error.exit_code in (2, 3)  # noqa: PT017
            seen["refused"] += 1
        assert [path.name for path in tmp_path.iterdir()] == ["a"]
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["here"]
        assert not any(path.is_symlink() for path in here.rglob("*"))
    assert all(seen.values())
