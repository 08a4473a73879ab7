"""Rows in blocks and in single precision have the results of all rows at once."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.teachers import blocks, neighbour_graph
from sk_ssvae.teachers.blocks import extreme_share
from sk_ssvae.teachers.neighbour_graph import neighbour_index

VIEWS = ["min-max", "pca-4", "ranks", "logistic", "svm", "linear-generative"]


@pytest.fixture
def many_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "MAX_CELLS", 100)
    monkeypatch.setattr(blocks, "BLOCK_CELLS", 100)


def test_blocks_cover_the_rows():
    assert list(blocks.row_blocks(1000, 5)) == [slice(0, 1000)]
    many = list(blocks.row_blocks(2**23 + 1, 4))
    assert [b.stop - b.start for b in many] == [2**20] * 8 + [1]
    assert [b.start for b in many[1:]] == [b.stop for b in many[:-1]]


def test_single_precision_has_the_bits_of_double_precision():
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(50, 4)) * 10.0 ** np.arange(4) + 1000).astype(np.float32)
    single, double = (blocks.fit_view_scaling(a) for a in (X, X.astype(float)))
    np.testing.assert_array_equal(single.mean, double.mean)
    np.testing.assert_array_equal(single.scale, double.scale)
    rows = blocks.scale_rows(X, single)
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows, blocks.scale_rows(X.astype(float), double))


def test_columns_that_share_a_unit_are_pareto_scaled():
    rng = np.random.default_rng(0)
    X = 3 + rng.normal(size=(60, 50)) * np.linspace(0.5, 2, 50)
    X[:, 7] = 4.0  # constant
    scaled = blocks.scale_rows(X, blocks.fit_view_scaling(X))
    kept = np.delete(X, 7, axis=1)
    pareto = (kept - kept.mean(axis=0)) / np.sqrt(kept.std(axis=0))
    expected = pareto / np.sqrt(pareto.var(axis=0).mean())
    np.testing.assert_allclose(scaled, expected, atol=1e-5)
    assert scaled.var(axis=0).mean() == pytest.approx(1, rel=1e-5)
    in_other_units = blocks.scale_rows(X * 1024, blocks.fit_view_scaling(X * 1024))
    np.testing.assert_allclose(in_other_units, scaled, atol=1e-5)
    # The view "unscaled" undoes it.
    relative = blocks.relative_scale(blocks.fit_view_scaling(X))
    unscaled = scaled * relative
    ratio = unscaled / (kept - kept.mean(axis=0))
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-3)


def test_columns_in_several_units_are_standardised():
    X = np.random.default_rng(0).normal(size=(60, 50)) * np.geomspace(1, 1e4, 50)
    scaled = blocks.scale_rows(X, blocks.fit_view_scaling(X))
    np.testing.assert_allclose(scaled, StandardScaler().fit_transform(X), atol=1e-5)


@pytest.mark.usefixtures("many_blocks")
def test_blocks_of_rows_are_transformed_as_all_rows():
    X = np.random.default_rng(0).normal(size=(99, 7))
    scaler = MinMaxScaler().fit(X)
    Z = blocks.transformed(scaler, X)
    assert Z.dtype == np.float32
    np.testing.assert_array_equal(Z, scaler.transform(X).astype(np.float32))


def test_the_pool_has_the_same_probabilities_in_blocks(iris, request):
    X, y, _ = iris
    views = [*VIEWS, "whitened", "discriminant", "latent-bernoulli"]
    pool = OpinionPoolClassifier(views=views, random_state=0)
    whole = pool.fit(X, y).label_distributions_, pool.predict_proba(X)
    request.getfixturevalue("many_blocks")
    parts = pool.fit(X, y).label_distributions_, pool.predict_proba(X)
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize("n_dimensions", [3, 10])
def test_the_chosen_search_finds_the_neighbours_of_a_tree(n_dimensions, monkeypatch):
    monkeypatch.setattr(neighbour_graph, "MIN_PROBED_ROWS", 1000)
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(1500, n_dimensions)).astype(np.float32)
    index = neighbour_index(Z, 10)
    # In 10 dimensions a tree visits most rows.
    assert index.algorithm == {3: "kd_tree", 10: "brute"}[n_dimensions]
    expected = NearestNeighbors(n_neighbors=10, algorithm="kd_tree").fit(Z)
    for found, right in zip(index.kneighbors(), expected.kneighbors(), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-6)
    monkeypatch.setattr(neighbour_graph, "MIN_PROBED_ROWS", 1501)
    assert neighbour_index(Z, 10).algorithm == "kd_tree"


@pytest.mark.parametrize(
    ("n_rows", "n_dimensions", "n_neighbors"),
    [(50, 15, 7), (50, 16, 7), (16, 2, 7), (15, 2, 7), (14, 2, 7)],
)
def test_few_rows_are_searched_as_scikit_learn_would(n_rows, n_dimensions, n_neighbors):
    Z = np.random.default_rng(0).normal(size=(n_rows, n_dimensions))
    index = neighbour_index(np.float32(Z), n_neighbors)
    automatic = NearestNeighbors(n_neighbors=n_neighbors).fit(np.float32(Z))
    assert index.algorithm == automatic._fit_method


def test_extreme_share_counts_minima_and_maxima_of_columns():
    kept = np.array([True, True, False])
    X = np.array([[0, 5, 9], [1, 6, 9], [0, 7, 9], [1, 8, 9.0]])
    for rows in (X, 3 * X - 7, X.astype(np.float32)):
        assert extreme_share(rows, kept) == (4 + 2) / 8
    assert extreme_share(X[:, :1], np.array([True])) == 1
    X = np.tile(np.random.RandomState(0).rand(1000, 300), (10, 1))  # several chunks
    assert extreme_share(X, np.ones(300, dtype=bool)) == 2 * 10 / len(X)
