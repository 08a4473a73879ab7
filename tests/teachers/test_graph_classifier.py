"""Learning on graphs: against dense solutions, for new rows, and in small graphs."""

import numpy as np
import pytest
from few_labels import hide
from sklearn.datasets import make_moons
from sklearn.metrics import pairwise_distances

from sk_ssvae.teachers.graph_classifier import GraphClassifier
from sk_ssvae.teachers.neighbour_graph import NeighbourGraph
from sk_ssvae.teachers.row_choice import choose_rows


def dense_S(Z, k):
    """Compute the normalised weights one pair of rows at a time."""
    d = pairwise_distances(Z)
    order = np.argsort(d + np.diag(np.full(len(Z), -1.0)), axis=1)[:, 1 : k + 1]
    radius = d[np.arange(len(Z)), order[:, -1]]
    W = np.zeros_like(d)
    for i in range(len(Z)):
        for j in order[i]:
            W[i, j] = W[j, i] = np.exp(-(d[i, j] ** 2) / (radius[i] * radius[j]))
    root = np.sqrt(W.sum(1))
    return W / root[:, None] / root


def proba(Z, codes, k=7, graph_rows=None):
    """Return the probabilities of two classes for one label vector."""
    graph = NeighbourGraph(Z, k, graph_rows)
    return GraphClassifier(graph).fit_predict_proba([codes], 2)[0]


@pytest.fixture
def moons():
    """X, codes with three labels per class."""
    X, y = make_moons(80, noise=0.1, random_state=0)
    return X, hide(y, 3).astype(np.int64)


def test_graph_weights_match_a_dense_computation(moons):
    Z, _ = moons
    S = NeighbourGraph(Z, 5).S.toarray()
    np.testing.assert_allclose(S, dense_S(Z, 5), rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(S, S.T, rtol=1e-5)


def dense_weights(Z, k):
    """Return W, for rows of which none has a radius near zero."""
    d = pairwise_distances(Z)
    radius = np.sort(d, axis=1)[:, k]
    weights = np.exp(-(d**2) / np.outer(radius, radius))
    return np.where(dense_S(Z, k) > 0, weights, 0)


def with_floor(G, shares):
    """Return probabilities; the floor is divided in proportion to the shares."""
    p = G + 1e-3 * np.median(G.sum(1)) * shares
    return p / p.sum(1, keepdims=True)


def test_probabilities_are_those_of_the_linear_system(moons):
    """Zhu, Ghahramani and Lafferty 2003, eq. 5."""
    Z, codes = moons
    codes[np.flatnonzero(codes == 0)[0]] = -1  # shares of 2/5 and 3/5
    W = dense_weights(Z, 5)
    u, labelled = codes < 0, codes >= 0
    Y = np.eye(2)[codes[labelled]]
    laplacian = np.diag(W.sum(1)) - W
    G = np.zeros((len(Z), 2))
    G[labelled] = Y
    G[u] = np.linalg.solve(laplacian[np.ix_(u, u)], W[np.ix_(u, labelled)] @ Y)
    expected = with_floor(G, np.array([0.4, 0.6]))
    graph = NeighbourGraph(Z, 5)
    p = GraphClassifier(graph, 20_000).fit_predict_proba([codes], 2)
    np.testing.assert_allclose(p[0], expected, rtol=2e-3, atol=1e-4)


def test_scores_are_probabilities_of_random_walks(moons):
    """Of at most three steps, which end at the first label: sums over all walks."""
    Z, codes = moons
    W = dense_weights(Z, 5)
    step = W / W.sum(1, keepdims=True)
    labelled = np.flatnonzero(codes >= 0)
    step[labelled] = np.eye(len(Z))[labelled]
    G = np.linalg.matrix_power(step, 3)[:, labelled] @ np.eye(2)[codes[labelled]]
    assert (G.sum(1) == 0).any()
    p = GraphClassifier(NeighbourGraph(Z, 5), 3).fit_predict_proba([codes], 2)
    expected = with_floor(G, 0.5)
    np.testing.assert_allclose(p[0], expected, rtol=1e-3, atol=1e-5)


def test_walks_have_sixty_steps_by_default(moons):
    Z, codes = moons
    graph = NeighbourGraph(Z, 7)
    sixty, fewer = (
        GraphClassifier(graph, n).fit_predict_proba([codes], 2)[0] for n in (60, 59)
    )
    np.testing.assert_array_equal(proba(Z, codes), sixty)
    assert not np.array_equal(sixty, fewer)


def test_label_vectors_do_not_affect_each_other(moons):
    Z, codes = moons
    other = codes.copy()
    other[np.flatnonzero(codes == 0)[0]] = -1
    both = GraphClassifier(NeighbourGraph(Z)).fit_predict_proba([codes, other], 2)
    first, second = (proba(Z, c) for c in (codes, other))
    np.testing.assert_allclose(both[0], first, rtol=1e-5)
    np.testing.assert_allclose(both[1], second, rtol=1e-5)
    assert not np.allclose(both[0], both[1])


def test_permuting_rows_permutes_probabilities(moons):
    Z, codes = moons
    order = np.random.RandomState(0).permutation(len(Z))
    p = proba(Z, codes)
    permuted = proba(Z[order], codes[order])
    np.testing.assert_allclose(permuted, p[order], rtol=1e-4, atol=1e-6)


def test_predictions_for_training_rows_mostly_agree_with_those_of_nodes(moons):
    """A row at the position of a node gets mostly the score of that node."""
    Z, codes = moons
    classifier = GraphClassifier(NeighbourGraph(Z))
    p = classifier.fit_predict_proba([codes], 2)[0]
    predicted = classifier.predict_proba(Z)
    assert (predicted.argmax(1) == p.argmax(1)).mean() > 0.97
    np.testing.assert_allclose(predicted.sum(1), 1, rtol=1e-5)


def test_rows_off_the_graph_are_predicted_like_new_rows(moons):
    Z, codes = moons
    graph_rows = np.sort(
        np.concatenate([np.flatnonzero(codes >= 0), np.flatnonzero(codes < 0)[:40]])
    )
    classifier = GraphClassifier(NeighbourGraph(Z, 5, graph_rows))
    p = classifier.fit_predict_proba([codes], 2)[0]
    alone = proba(Z[graph_rows], codes[graph_rows], 5)
    np.testing.assert_allclose(p[graph_rows], alone, rtol=1e-6)
    others = np.setdiff1d(np.arange(len(Z)), graph_rows)
    predicted = classifier.predict_proba(Z[others])
    np.testing.assert_allclose(p[others], predicted, rtol=1e-5)


@pytest.mark.parametrize("n", [2, 3])
def test_number_of_neighbours_is_limited_by_the_number_of_rows(n):
    Z = np.arange(n, dtype=float)[:, None]
    codes = np.array([0, 1, -1][:n])
    p = proba(Z, codes, 10)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)


def test_labels_reach_rows_with_many_copies():
    """With a radius of zero, copies would be connected to each other only."""
    Z = np.concatenate([np.zeros(20), np.linspace(0.05, 1, 20)])[:, None]
    codes = np.full(40, -1)
    codes[[25, 39]] = [0, 1]
    p = proba(Z, codes, 5)
    assert (p[:20, 0] > 0.8).all()


def test_identical_and_unreachable_rows_get_probabilities():
    Z = np.concatenate([np.zeros((15, 2)), np.full((15, 2), 1e6)])
    codes = np.full(30, -1)
    codes[:3] = [0, 0, 1]
    p = proba(Z, codes, 5)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)


def test_unreachable_rows_have_the_class_shares_of_the_labels():
    """Of most rows, so that the median score is zero."""
    Z = np.concatenate([np.linspace(0, 1, 10), np.linspace(1e6, 1e6 + 1, 30)])[:, None]
    codes = np.full(40, -1)
    codes[:5] = [0, 0, 0, 0, 1]
    p = proba(Z, codes, 5)
    np.testing.assert_allclose(p[10:, 1], 0.2, rtol=1e-4)


def test_graph_rows_are_half_labelled_and_include_rare_classes():
    codes = np.full(1000, -1)
    codes[:300] = 0
    codes[300:303] = 1
    rows = choose_rows(codes, 100, seed=0, balanced=True)
    assert len(rows) == len(set(rows)) == 100
    assert {300, 301, 302} <= set(rows)
    assert (codes[rows] >= 0).sum() == 50
    assert choose_rows(codes, 1000, seed=0, balanced=True) is None
