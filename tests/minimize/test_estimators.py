"""scikit-learn's estimators over the shipped models."""

from __future__ import annotations

import importlib
import pickle
import sys

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn import linear_model
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from jobs.errors import InputError
from jobs.minimize.estimators import LinearRegressor, LogisticClassifier, PoissonRegressor, SoftmaxClassifier

ROWS = 300


def data():
    """Return features, class names by them, and counts."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 4))
    y = np.array(["high", "low", "mid"])[np.digitize(x[:, 0] + 0.3 * rng.normal(size=ROWS), [-0.5, 0.5])]
    return x, y, rng.poisson(np.exp(0.5 * x[:, 1]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [LinearRegressor, LogisticClassifier, PoissonRegressor, SoftmaxClassifier])
def test_scikit_learns_contract_holds(kind):
    """check_estimator passes for each estimator, in this process."""
    found = check_estimator(kind(l2=1.0), on_fail=None)
    assert not [(one["check_name"], one["exception"]) for one in found if one["status"] == "failed"]
    assert sum(one["status"] == "passed" for one in found) > 50


def test_models_are_scikit_learns():
    """With its penalty, each estimator has the coefficients of scikit-learn's own."""
    x, y, counts = data()
    tight = {"tol": 1e-10, "max_iter": 10_000}
    pairs = [
        (SoftmaxClassifier(l2=1.0), linear_model.LogisticRegression(**tight), y),
        (LogisticClassifier(l2=1.0), linear_model.LogisticRegression(**tight), y == "low"),
        (LinearRegressor(l2=1.0), linear_model.Ridge(), counts),
        (PoissonRegressor(l2=1.0), linear_model.PoissonRegressor(alpha=1 / ROWS, **tight), counts),
    ]
    for ours, theirs, labels in pairs:
        ours.fit(x, labels)
        theirs.fit(x, labels)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-3, atol=1e-3)
        assert ours.score(x, labels) == pytest.approx(theirs.score(x, labels), abs=1e-3)
        if hasattr(ours, "predict_proba"):
            np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-3)


def test_they_work_in_searches():
    """In a pipeline and a grid search the best penalty is found, and labels are texts."""
    x, y, _ = data()
    pipeline = make_pipeline(StandardScaler(), SoftmaxClassifier())
    search = GridSearchCV(pipeline, {"softmaxclassifier__l2": [1.0, 1e4]}, cv=3).fit(x, y)
    assert search.best_params_ == {"softmaxclassifier__l2": 1.0}
    assert set(search.predict(x)) == {"high", "low", "mid"}


def test_a_client_is_no_part_of_an_estimator(client):
    """Fitted on workers it has the bits of this process; clones and pickles have all but the client."""
    x, y, _ = data()
    there, here = (SoftmaxClassifier(l2=0.5, client=one).fit(x, y) for one in (client, None))
    assert (there.coef_ == here.coef_).all()
    assert clone(there).client is None
    assert clone(there).l2 == 0.5
    restored = pickle.loads(pickle.dumps(there))
    assert restored.client is None
    assert (restored.predict(x) == there.predict(x)).all()


def test_dask_collections_are_taken_with_a_client(client):
    """Dask's arrays and frames are fitted where they are, and predictions for them are Dask's."""
    x, y, counts = data()
    lazy, labels = da.from_array(x, chunks=(110, 2)), da.from_array(y, chunks=60)
    made = SoftmaxClassifier(l2=1.0, client=client).fit(lazy, labels)
    whole = SoftmaxClassifier(l2=1.0).fit(x, y)
    assert (made.coef_ == whole.coef_).all()
    assert (made.classes_ == ["high", "low", "mid"]).all()
    predictions = made.predict(lazy)
    assert isinstance(predictions, da.Array)
    assert (predictions.compute() == whole.predict(x)).all()
    assert made.score(lazy, labels) == whole.score(x, y)
    frame = dd.from_pandas(pd.DataFrame(x, columns=list("abcd")).assign(y=counts), npartitions=2)
    counted = PoissonRegressor(client=client).fit(frame[list("abcd")], frame["y"])
    assert (counted.coef_ == PoissonRegressor().fit(x, counts).coef_).all()
    with pytest.raises(InputError, match="give the estimator the client"):
        SoftmaxClassifier().fit(lazy, labels)


def test_a_fit_that_ends_early_warns():
    """Too few iterations are scikit-learn's ConvergenceWarning."""
    x, y, _ = data()
    with pytest.warns(ConvergenceWarning, match="not converged"):
        assert SoftmaxClassifier(max_iter=2).fit(x, y).n_iter_ == 2


def test_without_scikit_learn_there_is_one_line(monkeypatch):
    """The module says what it needs, and how to get it."""
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "jobs.minimize.estimators")
    with pytest.raises(InputError, match=r"needs scikit-learn .*: pip install '.\[sklearn\]'"):
        importlib.import_module("jobs.minimize.estimators")
