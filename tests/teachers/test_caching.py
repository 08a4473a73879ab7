"""Pools that are stored on disk, and fits that read them."""

import sys

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier

# On a busy machine joblib may find that it takes long to store the arguments.
pytestmark = pytest.mark.filterwarnings("ignore:Persisting input arguments")

VIEWS = ("columns", "linear-generative")
FITS = []


class Recorded(ClassifierMixin, BaseEstimator):
    """A classifier that records its fits."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y):
        FITS.append(len(X))
        self.inner_ = LogisticRegression().fit(X + self.shift, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, X):
        return self.inner_.predict_proba(X + self.shift)


@pytest.fixture
def rows():
    X, y = make_blobs(60, 3, centers=3, cluster_std=3, random_state=0)
    y[12:] = -1
    return X, y


@pytest.fixture
def n_fits():
    """Return a function that returns the number of fits since its last call."""
    FITS.clear()

    def count():
        n = len(FITS)
        FITS.clear()
        return n

    return count


def pool_with(memory, **params):
    views = (*VIEWS, ("recorded", Recorded()))
    return OpinionPoolClassifier(
        **{"views": views, "random_state": 0, "memory": memory} | params
    )


def state(pool, X):
    return {
        "new rows": pool.predict_proba(X + 0.1),
        "distributions": pool.label_distributions_,
        "weights": np.array(list(pool.weights_.values())),
        "log-loss": np.array(list(pool.held_out_log_loss_.values())),
        "shares": pool.class_shares_,
        "classes": pool.classes_,
    }


@pytest.mark.parametrize("kind", [str, lambda path: path, joblib.Memory])
def test_a_stored_pool_equals_a_fitted_one_and_is_not_fitted_again(
    rows, n_fits, tmp_path, kind
):
    X, y = rows
    expected = state(pool_with(None).fit(X, y), X)
    per_fit = n_fits()
    memory = kind(tmp_path)
    for fits in (per_fit, 0):
        pool = pool_with(memory)
        assert pool.fit(X, y) is pool
        assert n_fits() == fits
        for name, value in state(pool, X).items():
            np.testing.assert_array_equal(value, expected[name], name)
        assert pool.memory is memory
        assert pool.random_state == 0


def test_whatever_the_result_depends_on_is_part_of_the_key(rows, n_fits, tmp_path):
    X, y = rows
    pool_with(tmp_path).fit(X, y)
    per_fit = n_fits()
    other_y = y.copy()
    other_y[20] = 1
    other_X = X.copy()
    other_X[-1, -1] += 1e-9
    for params, data in (
        ({}, (other_X, y)),
        ({}, (X, other_y)),
        ({"random_state": 1}, (X, y)),
        ({"n_neighbors": 3}, (X, y)),
        ({"shares": "labelled"}, (X, y)),
        ({"max_rows": 30}, (X, y)),
        ({"recorded__shift": 1.0}, (X, y)),
    ):
        pool = pool_with(tmp_path).set_params(**params)
        expected = clone(pool).set_params(memory=None).fit(*data)
        assert n_fits() >= per_fit
        found = pool.fit(*data)
        assert n_fits() >= per_fit, params
        for name, value in state(found, X).items():
            np.testing.assert_array_equal(value, state(expected, X)[name], name)


def test_another_release_does_not_read_a_stored_pool(
    rows, n_fits, tmp_path, monkeypatch
):
    X, y = rows
    pool_with(tmp_path).fit(X, y)
    per_fit = n_fits()
    for package in ("sk_ssvae", "sklearn", Recorded.__module__.partition(".")[0]):
        monkeypatch.setattr(sys.modules[package], "__version__", "9", raising=False)
        pool_with(tmp_path).fit(X, y)
        assert n_fits() == per_fit, package


def test_a_fit_that_fails_is_not_stored(rows, n_fits, tmp_path):
    X, y = rows
    pool = pool_with(tmp_path).fit(X, y)
    before = pool.label_distributions_
    n_fits()
    for _ in range(2):
        with pytest.raises(ValueError, match="contains NaN"):
            pool.fit(np.full_like(X, np.nan), y)
        assert pool.label_distributions_ is before
    assert n_fits() == 0


def test_names_of_columns_are_those_of_the_last_fit(rows, tmp_path):
    pd = pytest.importorskip("pandas")
    X, y = rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    pool = OpinionPoolClassifier(views=VIEWS, random_state=0, memory=tmp_path)
    for _ in range(2):
        assert list(pool.fit(frame, y).feature_names_in_) == ["a", "b", "c"]
        assert not hasattr(pool.fit(X, y), "feature_names_in_")


def test_random_seeds_are_fresh_without_a_random_state(rows, n_fits, tmp_path):
    X, y = rows
    generator = np.random.RandomState(0)
    for random_state in (None, generator):
        pool = pool_with(tmp_path, random_state=random_state).fit(X, y)
        per_fit = n_fits()
        pool.fit(X, y)
        assert n_fits() == per_fit > 0


def test_candidates_of_a_search_share_the_pools_of_their_splits(rows, n_fits, tmp_path):
    X, y = rows
    y[:30] = np.arange(30) % 3

    def search(memory):
        clf = SSVAEClassifier(
            teacher=pool_with(memory, random_state=None),
            hidden_sizes=(4,),
            classifier_hidden_sizes=(4,),
            max_epochs=1,
            random_state=0,
        )
        found = GridSearchCV(clf, {"latent_size": [1, 2, 3]}, cv=2).fit(X, y)
        return found.cv_results_["mean_test_score"], n_fits()

    scores, fits = search(None)
    stored_scores, stored_fits = search(tmp_path)
    np.testing.assert_array_equal(stored_scores, scores)
    # The best candidate is fitted to all rows once: 3 x 2 + 1 pools instead of 2 + 1.
    assert stored_fits * 7 == fits * 3


def test_what_cannot_be_pickled_is_an_error(rows, tmp_path):
    views = ("columns", ("scaled", make_pipeline(FunctionTransformer(lambda X: X))))
    views[1][1].steps.append(("logistic", LogisticRegression()))
    pool = OpinionPoolClassifier(views=views, memory=str(tmp_path))
    message = (
        rf"^memory={str(tmp_path)!r} needs parameters that can be pickled, .*None\.$"
    )
    with pytest.raises(ValueError, match=message):
        pool.fit(*rows)
    assert not hasattr(pool, "classes_")


@pytest.mark.parametrize("memory", [3, 1.5, object()])
def test_an_invalid_memory_is_an_error(rows, memory):
    with pytest.raises(ValueError, match="The 'memory' parameter of OpinionPool"):
        pool_with(memory).fit(*rows)
