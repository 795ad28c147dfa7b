"""Workers that die, hang, leave or come in mid-search: no trial is lost, none is counted twice, none blamed wrongly."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trials
from distributed import Client, LocalCluster
from pods import pods_in
from waiting import until

from jobs import connect
from jobs.commands import write_report
from jobs.errors import ClusterError, InputError
from jobs.runs import attempt
from jobs.storage import open_storage
from jobs.tune import Study, space
from jobs.tune.job import run
from jobs.tune.options import Options
from jobs.tune.search import running
from jobs.tune.summary import show


def _meanwhile(action: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def _processes(folder: Path) -> set[int]:
    return {int(path.name.split("-")[2]) for path in folder.glob("try-*")}


def _complete_once(study: Study, count: int) -> None:
    table = study.rows()
    assert [row["number"] for row in table] == list(range(count))
    assert {row["state"] for row in table} == {"complete"}
    assert study.result["trials"]["complete"] == count


@pytest.mark.parametrize("victims", [1, 2])
def test_workers_killed_in_mid_trial(
    victims: int, breakable: Client, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """kill -9 of one worker, or of all, with four trials running: each is complete once, with its own parameters."""
    study = Study(breakable, trials.waits, trials.with_folder(traces), run=str(tmp_path / "run"))

    def kill() -> None:
        until(lambda: len(list(traces.glob("try-*"))) >= 4)
        for process in sorted(_processes(traces))[:victims]:
            os.kill(process, signal.SIGKILL)
        (traces / "go").touch()

    killer = _meanwhile(kill)
    study.run(trials=10)
    killer.join()
    _complete_once(study, 10)
    drawn = [space.draw(trials.with_folder(traces), 0, number)["x"] for number in range(10)]
    assert [row["params_x"] for row in study.rows()] == drawn
    assert {row["tries"] for row in study.rows()} == {1, 2}
    lost = study.result["lost_executions"]
    assert lost == sum(row["tries"] - 1 for row in study.rows())
    show(study.result, str(tmp_path / "run"))
    assert f"lost workers    {lost} executions retried\n" in capsys.readouterr().out
    write_report(open_storage(tmp_path / "run"))
    assert f"Retried because a worker was lost: {lost} executions." in (tmp_path / "run/report.html").read_text()


def test_a_trial_that_kills_its_worker_is_found_out(breakable: Client, traces: Path, tmp_path: Path) -> None:
    """It is failed after it was alone on the workers that died; those beside it are complete, whatever they saw."""
    study = Study(
        breakable, trials.suicide, trials.with_folder(traces, low=-0.25), run=str(tmp_path / "run"), max_losses=2
    )
    study.run(trials=10)
    killers = [row["number"] for row in study.rows() if row["params_x"] < 0]
    assert killers
    assert [row["number"] for row in study.rows() if row["state"] == "failed"] == killers
    assert study.result["trials"] == {"complete": 10 - len(killers), "pruned": 0, "failed": len(killers), "diverged": 0}
    for row in study.rows():
        if row["number"] in killers:
            assert "lost 2 times while it ran alone (memory?)" in row["error"]
            assert len(list(traces.glob(f"try-{row['number']:02d}-*"))) in (2, 3)


def test_a_worker_that_leaves_in_order_is_nobodys_fault(breakable: Client, traces: Path, tmp_path: Path) -> None:
    """A trial alone on a retired worker is tried elsewhere; with one loss allowed it would have failed."""
    study = Study(breakable, trials.waits, trials.with_folder(traces), run=str(tmp_path / "run"), max_losses=1)

    def leave() -> None:
        until(lambda: len(list(traces.glob("try-*"))) == 2)
        # On a busy machine both trials may run on one worker: the other was not ready in time.
        busy = min(_processes(traces))
        breakable.retire_workers([one for one, process in breakable.run(os.getpid).items() if process == busy])
        until(lambda: len(list(traces.glob("try-*"))) >= 3)
        (traces / "go").touch()

    thread = _meanwhile(leave)
    study.run(trials=2)
    thread.join()
    _complete_once(study, 2)


def test_a_worker_that_joins_is_used(cluster: LocalCluster, breakable: Client, traces: Path, tmp_path: Path) -> None:
    """Trials wait for the file that is written only when six run at once, on the three workers that there are then."""
    study = Study(breakable, trials.waits, trials.with_folder(traces), run=str(tmp_path / "run"))

    def join() -> None:
        until(lambda: len(list(traces.glob("try-*"))) == 4)
        cluster.scale(3)
        until(lambda: len(list(traces.glob("try-*"))) == 6)
        (traces / "go").touch()

    thread = _meanwhile(join)
    study.run(trials=8)
    thread.join()
    _complete_once(study, 8)
    assert len(_processes(traces)) == 3


def test_a_worker_that_hangs(breakable: Client, traces: Path, tmp_path: Path) -> None:
    """A stopped process keeps its connection but loses its place: its trials run elsewhere."""
    study = Study(breakable, trials.waits, trials.with_folder(traces), run=str(tmp_path / "run"))
    stopped: list[int] = []

    def hang() -> None:
        until(lambda: len(list(traces.glob("try-*"))) == 4)
        stopped.append(min(_processes(traces)))
        os.kill(stopped[0], signal.SIGSTOP)
        (traces / "go").touch()

    thread = _meanwhile(hang)
    try:
        study.run(trials=4)
    finally:
        thread.join()
        with contextlib.suppress(ProcessLookupError):  # its nanny may have ended it
            os.kill(stopped[0], signal.SIGKILL)
    _complete_once(study, 4)


def test_a_trial_goes_on_from_its_checkpoint(breakable: Client, traces: Path, tmp_path: Path) -> None:
    """A trial that saves continues after its last step on another worker; what it reported before stays."""
    alone = {"threads_per_trial": 2}  # in its worker: another one's death is not to catch it before its first save
    run = str(tmp_path / "run")
    study = Study(breakable, trials.saves, trials.with_folder(traces), run=run, pruner="none", **alone)
    study.run(trials=2)
    _complete_once(study, 2)
    for number in (0, 1):
        steps = sorted(int(path.name.split("-")[2]) for path in traces.glob(f"step-{number}-*"))
        assert set(steps) == {1, 2, 3, 4, 5, 6}
        assert len(list(traces.glob(f"step-{number}-1-*"))) == len(list(traces.glob(f"step-{number}-2-*"))) == 1
    assert [row["steps"] for row in study.rows()] == [6, 6]
    assert (tmp_path / "run/checkpoints/0000.json").exists()


def test_a_deaf_trial_is_ended_with_its_worker(
    breakable: Client, traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial out of time that never reports fails, and its worker process with it; those beside it are complete."""
    monkeypatch.setattr(running, "GRACE_SECONDS", 0.3)
    study = Study(
        breakable, trials.deaf, trials.with_folder(traces, low=-0.3), run=str(tmp_path / "run"), trial_timeout=3
    )
    study.run(trials=8)
    for row in study.rows():
        expected = ("failed", "took longer than 3 s (trial_timeout)") if row["params_x"] < 0 else ("complete", None)
        assert (row["state"], row["error"]) == expected
    assert study.result["trials"]["failed"] > 0


def test_no_worker_for_too_long(cluster: LocalCluster, breakable: Client, traces: Path, tmp_path: Path) -> None:
    """With all workers gone and none coming, the job ends in time and says so; the same study goes on later."""
    study = Study(breakable, trials.waits, trials.with_folder(traces), run=str(tmp_path / "run"), workers_timeout=1)
    thread = _meanwhile(lambda: (until(lambda: len(list(traces.glob("try-*"))) == 2), cluster.scale(0)))
    with pytest.raises(ClusterError, match=r"no worker for 1 s \(workers_timeout\)"):
        study.run(trials=2)
    thread.join()
    cluster.scale(1)
    breakable.wait_for_workers(1)
    (traces / "go").touch()
    study.run(trials=2)
    _complete_once(study, 2)


def test_no_worker_is_large_enough(breakable: Client, tmp_path: Path) -> None:
    """A trial that needs more threads or GPUs than any worker has is refused."""
    dimensions = {"x": space.uniform(0, 1)}
    for options, told in (
        ({"threads_per_trial": 3}, "threads_per_trial is 3, but the largest worker has 2 threads"),
        ({"gpus_per_trial": 1}, "gpus_per_trial is 1, but no worker declares more than 0 GPUs"),
    ):
        with pytest.raises(InputError, match=told):
            Study(breakable, trials.sleeps, dimensions, run=str(tmp_path / "run"), **options).run(trials=2)


def test_threads_per_trial(breakable: Client, traces: Path, tmp_path: Path) -> None:
    """With two threads a trial, two workers of two run two trials at once, and no third one starts beside them."""
    study = Study(breakable, trials.waits, trials.with_folder(traces), run=str(tmp_path / "run"), threads_per_trial=2)
    result = study.run(trials=4, max_seconds=4)
    assert result["unfinished"] == 2
    assert len(list(traces.glob("try-*"))) == 2


def test_one_trial_a_gpu(traces: Path, tmp_path: Path) -> None:
    """On a release's worker with four threads and one GPU, trials of one GPU run one at a time, of half a one two."""
    with pods_in(tmp_path) as pods:
        pods.scheduler()
        pods.worker("worker", "--threads", 4, "--gpus", 1)
        with connect(pods.address, workers=1) as client:
            for gpus, running in ((1, 1), (0.5, 2)):
                run = str(tmp_path / f"run-{gpus}")
                study = Study(client, trials.waits, trials.with_folder(traces), run=run, gpus_per_trial=gpus)
                assert study.run(trials=4, max_seconds=4)["unfinished"] == running
                assert len(list(traces.glob("try-*"))) == running
                (traces / "go").touch()
                assert study.run(trials=4, max_seconds=60)["trials"]["complete"] == 4
                for path in traces.iterdir():
                    path.unlink()


def test_a_search_that_goes_on_takes_fewer_workers(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search that began with two workers goes on with one, after a while: its cluster may have been scaled down."""
    monkeypatch.setattr(attempt, "DEGRADED_START_SECONDS", 0.5)
    options = Options(
        objective="trials:quadratic",
        space=space.plain(trials.QUADRATIC),
        scheduler=cluster.scheduler_address,
        workers=2,
        workers_timeout=10,
        trials=4,
        run=str(tmp_path / "run"),
    )
    assert run(options)["workers"] == 2
    cluster.scale(1)
    until(lambda: len(cluster.scheduler_info["workers"]) == 1)
    result = run(options.model_copy(update={"trials": 8}))
    assert (result["attempt"], result["workers"], result["trials"]["complete"]) == (2, 1, 8)
