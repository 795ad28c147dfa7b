"""The result does not depend on the workers: their number, their losses, their joining."""

from __future__ import annotations

import os
import signal
import threading
import time

import networks
import pytest
from distributed import Client
from serial_runs import bits, plan_of, trained

from jobs import connect
from jobs.train.group.trainer import ClusterTrainer
from jobs.train.process.messages import Status
from jobs.usercode import UserCode

STEPS = 30
PLANS = {
    "gradient": plan_of(networks.data, validation=0.1),
    "bfloat16": plan_of(networks.data, validation=0.1, wire="bfloat16"),
    "parameters": plan_of(networks.data, validation=0.1, every=4),
    "reset": plan_of(networks.data, validation=0.1, every=7, slots="reset"),
    "factory": plan_of(networks.batches),
}


def _run(client: Client, create_model, plan, steps=STEPS, progress=lambda _: None):
    """Return (bits of each replica, sums of the epoch, validation, trainer) after some steps."""
    trainer = ClusterTrainer(client, UserCode("create_model", create_model, "m:f"), poll=lambda: None)
    try:
        trainer.load(plan)
        trainer.start(None)
        status = trainer.train(steps, progress)
        return trainer.on_all(bits), status["sums"], trainer.evaluate(), trainer
    finally:
        trainer.close()


@pytest.fixture(scope="module")
def serial():
    """Return plan -> what one process without a cluster finds."""
    found = {}
    for name, plan in PLANS.items():
        made = trained(networks.odd, plan, STEPS)
        found[name] = (bits(made.replica.model), made.sums.tolist(), sum(made.evaluate(range(8)).values()).tolist())
    return found


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_number_of_workers(name, workers, client_of, serial):
    """Weights, statistics, optimizer, metrics and validation, with dropout and batch normalization, bit for bit."""
    replicas, sums, held_out, _ = _run(client_of(workers), networks.odd, PLANS[name])
    wanted, wanted_sums, wanted_held = serial[name]
    assert replicas == [wanted] * workers
    assert list(sums) == wanted_sums
    assert held_out.tolist() == wanted_held


def test_eight_workers_and_five_and_spares(serial):
    """Eight processes, of which three leave; with two parts three of the five are spares."""
    spared = plan_of(networks.data, parts=2)
    wanted = bits(trained(networks.odd, spared, STEPS).replica.model)
    with connect(workers=8) as client:
        assert _run(client, networks.odd, PLANS["gradient"])[0] == [serial["gradient"][0]] * 8
        client.cluster.scale(5)
        while len(client.scheduler_info(n_workers=-1)["workers"]) > 5:
            time.sleep(0.1)
        assert _run(client, networks.odd, PLANS["gradient"])[0] == [serial["gradient"][0]] * 5
        assert _run(client, networks.odd, spared)[0] == [wanted] * 5


def test_start_weights_do_not_depend_on_what_a_worker_does_beside(client_of, serial):
    """Keras draws seeds from Python's random, from which other threads of a worker draw too."""
    client = client_of(2)
    client.run(_draw)
    try:
        assert _run(client, networks.odd, PLANS["gradient"])[0] == [serial["gradient"][0]] * 2
    finally:
        client.run(_draw, stop=True)


def _draw(*, stop: bool = False) -> None:
    """Draw from Python's random in a thread of this process, or stop it."""
    import random

    if stop:
        random.drawing = False
        return
    random.drawing = True

    def draw() -> None:
        while random.drawing:
            random.randint(0, 9)
            time.sleep(0)

    threading.Thread(target=draw, daemon=True).start()


@pytest.mark.parametrize("every", [0, 4])
def test_a_connection_breaks(every, client_of):
    """The worker is admitted once more in mid-epoch, with the state that it has, the epoch's sums too."""
    client, plan, steps, broken = client_of(1), plan_of(networks.data, every=every), 2 * STEPS, []
    wanted = trained(networks.slow, plan, steps)

    def progress(status: Status) -> None:
        if status["step"] % 10 and not broken:
            broken.extend(one for used in client.rpc.occupied.values() for one in used)
            for connection in broken:
                connection.abort()

    replicas, sums, _, trainer = _run(client, networks.slow, plan, steps, progress)
    assert broken
    assert trainer.lost_workers == 1
    assert (replicas, list(sums)) == ([bits(wanted.replica.model)], wanted.sums.tolist())


@pytest.mark.parametrize("every", [0, 5])
def test_a_worker_is_killed_and_its_successor_joins(every):
    """Survivors finish the step without a restart; the nanny's new process joins; no sample is lost or doubled."""
    plan, steps = plan_of(networks.data, every=every), 60
    wanted = trained(networks.slow, plan, steps)
    with connect(workers=3) as client:
        (address, process), *_ = client.run(os.getpid).items()
        killed = []

        def progress(status: Status) -> None:
            if status["step"] > 10 and not killed:
                killed.append(status["step"])
                os.kill(process, signal.SIGKILL)

        replicas, sums, _, trainer = _run(client, networks.slow, plan, steps, progress)
    assert killed
    assert killed[0] < steps
    assert trainer.lost_workers == 1
    records = trainer.timeline.records
    assert [(one.worker, one.joined) for one in records if one.gone] == [(address, False)]
    assert sorted(one.spans[0][2] for one in records if not one.joined) == [2, 3, 3]
    assert {span[2] for one in records if not (one.joined or one.gone) for span in one.spans} >= {4}
    assert set(replicas) == {bits(wanted.replica.model)}
    assert list(sums) == wanted.sums.tolist()


def test_a_worker_joins():
    """It builds the model while the other trains, and takes part from the next step on, with the other's state."""
    plan, steps = plan_of(networks.data), 0
    with connect(workers=1) as client:
        trainer = ClusterTrainer(client, UserCode("create_model", networks.slow, "m:f"))
        try:
            trainer.load(plan)
            trainer.start(None)
            client.cluster.scale(2)
            while trainer.workers < 2:
                steps += 20
                trainer.train(steps, lambda _: None)
            steps += 20
            trainer.train(steps, lambda _: None)
            replicas = trainer.on_all(bits)
            assert trainer.lost_workers == 0
            first, second = trainer.timeline.records
            assert (first.joined, second.joined, first.gone, second.gone) == (False, True, False, False)
            assert [[span[2] for span in one.spans] for one in (first, second)] == [[8, 4], [4]]
            assert second.spans[0][0] == first.spans[1][0] > first.spans[0][0]
        finally:
            trainer.close()
    assert replicas == [bits(trained(networks.slow, plan, steps).replica.model)] * 2


def test_a_worker_that_does_not_answer_counts_as_lost():
    """After the step's timeout; the others go on without it."""
    plan, steps = plan_of(networks.data, step_timeout=2.0), 60
    wanted = bits(trained(networks.slow, plan, steps).replica.model)
    with connect(workers=2) as client:
        process, *_ = client.run(os.getpid).values()
        frozen = []

        def progress(status: Status) -> None:
            if status["step"] > 5 and not frozen:
                frozen.append(status["step"])
                os.kill(process, signal.SIGSTOP)

        trainer = ClusterTrainer(client, UserCode("create_model", networks.slow, "m:f"))
        try:
            trainer.load(plan)
            trainer.start(None)
            assert trainer.train(steps, progress)["step"] == steps
            assert frozen
            assert trainer.lost_workers >= 1
            assert trainer.on_all(bits) == [wanted]
        finally:
            os.kill(process, signal.SIGCONT)
            trainer.close()
