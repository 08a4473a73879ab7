"""Searches on a dask cluster return exactly the results of searches in one process."""

import joblib
import numpy as np
import pytest
from partially_labelled import FEW_IRIS, IRIS_ROWS
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import LabeledStratifiedKFold, labeled_scorer

distributed = pytest.importorskip("distributed")

CV = LabeledStratifiedKFold(2, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def client():
    """Connect to two worker processes."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def make_estimator():
    classifier = SSVAEClassifier(
        hidden_sizes=(8,), teacher=None, max_epochs=2, random_state=0
    )
    return make_pipeline(StandardScaler(), classifier)


def make_search():
    return GridSearchCV(
        make_estimator(),
        {"ssvaeclassifier__latent_size": [1, 2]},
        scoring=labeled_scorer("neg_log_loss"),
        cv=CV,
    )


def test_grid_search_returns_the_same_scores(client):
    expected = make_search().fit(IRIS_ROWS, FEW_IRIS)
    with joblib.parallel_config(backend="dask"):
        search = make_search().fit(IRIS_ROWS, FEW_IRIS)
    for key, values in expected.cv_results_.items():
        if "score" in key and "time" not in key:
            assert np.array_equal(search.cv_results_[key], values)
            assert np.isfinite(values).all()
    assert search.best_params_ == expected.best_params_
    assert np.array_equal(
        search.predict_proba(IRIS_ROWS), expected.predict_proba(IRIS_ROWS)
    )


def test_estimators_fitted_by_the_workers_are_the_same(client):
    parameters = {"cv": CV, "return_estimator": True, "scoring": labeled_scorer()}
    expected = cross_validate(make_estimator(), IRIS_ROWS, FEW_IRIS, **parameters)
    with joblib.parallel_config(backend="dask"):
        results = cross_validate(make_estimator(), IRIS_ROWS, FEW_IRIS, **parameters)
    for a, b in zip(results["estimator"], expected["estimator"], strict=True):
        assert np.array_equal(a.predict_proba(IRIS_ROWS), b.predict_proba(IRIS_ROWS))
        assert np.array_equal(a[-1].sample(3)[0], b[-1].sample(3)[0])
