"""What SECURITY.md says: where a cluster of this machine listens, and its commands for TLS."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
from certificates import write_certificates
from doc_blocks import ROOT, blocks, commands_environment
from pods import free_port

from jobs import connect


def test_a_cluster_of_this_machine_listens_on_the_loopback_alone() -> None:
    """No other machine reaches the scheduler's, the workers' or a dashboard's port."""
    before = _listening()
    with connect(workers=2):
        ports = _listening() - before
    assert len(ports) >= 3
    assert {address for address, _ in ports} == {"127.0.0.1"}


def _listening() -> set[tuple[str, int]]:
    """Return the addresses and ports on which this process and its children listen."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [one for process in processes for one in process.net_connections() if one.status == psutil.CONN_LISTEN]
    return {(one.laddr.ip, one.laddr.port) for one in found}


def test_the_commands_for_tls(tmp_path: Path) -> None:
    """With the certificates of a CA they run as they stand."""
    (block,) = (block for block in blocks(ROOT / "SECURITY.md") if "REQUIRE_ENCRYPTION" in block.text)
    write_certificates(tmp_path)
    script = block.text.replace("8786", str(free_port())).replace("8787", str(free_port()))
    environment = {**commands_environment(), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        # A session of its own, by which scheduler and workers are ended: those of a lost scheduler take their time.
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=tmp_path, env=environment, stdout=out, stderr=err, start_new_session=True
        )
        try:
            code = shell.wait(400)
        finally:
            # All of it may have ended by itself by now.
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    assert code == 0, (tmp_path / "err").read_text()
    assert (tmp_path / "out").read_text().startswith("converged")
