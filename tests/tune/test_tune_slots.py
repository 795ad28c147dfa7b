"""Placement: how many trials fit where, quarantine, what ran there when a worker was lost."""

from __future__ import annotations

import random

import pytest

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


@pytest.mark.parametrize("seed", range(5))
def test_the_freest_worker_whatever_happened_before(seed: int) -> None:
    """After any sequence of events it is the first of those with the most free slots, and the total is their sum."""
    draw = random.Random(seed)
    slots = Slots(1, 0.0)
    names, running = [f"w{number}" for number in range(9)], []
    for number in range(600):
        name = draw.choice(names)
        worker = Worker(draw.randint(1, 3), ready=draw.random() < 0.9, paused=draw.random() < 0.1)
        match draw.choice(["add", "lose", "take", "take", "take", "end", "end", "quarantine"]):
            case "add":
                slots.add(name, worker)
            case "lose":
                slots.update({other: one for other, one in slots.workers.items() if other != name})
                slots.lose(name)
                running = [one for one in running if one[0] != name]
            case "end" if running:
                slots.end(*running.pop(draw.randrange(len(running))))
            case event if free := slots.free() if event == "take" else slots.quarantine(number):
                slots.take(free, number)
                running.append((free, number))
        rooms = {address: slots._room(address) for address in sorted(slots.workers)}
        best = max(rooms, key=lambda address: rooms[address], default=None)
        assert slots.free() == (best if best and rooms[best] > 0 else None)
        assert slots.total == sum(slots.capacity(one) for one in slots.workers.values())
