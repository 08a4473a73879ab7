"""Approximate neighbours, and pools with and without them."""

import pickle
import sys

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.base import clone

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.teachers import neighbour_graph
from sk_ssvae.teachers.faiss_search import FaissSearch, _without_own
from sk_ssvae.teachers.neighbour_graph import neighbour_index


def clusters(n, d=20, seed=0):
    """Draw rows around 30 centres."""
    rng = np.random.default_rng(seed)
    centres = 1.5 * np.random.default_rng(1).normal(size=(30, d))
    rows = centres[rng.integers(30, size=n)] + rng.normal(size=(n, d))
    return rows.astype(np.float32)


@pytest.fixture
def many(monkeypatch):
    """Two overlapping classes with 20 labels each, whose graphs would use faiss."""
    monkeypatch.setattr(neighbour_graph, "MIN_PROBED_ROWS", 100)
    rng = np.random.RandomState(0)
    truth = np.arange(1500) % 2
    X = rng.randn(1500, 20) + 0.7 * truth[:, None]
    return X, np.where(np.arange(1500) < 40, truth, -1), truth


def make_pool(neighbors_algorithm="faiss", max_rows=600, **parameters):
    return OpinionPoolClassifier(
        views=["columns", "svm", "whitened"],
        neighbors_algorithm=neighbors_algorithm,
        max_rows=max_rows,
        random_state=0,
        **parameters,
    )


@pytest.mark.parametrize("of_rows", [True, False])
def test_most_of_the_nearest_rows_are_found(of_rows):
    pytest.importorskip("faiss")
    Z, queries = clusters(2000), None if of_rows else clusters(500, seed=2)
    distance, neighbour = FaissSearch(Z, 7).kneighbors(queries)
    exact = cdist(np.float64(Z if of_rows else queries), np.float64(Z))
    if of_rows:
        np.fill_diagonal(exact, np.inf)
    expected = np.argsort(exact, axis=1)[:, :7]
    recall = (neighbour[:, :, None] == expected[:, None, :]).any(axis=2).mean()
    assert 0.97 < recall < 1  # else it would be exact
    assert (np.diff(distance, axis=1) >= 0).all()
    own = np.take_along_axis(exact, neighbour, 1)
    np.testing.assert_allclose(distance, own, rtol=1e-5)
    assert neighbour.dtype == np.int64


def test_clusters_with_too_few_rows_are_searched_exactly():
    pytest.importorskip("faiss")
    Z = clusters(100)  # a query is compared with one of ten clusters
    distance, neighbour = FaissSearch(Z, 60).kneighbors()
    exact = cdist(np.float64(Z), np.float64(Z))
    np.fill_diagonal(exact, np.inf)
    np.testing.assert_array_equal(neighbour, np.argsort(exact, axis=1)[:, :60])
    expected = np.sort(exact, axis=1)[:, :60]
    np.testing.assert_allclose(distance, expected, rtol=1e-5)


def test_searches_are_reproducible_and_use_one_thread():
    faiss = pytest.importorskip("faiss")
    Z, queries = clusters(2000), clusters(300, seed=2)
    search = FaissSearch(Z, 7)
    expected = search.kneighbors(queries)
    copy = pickle.loads(pickle.dumps(search))
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(2)
        for other in (copy, FaissSearch(Z, 7)):
            for found, right in zip(other.kneighbors(queries), expected, strict=True):
                np.testing.assert_array_equal(found, right)
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)


def test_trees_are_not_replaced(monkeypatch):
    monkeypatch.setattr(neighbour_graph, "MIN_PROBED_ROWS", 1000)
    rng = np.random.default_rng(0)
    low, high = (rng.normal(size=(1500, d)).astype(np.float32) for d in (3, 10))
    assert neighbour_index(low, 7, "faiss").algorithm == "kd_tree"
    assert isinstance(neighbour_index(high, 7, "faiss"), FaissSearch)
    assert neighbour_index(high[:999], 7, "faiss").algorithm == "kd_tree"


def test_pools_with_faiss_are_reproducible_and_nearly_those_without(many):
    pytest.importorskip("faiss")
    X, y, truth = many
    pool = make_pool().fit(X, y)
    view = pool._views.views["columns"]
    assert isinstance(view.classifier.graph.index, FaissSearch)
    exact = make_pool("auto").fit(X, y)
    assert (pool.transduction_ == exact.transduction_).mean() > 0.9
    assert not np.array_equal(pool.label_distributions_, exact.label_distributions_)
    accuracy, exact_accuracy = (
        (p.transduction_ == truth).mean() for p in (pool, exact)
    )
    assert accuracy > exact_accuracy - 0.02
    again = clone(pool).fit(X, y)
    np.testing.assert_array_equal(again.label_distributions_, pool.label_distributions_)
    copy = pickle.loads(pickle.dumps(pool))
    np.testing.assert_array_equal(copy.predict_proba(X), pool.predict_proba(X))


def test_stored_pools_have_the_algorithm_of_their_fit(many, tmp_path):
    pytest.importorskip("faiss")
    X, y, _ = many
    for algorithm in ("faiss", "auto", "faiss"):
        stored = make_pool(algorithm, memory=tmp_path).fit(X, y)
        fitted = make_pool(algorithm).fit(X, y)
        np.testing.assert_array_equal(stored.predict_proba(X), fitted.predict_proba(X))


def test_it_has_no_effect_without_a_sample(many):
    pytest.importorskip("faiss")
    X, y, _ = many
    faiss, exact = (make_pool(a, 1500).fit(X, y) for a in ("faiss", "auto"))
    np.testing.assert_array_equal(
        faiss.label_distributions_, exact.label_distributions_
    )
    np.testing.assert_array_equal(faiss.predict_proba(X), exact.predict_proba(X))


def test_without_faiss_the_error_says_how_to_install_it(many, monkeypatch):
    X, y, _ = many
    monkeypatch.setitem(sys.modules, "faiss", None)
    pool = make_pool("auto").fit(X, y)
    expected = pool.predict_proba(X)
    with pytest.raises(ImportError) as error:
        pool.set_params(neighbors_algorithm="faiss").fit(X, y)
    assert str(error.value) == (
        'neighbors_algorithm="faiss" needs faiss: pip install "sk_ssvae[faiss]".'
    )
    np.testing.assert_array_equal(pool.predict_proba(X), expected)


def test_other_algorithms_are_refused(many):
    X, y, _ = many
    with pytest.raises(ValueError) as error:
        make_pool("kd_tree").fit(X, y)
    message = str(error.value).replace("{'faiss', 'auto'}", "{'auto', 'faiss'}")
    assert message == (
        "The 'neighbors_algorithm' parameter of OpinionPoolClassifier must be a str "
        "among {'auto', 'faiss'}. Got 'kd_tree' instead."
    )


def test_a_row_with_many_copies_loses_its_last_neighbour():
    distance = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    neighbour = np.array([[4, 0, 2], [5, 6, 7]])
    distance, neighbour = _without_own(distance, neighbour, np.array([0, 1]))
    np.testing.assert_array_equal(distance, [[0, 1], [0, 0]])
    np.testing.assert_array_equal(neighbour, [[4, 2], [5, 6]])
