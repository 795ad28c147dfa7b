"""The state of a replica on its way: in pieces of bounded size, to a worker that joins, and never by the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from serial_runs import bits, plan_of, trained, training

from jobs import connect
from jobs.cluster import plugin
from jobs.errors import InputError
from jobs.train import job
from jobs.train.exchange.group import alone
from jobs.train.group.run_files import RunFiles
from jobs.train.group.trainer import ClusterTrainer
from jobs.train.group.worker import TrainPlugin
from jobs.train.options import Options
from jobs.train.process.training import Training
from jobs.train.replica import pieces
from jobs.usercode import UserCode

# Keras's own, of a model that is saved in this process.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PLAN = plan_of(networks.data)


def _pieces(made: Training) -> list[list[pieces.Cut]]:
    return pieces.pieces(pieces.shapes(made.state()))


def test_a_state_in_pieces(monkeypatch):
    """Bit for bit, in pieces that cut variables between rows; there is no state before the last one."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 100)
    first, second = trained(networks.odd, PLAN, 7), training(networks.odd, PLAN)
    count = len(_pieces(first))
    assert count > 20
    for index in range(count):
        assert second.step == -1 or index == 0
        parts = first.piece(index)
        assert sum(part.nbytes for part in parts) <= 100
        second.put(index, parts)
    assert second.step == 7
    assert second.sums.tolist() == first.sums.tolist()
    assert bits(second.replica.model) == bits(first.replica.model)
    second.run(alone(8, second.form), 12)
    assert bits(second.replica.model) == bits(trained(networks.odd, PLAN, 12).replica.model)


def test_rows_larger_than_a_piece(monkeypatch):
    """Each is a piece of its own; arrays without numbers are in none."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 64)
    state = [np.zeros((3, 100)), np.zeros((0, 4)), np.int64(3), np.arange(20)]
    found = pieces.pieces(pieces.shapes(state))
    assert found[:3] == [[(0, 0, 1)], [(0, 1, 2)], [(0, 2, 3)]]
    assert found[3:] == [[(2, 0, 1), (3, 0, 7)], [(3, 7, 15)], [(3, 15, 20)]]


def test_a_state_stays_as_it_was():
    """It shares the variables' memory, but the steps that follow do not change it."""
    made = training(networks.odd, PLAN)
    state = made.replica.state()
    again = made.replica.state()
    assert all(np.shares_memory(one, other) for one, other in zip(state, again, strict=True) if one.nbytes > 64)
    before = [one.copy() for one in state]
    made.run(alone(8, made.form), 3)
    assert all(np.array_equal(one, other) for one, other in zip(before, state, strict=True))


def test_a_checkpoint_of_another_model():
    """It is refused before anything is set."""
    made = training(networks.odd, PLAN)
    with pytest.raises(InputError, match="the checkpoint is of another model"):
        made.check_layout(pieces.shapes(training(networks.dense, PLAN).state()))


def test_a_source_that_is_lost_while_it_is_copied():
    """Half of a state is none: the worker that copied builds its model anew, and joins again."""
    with connect(workers=2) as client:
        trainer = ClusterTrainer(client, UserCode("create_model", networks.odd, "m:f"))
        try:
            trainer.load(PLAN)
            trainer.start(None)
            steps = 5
            trainer.train(steps, lambda _: None)
            _, second = trainer._all.membership.members
            gone = trainer._all.ask(second, TrainPlugin.copy, source="tcp://127.0.0.1:9")
            assert trainer._run(trainer._all.or_lost(second, gone)) is None
            while len(found := trainer.on_all(bits)) < 2:
                steps += 20
                trainer.train(steps, lambda _: None)
        finally:
            trainer.close()
    assert found == [bits(trained(networks.odd, PLAN, steps).replica.model)] * 2


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(_size, value))
    return int(getattr(value, "nbytes", len(value) if isinstance(value, (bytes, str)) else 8))


@pytest.mark.parametrize("sees", [True, False])
def test_the_model_does_not_pass_through_the_driver(sees, tmp_path, monkeypatch):
    """No answer to it carries the weights, 3.3 MB; but where workers do not see the run folder, pieces of its files."""
    if not sees:

        async def never(self: RunFiles, address: str) -> bool:
            return False

        monkeypatch.setattr(RunFiles, "_sees", never)
    answers, ask = [], plugin.ask

    async def counted(pool: Any, name: str, address: str, **message: Any) -> Any:
        answer = await ask(pool, name, address, **message)
        answers.append(_size(answer) + _size(message))
        return answer

    monkeypatch.setattr(plugin, "ask", counted)
    given = {"model": "networks:slow", "data": "networks:data", "batch_size": 48, "epochs": 2}
    result = job.run(Options(run=str(tmp_path / "run"), workers=2, save_every="7", **given))
    assert result["parameters"] > 800_000
    assert (max(answers) < 50_000) is sees
    alone_run = tmp_path / "alone"
    job.run(Options(run=str(alone_run), workers=0, **given))
    assert _weights(tmp_path / "run") == _weights(alone_run)
    assert (tmp_path / "run" / "model.keras").stat().st_size == (alone_run / "model.keras").stat().st_size


def _weights(run: Path) -> dict[str, bytes]:
    with np.load(run / "weights.npz") as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files}
