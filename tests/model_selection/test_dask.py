"""The same search on a cluster of two workers, which starts here and ends here."""

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import LabeledStratifiedKFold, labeled_scorer, mask_labels

distributed = pytest.importorskip("distributed")

X, Y = load_iris(return_X_y=True)
FEW = mask_labels(Y, n_per_class=6, random_state=0)
CV = LabeledStratifiedKFold(2, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def pipeline():
    classifier = SSVAEClassifier(
        hidden_sizes=(8,), teacher=None, max_epochs=5, n_threads=1, random_state=0
    )
    return make_pipeline(StandardScaler(), classifier)


def search():
    return GridSearchCV(
        pipeline(),
        {"ssvaeclassifier__latent_size": [1, 2, 4]},
        scoring=labeled_scorer("neg_log_loss"),
        cv=CV,
    )


def test_a_cluster_finds_what_one_process_finds(client):
    alone = search().fit(X, FEW)
    with joblib.parallel_config(backend="dask"):
        together = search().fit(X, FEW)
    assert len(client.scheduler_info()["workers"]) == 2
    for key, values in alone.cv_results_.items():
        if "score" in key and "time" not in key:
            assert np.array_equal(values, together.cv_results_[key])
            assert np.isfinite(values).all()
    assert alone.best_params_ == together.best_params_
    assert np.array_equal(alone.predict_proba(X), together.predict_proba(X))


def test_fits_are_done_by_the_workers(client):
    """Fitted estimators come back from other processes as they would be here."""
    cross = {"cv": CV, "return_estimator": True, "scoring": labeled_scorer()}
    alone = cross_validate(pipeline(), X, FEW, **cross)
    with joblib.parallel_config(backend="dask"):
        together = cross_validate(pipeline(), X, FEW, **cross)
    for here, there in zip(alone["estimator"], together["estimator"], strict=True):
        assert np.array_equal(here.predict_proba(X), there.predict_proba(X))
        assert np.array_equal(here[-1].sample(3)[0], there[-1].sample(3)[0])
