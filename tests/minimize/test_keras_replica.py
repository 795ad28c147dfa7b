"""What is built and traced how often, and that neither threads nor processes change a bit."""

from __future__ import annotations

import multiprocessing
import pickle
import random
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import keras_models as models
import numpy as np
import pytest
from keras_models import Points

from jobs.errors import InputError
from jobs.minimize.keras import problem
from jobs.minimize.problems import keras_replica
from jobs.minimize.problems.model import CACHE_SIZE


def test_processes_and_threads_agree_to_the_bit():
    """Two fresh processes, two threads each, give the same bits and fingerprint, also of a lambda.

    Unpickling does not import TensorFlow. A factory whose frozen weights differ from process to process is told so.
    """
    made = problem(lambda: models.mlp_wide(6), models.crossentropy(), Points(rows=512, shape=(16,)))
    by_process = problem(models.frozen_by_process, models.crossentropy(), Points())
    pickled = pickle.dumps((made, by_process))
    assert len(pickled) < 10_000
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        first, second = processes.map(models.build_twice, [pickled] * 2)
    needed, answers, fingerprint, error = first
    assert first == second
    assert not needed
    assert answers[0] == answers[1]
    assert fingerprint == made.fingerprint()
    assert "create_model makes weights outside theta" in error


def test_threads_with_different_thetas_do_not_mix():
    """Evaluations at many thetas at once give what they give one by one."""
    made = problem(models.mlp, models.crossentropy(), Points())
    data = made.load(0, 60)
    thetas = made.x0() + np.random.default_rng(1).standard_normal((40, made.x0().size))
    with ThreadPoolExecutor(4) as threads:
        values = list(threads.map(lambda theta: made.value_and_grad(theta, data)[0], thetas))
    assert values == [made.value_and_grad(theta, data)[0] for theta in thetas]


def test_block_lengths_do_not_retrace():
    """Blocks of any length run the function traced at the start; hessp is traced once, when it is first used."""
    made = problem(models.one_output, models.squares, Points(classes=0))
    traced = models.calls["squares"]
    for rows in (1, 7, 60):
        made.value_and_grad(made.x0(), made.load(0, rows))
    assert models.calls["squares"] == traced
    for rows in (1, 7, 60):
        made.hessp(made.x0(), made.x0(), made.load(0, rows))
    assert models.calls["squares"] == traced + 1


def test_model_is_created_once_per_process():
    """Threads that need a replica at the same time build one, also from several copies of the problem."""
    pickled = pickle.dumps(problem(models.counted, models.crossentropy(), Points()))
    keras_replica._replicas.clear()
    models.calls["create_model"] = 0
    start = threading.Barrier(8)

    def evaluate(_: int) -> float:
        made = pickle.loads(pickled)
        start.wait()
        return made.value_and_grad(np.zeros(39), made.load(0, 60))[0]

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(evaluate, range(8)))) == 1
    assert models.calls["create_model"] == 1


def test_a_process_keeps_few_replicas():
    """Old replicas go when new ones come, and are built again when asked for."""
    made = [problem(models.mlp, models.crossentropy(), Points(rows=rows)) for rows in range(10, 16)]
    assert len(keras_replica._replicas) == CACHE_SIZE
    assert made[0].x0().tobytes() == made[-1].x0().tobytes()


def test_the_callers_state_is_left_alone():
    """Building changes neither Keras's float type and policy nor Python's and NumPy's random state."""
    import keras

    def state() -> tuple[object, ...]:
        numpy = np.random.get_state()[1].tobytes()  # noqa: NPY002  the generator that Keras seeds
        return random.getstate(), numpy, keras.config.floatx(), keras.config.dtype_policy()

    before = state()
    made = problem(models.mlp, models.crossentropy(), Points(rows=31), dtype="float64")
    assert state() == before
    assert made.to_model(made.x0()).dtype == "float64"


def test_fingerprint_tells_what_changes_the_loss():
    """Another activation, loss, dtype, block length or data has another fingerprint; the same have the same."""
    made = problem(models.one_output, "mse", Points(classes=0), block_rows=8)
    keras_replica._replicas.clear()
    assert problem(models.one_output, "mse", Points(classes=0), block_rows=8).fingerprint() == made.fingerprint()
    others = [
        problem(models.one_relu, "mse", Points(classes=0), block_rows=8),
        problem(models.one_output, "mae", Points(classes=0), block_rows=8),
        problem(models.one_output, "mse", Points(classes=0), block_rows=8, dtype="float64"),
        problem(models.one_output, "mse", Points(classes=0), block_rows=9),
        problem(models.one_output, "mse", Points(classes=0, rows=61), block_rows=8),
        problem(models.one_decayed, "mse", Points(classes=0), block_rows=8),
    ]
    assert len({made.fingerprint(), *(other.fingerprint() for other in others)}) == 7


def test_a_model_without_second_derivatives_has_no_hessp():
    """hessp names the model and a way out; the gradient works."""
    made = problem(models.without_second_derivative, models.crossentropy(), Points())
    made.value_and_grad(made.x0(), made.load(0, 60))
    with pytest.raises(InputError, match=r"has no Hessian products .* choose a method that needs the gradient only"):
        made.hessp(made.x0(), made.x0(), made.load(0, 60))
