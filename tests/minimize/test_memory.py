"""Rows in memory: arrays of the driver's and Dask's chunks, read by workers that come and go."""

from __future__ import annotations

import os
import pickle
import signal

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from clusters import clients
from scipy import sparse

from jobs import from_arrays, from_dask
from jobs.errors import ClusterError, DataError, InputError
from jobs.minimize import Objective, poisson, softmax, squared

ROWS = 3000
CHUNKS = (700, 1, 1299, 1000)


def data(rows=ROWS):
    """Return x (rows, 4), text labels, and weights."""
    rng = np.random.default_rng(5)
    return rng.normal(size=(rows, 4)), np.array(["no", "yes", "maybe"])[rng.integers(0, 3, rows)], rng.random(rows)


def expected(problem, theta):
    """Return loss and gradient in this process."""
    with Objective(None, problem) as objective:
        return objective(theta)


@pytest.fixture(scope="module")
def of():
    """Return a function: number of workers -> client, for tests that kill some of them."""
    with clients() as client:
        yield client


def chunked(client, x, y, w):
    """Return the arrays as Dask's in unequal chunks, on the workers of a client."""
    arrays = da.from_array(x, chunks=(CHUNKS, 2)), da.from_array(y, chunks=1000), da.from_array(w, chunks=ROWS)
    with client.as_current():
        return from_dask(*arrays)


def whole(_, *arrays):
    """Return the arrays of this process."""
    return from_arrays(*arrays)


def test_each_number_of_workers_gives_the_bits_of_one_process(of, evaluator):
    """Arrays and chunks give loss and gradient with equal bits in this process and on 1 and 3 workers."""
    theta = np.random.default_rng(1).normal(size=15)
    value, gradient = expected(softmax.problem(from_arrays(*data())), theta)
    for workers in (1, 3):
        client = of(workers)
        for kind in (whole, chunked):
            source = kind(client, *data())
            with Objective(client, softmax.problem(source), evaluator=evaluator) as objective:
                assert objective.sum.workers == workers
                found, there = objective(theta)
                assert found == value
                assert (there == gradient).all()
                assert not [finding for finding in objective.check() if finding.verdict != "right"]
    assert expected(softmax.problem(source), theta)[0] == value


@pytest.mark.parametrize("kind", [whole, chunked])
def test_a_killed_workers_rows_are_read_again(of, evaluator, kind):
    """After one of three workers was killed, the others get its rows from the driver, or by Dask, to the same bits."""
    theta, client = np.random.default_rng(2).normal(size=15), of(3)
    problem = softmax.problem(kind(client, *data()))
    value, gradient = expected(softmax.problem(from_arrays(*data())), theta)
    with Objective(client, problem, evaluator=evaluator) as objective:
        objective(theta)
        os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)
        for turn in range(3):
            found, there = objective(theta + turn)
            if turn == 0:
                assert found == value
                assert (there == gradient).all()
        assert objective.sum.timings.lost_workers >= 1


def test_a_driver_that_has_closed_leaves_nothing_on_the_workers(of):
    """After `close` no worker has the plugin any more, and a source without its driver says what it needs."""
    client = of(1)
    source = from_arrays(*data())
    with Objective(client, softmax.problem(source)) as objective:
        objective(objective.x0())
        assert any("rows" in name for names in client.run(plugins).values() for name in names)
    assert not any("rows" in name for names in client.run(plugins).values() for name in names)
    state = pickle.dumps(source)
    assert len(state) < 1000
    with pytest.raises(ClusterError, match="rows in memory can be read only while the driver"):
        client.submit(read_alone, state).result()


def plugins(dask_worker):
    return list(dask_worker.plugins)


def read_alone(state):
    from jobs.datasets.memory import door

    door.DOOR_SECONDS = 0.2
    try:
        pickle.loads(state).read(0, 1)
    finally:
        door.DOOR_SECONDS = 30.0


def test_sources_have_the_identity_of_their_content():
    """Equal arrays are one source for a run folder, other values, labels or weights another; places do not count."""
    x, y, w = data()
    one = from_arrays(x, y, w).fingerprint()
    assert from_arrays(np.asfortranarray(x), list(y), w.tolist()).fingerprint() == one
    assert from_arrays(pd.DataFrame(x), pd.Series(y), pd.Series(w)).fingerprint() == one
    others = [(x + 1e-12, y, w), (x, y[::-1], w), (x, y, w + 1), (x, y, None), (x.astype(np.float32), y, w)]
    assert one not in [from_arrays(*other).fingerprint() for other in others]
    rows = sparse.random(50, 6, 0.3, "csr", random_state=np.random.default_rng(0))
    same = from_arrays(sparse.coo_array(rows), y[:50]).fingerprint()
    assert from_arrays(rows, y[:50]).fingerprint() == same


def test_frames_keep_their_names():
    """A frame's columns name the weights, and the labels' texts the classes."""
    x, y, _ = data(40)
    frame = pd.DataFrame(x[:, :2], columns=["age", "visits"])
    problem = softmax.problem(from_arrays(frame, pd.Series(y, dtype="category")))
    assert problem.names()[:3] == ["weight[maybe, age]", "weight[maybe, visits]", "weight[no, age]"]
    assert problem.names()[-1] == "bias[yes]"


def test_dask_frames_are_sources(of):
    """A frame of unknown divisions, with an empty partition, has the rows, names and classes of its pandas frame."""
    client = of(1)
    x, y, _ = data(400)
    frame = pd.DataFrame(x, columns=list("abcd")).assign(label=y)
    lazy = dd.from_pandas(frame, npartitions=3)
    lazy = dd.concat([lazy[lazy["a"] > 1e9], lazy])
    with client.as_current():
        source = from_dask(lazy.drop(columns="label"), lazy["label"])
    assert (source.rows, source.names, source.class_names) == (400, tuple("abcd"), ("maybe", "no", "yes"))
    theta = np.random.default_rng(3).normal(size=15)
    with Objective(client, softmax.problem(source)) as objective:
        assert objective(theta)[0] == expected(softmax.problem(from_arrays(x, y)), theta)[0]
    values = da.from_array(x, chunks=100)
    with client.as_current():
        some = from_dask(values[values[:, 0] > 0], values[:, 1][values[:, 0] > 0])
    assert some.rows == int((x[:, 0] > 0).sum())


def test_chunks_belong_to_their_client(of):
    """Chunks of one cluster on another one, no client at all, and arrays of NumPy's are refused in one line."""
    x, y, w = data()
    source = chunked(of(1), x, y, w)
    with pytest.raises(InputError, match="the chunks of from_dask are another client's"):
        Objective(of(3), softmax.problem(source))
    with of(1).as_current(), pytest.raises(InputError, match="x is ndarray, but must be a Dask array or frame"):
        from_dask(x, y)
    with of(1).as_current(), pytest.raises(DataError, match="x: row 701 has a missing or infinite number"):
        chunked(of(1), np.where(np.arange(ROWS)[:, None] == 701, np.nan, x), y, w)


def test_what_does_not_fit_is_one_line():
    """Each mistake in arrays names the argument and the row, or both shapes."""
    x, y, w = data(20)
    bad = x.copy()
    bad[7, 2] = np.nan
    mixed = pd.DataFrame({"a": [1, 2], "b": ["u", "v"]})
    cases = [
        ((x[:, 0], y), DataError, r"x has shape \(20,\), but must be \(rows, features...\)"),
        ((x, y[:-1]), DataError, "x has 20 rows, but y has 19"),
        ((x, y, w[1:]), DataError, "x has 20 rows, but weights has 19"),
        ((x, y, w - 2), DataError, r"weights: row 0 is -1\..*, but must be a finite number >= 0"),
        ((bad, y), DataError, "x: row 7 has a missing or infinite number"),
        ((mixed, [0, 1]), DataError, "x has values that are no numbers"),
        ((x[:0], y[:0]), DataError, "there must be at least one row"),
        ((x, [None, *y[1:]]), DataError, r"y: row 0 has no label \(None\)"),
    ]
    for arguments, kind, message in cases:
        with pytest.raises(kind, match=message):
            from_arrays(*arguments)


def test_targets_stay_numbers_where_a_model_needs_numbers():
    """Float y are targets of a regression, and classes of softmax; one source serves both."""
    x, _, w = data(60)
    y = np.where(x[:, 0] > 0, 1.5, -0.5)
    source = from_arrays(x, y, w)
    assert squared.problem(source).load(0, 60).y.tolist() == y.tolist()
    assert softmax.problem(source).data.class_names == ("-0.5", "1.5")
    with pytest.raises(DataError, match=r"target of row \d+ is -0.5, but must be counts, finite and >= 0"):
        poisson.problem(source).load(0, 60)
