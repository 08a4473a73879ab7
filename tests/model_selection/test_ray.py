"""Searches by Ray return exactly the results of searches in one process."""

import joblib
import numpy as np
import pytest
from partially_labelled import FEW_IRIS, IRIS_ROWS
from sklearn.model_selection import GridSearchCV

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import LabeledStratifiedKFold, labeled_scorer
from sk_ssvae.training import ClassifierOptions

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    """Start a cluster on this machine, and make it a backend of joblib."""
    from ray.util.joblib import register_ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    register_ray()
    yield
    ray.shutdown()


def make_search(n_jobs):
    return GridSearchCV(
        SSVAEClassifier(
            hidden_sizes=(8,),
            teacher=None,
            max_epochs=2,
            options=ClassifierOptions(n_threads=1),
            random_state=0,
        ),
        {"latent_size": [1, 2]},
        scoring=labeled_scorer("neg_log_loss"),
        cv=LabeledStratifiedKFold(2, shuffle=True, random_state=0),
        n_jobs=n_jobs,
    )


def test_grid_search_returns_the_same_scores(cluster):
    expected = make_search(1).fit(IRIS_ROWS, FEW_IRIS)
    with joblib.parallel_config(backend="ray"):
        search = make_search(2).fit(IRIS_ROWS, FEW_IRIS)
    scores = expected.cv_results_["mean_test_score"]
    assert len(set(scores)) == 2
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], scores)
    np.testing.assert_array_equal(
        search.predict_proba(IRIS_ROWS), expected.predict_proba(IRIS_ROWS)
    )
