"""Searches with two jobs return exactly the results of searches with one job."""

import joblib
import numpy as np
import pytest
from partially_labelled import FEW_IRIS, IRIS_ROWS
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import (
    LabeledStratifiedKFold,
    UnlabeledKFold,
    bound_scorer,
    labeled_scorer,
)

PIPELINE = make_pipeline(
    StandardScaler(),
    SSVAEClassifier(
        latent_size=2,
        hidden_sizes=(8,),
        classifier_hidden_sizes=(8,),
        teacher=None,
        max_epochs=3,
        random_state=0,
    ),
)
STEP = "ssvaeclassifier__"
GRID = {f"{STEP}latent_size": [1, 3], f"{STEP}alpha": [1.0, 30.0]}
CV = LabeledStratifiedKFold(2, shuffle=True, random_state=0)


def search(search_class, grid=GRID, cv=CV, **parameters):
    """Return the results of a search as a list of arrays and strings."""
    fitted = search_class(PIPELINE, grid, cv=cv, **parameters).fit(IRIS_ROWS, FEW_IRIS)
    scores = fitted.cv_results_["mean_test_score"]
    return [scores, fitted.predict_proba(IRIS_ROWS), str(fitted.best_params_)]


SEARCHES = {
    "grid": lambda n_jobs: search(GridSearchCV, n_jobs=n_jobs),
    "grid of sizes": lambda n_jobs: search(
        GridSearchCV, {f"{STEP}hidden_sizes": [(4,), (8, 4)]}, n_jobs=n_jobs
    ),
    "randomized": lambda n_jobs: search(
        RandomizedSearchCV, n_iter=2, random_state=0, n_jobs=n_jobs
    ),
    "halving": lambda n_jobs: search(
        HalvingGridSearchCV,
        resource=f"{STEP}max_epochs",
        max_resources=4,
        min_resources=1,
        factor=2,
        random_state=0,
        n_jobs=n_jobs,
    ),
    "bound": lambda n_jobs: search(
        GridSearchCV, cv=UnlabeledKFold(2), scoring=bound_scorer, n_jobs=n_jobs
    ),
    "cross_validate": lambda n_jobs: [
        cross_validate(
            PIPELINE,
            IRIS_ROWS,
            FEW_IRIS,
            cv=CV,
            scoring=labeled_scorer("neg_log_loss"),
            n_jobs=n_jobs,
        )["test_score"]
    ],
    "learning_curve": lambda n_jobs: learning_curve(
        PIPELINE,
        IRIS_ROWS,
        FEW_IRIS,
        cv=CV,
        train_sizes=[0.5, 1.0],
        shuffle=True,
        random_state=0,
        scoring=labeled_scorer("accuracy"),
        n_jobs=n_jobs,
    ),
    "validation_curve": lambda n_jobs: validation_curve(
        PIPELINE,
        IRIS_ROWS,
        FEW_IRIS,
        param_name=f"{STEP}latent_size",
        param_range=[1, 4],
        cv=CV,
        scoring=labeled_scorer("neg_log_loss"),
        n_jobs=n_jobs,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.parametrize("name", SEARCHES)
def test_two_jobs_return_the_results_of_one(name, backend):
    expected = SEARCHES[name](n_jobs=1)
    with joblib.parallel_config(backend):
        results = SEARCHES[name](n_jobs=2)
    for a, b in zip(results, expected, strict=True):
        assert np.array_equal(a, b)
        if not isinstance(a, str):
            assert np.isfinite(a).all()
