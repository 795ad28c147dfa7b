"""A store that accepts connections and never answers: a signal ends what waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from proxy import Proxy
from waiting import until

from jobs.errors import ClusterError, Stopped
from jobs.minimize.journal_log import MAGIC
from jobs.options import JobOptions
from jobs.runs.run import Run
from jobs.storage import haste, open_storage

MINIMIZE = Path(__file__).parents[1] / "minimize"
OFTEN = (
    "import sys; from jobs.runs import run; run.STATUS_SECONDS['s3'] = 0.2; from jobs.cli import main; sys.exit(main())"
)


@pytest.fixture
def proxy(s3, monkeypatch) -> Iterator[Proxy]:
    """Yield a proxy before the server, at the end of all `s3://` URLs."""
    proxy = Proxy("127.0.0.1", 0, urlsplit(os.environ["AWS_ENDPOINT_URL"]).port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    yield proxy
    proxy.end()


def _stop_soon(proxy: Proxy) -> None:
    """Send this process SIGTERM once its request is not answered."""
    proxy.fault, before = "frozen", proxy.unanswered

    def stop() -> None:
        until(lambda: proxy.unanswered > before)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()


USES = {
    "status": lambda run: run.status("running", now=True),
    "read": lambda run: run.storage.read("name"),
    "write": lambda run: run.storage.write("name", b"data"),
    "list": lambda run: run.storage.list(),
    "read_unchanged": lambda run: run.storage.read_unchanged("name", (10, 'ETag "x"'), 0, 10),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_signal_ends_a_request_without_an_answer(s3, proxy, use):
    """It ends at once, those that follow wait for one short timeout together, and later runs are patient again."""
    run = Run(f"{s3}/run", "minimize", JobOptions())
    run.start()
    with run.signals():
        _stop_soon(proxy)
        with pytest.raises(Stopped, match="stopped by SIGTERM"):
            use(run)
        with pytest.raises(ClusterError):
            run.storage.write("name", b"data")
        sent = proxy.unanswered
        with pytest.raises(ClusterError, match="does not answer"):
            run.storage.write("name", b"data")
        assert proxy.unanswered == sent
        error = run.explained(Stopped("stopped by SIGTERM; all is saved"))
        assert "goes on from what was saved before (the store does not answer)" in str(error)
    proxy.fault = None
    run.storage.write("name", b"data")


def test_before_work_begins(s3, proxy):
    """So it does before the run has an attempt, and the error is that of a job that was not started."""
    run = Run(f"{s3}/run", "minimize", JobOptions())
    with run.signals():
        _stop_soon(proxy)
        with pytest.raises(Stopped, match="stopped by SIGTERM before work began"):
            run.start()


def test_a_signal_bounds_the_wait_for_a_log(s3, proxy, monkeypatch):
    """What is not uploaded is given up some seconds after a signal, also while `append` waits for room."""
    monkeypatch.setattr(haste, "LOG_SECONDS", 0.5)
    run = Run(f"{s3}/run", "minimize", JobOptions())
    run.start()
    log = run.storage.append_log("log")
    with run.signals():
        _stop_soon(proxy)
        log.append(bytes(65 << 20))
        with pytest.raises(ClusterError, match="log: the log could not be stored .*does not answer"):
            log.append(b"more")
        for use in (log.flush, log.close):
            with pytest.raises(ClusterError, match="does not answer"):
                use()
        assert isinstance(run.explained(ClusterError("no log")), Stopped)


def test_a_healthy_store_is_waited_for(s3, proxy):
    """After a signal a store that answers gets all that is written, with one attempt each."""
    run = Run(f"{s3}/run", "minimize", JobOptions())
    run.start()
    with run.signals(), run.storage.append_log("log") as log:
        os.kill(os.getpid(), signal.SIGTERM)
        log.append(b"record")
        run.storage.write("name", b"data")
    with run.storage.read_log("log") as file:
        assert file.read() == b"record"
    assert run.storage.read("name") == b"data"


def test_a_driver_ends_while_the_store_hangs(s3, proxy):
    """A minimize job whose run folder stops answering ends by SIGTERM, with code 4, and the same command goes on."""
    server = f"http://127.0.0.1:{proxy.target}"
    command = [sys.executable, "-c", OFTEN, "minimize", "--problem", "mortal:slow", "--method", "Nelder-Mead"]
    command += ["--workers", "0", "--options", "xatol=1e-300,fatol=1e-300", "--max-iterations", "400000"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(MINIMIZE), *sys.path))}
    folder = open_storage(f"{s3}/run")

    def start(endpoint: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*command, "--run", folder.url],
            env=environment | {"AWS_ENDPOINT_URL": endpoint},
            stderr=subprocess.PIPE,
            text=True,
        )

    with start(os.environ["AWS_ENDPOINT_URL"]) as process:
        until(lambda: folder.read_log("journal/0001").read().count(MAGIC) > 2, process=process)
        proxy.fault = "frozen"
        until(lambda: proxy.unanswered > 0, process=process)
        process.terminate()
        _, err = process.communicate(timeout=240)
    assert process.returncode == 4, err
    assert "dask-jobs: error: stopped by SIGTERM; the same command goes on from what was saved before" in err
    assert "Traceback" not in err
    with start(server) as process:
        until(lambda: server_has(server, folder.url), process=process)
        process.terminate()
        process.communicate(timeout=240)
    assert process.returncode == 4


def server_has(server: str, url: str) -> bool:
    """Return whether the second attempt has recorded something."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", server)
        with open_storage(url).read_log("journal/0002") as file:
            return file.read().count(MAGIC) > 2
