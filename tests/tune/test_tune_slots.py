"""Placement: how many trials fit where, quarantine, what ran there when a worker was lost."""

from __future__ import annotations

from jobs.tune.search.placement import Slots, Worker


def _slots(workers: dict[str, Worker], threads: int = 1, gpus: float = 0.0) -> Slots:
    slots = Slots(threads, gpus)
    slots.update(workers)
    return slots


def _fill(slots: Slots) -> list[str]:
    placed = []
    while (address := slots.free()) is not None:
        slots.take(address, len(placed))
        placed.append(address)
    return placed


def test_threads_make_slots() -> None:
    """A worker takes as many trials as their threads fit into its own, the emptiest worker first."""
    slots = _slots({"a": Worker(5), "b": Worker(1)}, threads=2)
    assert slots.total == 2
    assert _fill(slots) == ["a", "a"]


def test_gpus_make_slots() -> None:
    """With GPUs, both they and the threads limit a worker; half a GPU each makes two trials."""
    workers = {"a": Worker(8, 2), "b": Worker(1, 4), "c": Worker(8)}
    assert sorted(_fill(_slots(workers, gpus=1))) == ["a", "a", "b"]
    assert sorted(_fill(_slots(workers, gpus=0.5))) == ["a"] * 4 + ["b"]


def test_trials_spread_over_workers() -> None:
    """The worker with the most room comes first."""
    assert _fill(_slots({"a": Worker(2), "b": Worker(2)})) == ["a", "b", "a", "b"]


def test_a_lost_workers_trials_are_known() -> None:
    """Losing a worker returns who ran there, and its slots are gone."""
    slots = _slots({"a": Worker(2), "b": Worker(1)})
    _fill(slots)
    assert slots.lose("a") == {0, 1}
    assert slots.total == 1
    assert slots.free() is None


def test_update_names_the_gone_until_they_are_lost() -> None:
    """A worker that is no longer listed is returned; its trials are there to be asked for."""
    slots = _slots({"a": Worker(1), "b": Worker(1)})
    slots.take("a", 5)
    assert slots.update({"b": Worker(1)}) == ["a"]
    assert slots.lose("a") == {5}


def test_a_quarantined_trial_waits_for_an_empty_worker_and_keeps_it() -> None:
    """A worker drains for a trial in quarantine, takes nobody else meanwhile and while it runs, and everybody after."""
    slots = _slots({"a": Worker(2)})
    slots.take("a", 0)
    assert slots.quarantine(9) is None
    assert slots.free() is None
    slots.end("a", 0)
    assert slots.quarantine(9) == "a"
    slots.take("a", 9)
    assert slots.free() is None
    assert slots.quarantine(8) is None
    slots.end("a", 9)
    assert slots.quarantine(8) == "a"


def test_quarantined_trials_do_not_share() -> None:
    """Two quarantined trials on two workers are alone on one each, and a third finds none."""
    slots = _slots({"a": Worker(2), "b": Worker(2)})
    first, second = slots.quarantine(1), slots.quarantine(2)
    assert {first, second} == {"a", "b"}
    assert slots.quarantine(3) is None


def test_why_no_worker_is_large_enough() -> None:
    """Threads or GPUs that no worker has are told."""
    assert "the largest worker has 2 threads" in _slots({"a": Worker(2)}, threads=3).too_small()
    assert "no worker declares more than 0 GPUs" in _slots({"a": Worker(2)}, gpus=1).too_small()
