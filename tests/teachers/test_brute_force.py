"""Exact neighbours in single precision, against all distances in double precision."""

import pickle

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sk_ssvae.teachers import brute_force
from sk_ssvae.teachers.brute_force import BruteForce, without_own


@pytest.fixture
def searched(monkeypatch):
    """Return the numbers of queries that were searched in double precision."""
    numbers = []
    search = brute_force.search_in_double_precision

    def counted(Z, n_neighbors, queries, own):
        numbers.append(len(queries))
        return search(Z, n_neighbors, queries, own)

    monkeypatch.setattr(brute_force, "search_in_double_precision", counted)
    return numbers


def all_distances(Z, queries):
    """Return the distances of queries; those of rows to themselves are infinite."""
    distance = cdist(np.float64(Z if queries is None else queries), np.float64(Z))
    if queries is None:
        np.fill_diagonal(distance, np.inf)
    return distance


def normal(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize(("n", "d", "k"), [(900, 1, 7), (900, 30, 7), (40, 200, 12)])
@pytest.mark.parametrize("of_rows", [True, False])
def test_neighbours_are_those_of_all_distances(n, d, k, of_rows, searched):
    Z, queries = normal(n, d), None if of_rows else normal(300, d, seed=1)
    distance, neighbour = BruteForce(Z, k).kneighbors(queries)
    expected = all_distances(Z, queries)
    order = expected.argsort(axis=1)[:, :k]
    np.testing.assert_array_equal(neighbour, order)
    assert neighbour.dtype == np.int64
    nearest = np.take_along_axis(expected, order, 1)
    np.testing.assert_allclose(distance, nearest, rtol=1e-12)
    assert sum(searched) < 0.02 * len(distance)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (8, 7), (33, 32)])
def test_all_other_rows_may_be_neighbours(n, k):
    Z = normal(n, 3)
    distance, neighbour = BruteForce(Z, k).kneighbors()
    others = [[j for j in range(n) if j != i] for i in range(n)]
    np.testing.assert_array_equal(np.sort(neighbour, axis=1), others)
    expected = np.sort(all_distances(Z, None), axis=1)[:, :k]
    np.testing.assert_allclose(distance, expected, rtol=1e-6)


def test_close_rows_far_from_the_origin_and_copies_have_exact_distances(searched):
    """Products in single precision cannot tell these rows from each other."""
    far = 1000 + normal(60, 10, seed=1) / 1000
    Z = np.concatenate([normal(500, 10), far, np.full((50, 10), 9, np.float32)])
    distance, _ = BruteForce(Z, 7).kneighbors()
    expected = np.sort(all_distances(Z, None), axis=1)[:, :7]
    np.testing.assert_allclose(distance, expected, rtol=1e-4, atol=1e-6)
    assert 110 <= sum(searched) < 120  # hardly any others


def test_results_do_not_depend_on_chunks(monkeypatch):
    Z = normal(700, 5)
    whole = BruteForce(Z, 7).kneighbors()
    monkeypatch.setattr(brute_force, "CHUNK_PRODUCTS", 10_000)
    parts = BruteForce(Z, 7).kneighbors()
    np.testing.assert_array_equal(parts[1], whole[1])
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-12)


def test_a_pickled_search_finds_the_same():
    Z, queries = normal(300, 5), normal(20, 5, seed=1)
    search = BruteForce(Z, 7)
    copy = pickle.loads(pickle.dumps(search))
    for found, expected in zip(
        copy.kneighbors(queries), search.kneighbors(queries), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_a_row_with_many_copies_loses_its_last_neighbour():
    distance = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    neighbour = np.array([[4, 0, 2], [5, 6, 7]])
    distance, neighbour = without_own(distance, neighbour, np.array([0, 1]))
    np.testing.assert_array_equal(distance, [[0, 1], [0, 0]])
    np.testing.assert_array_equal(neighbour, [[4, 2], [5, 6]])
