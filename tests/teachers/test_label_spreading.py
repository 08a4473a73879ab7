"""Label spreading: against a dense solution, and what new rows and few rows get."""

import numpy as np
import pytest
from few_labels import hide
from sklearn.datasets import make_moons
from sklearn.metrics import pairwise_distances

from sk_ssvae.teachers.label_spreading import NeighbourGraph


def dense_S(Z, k):
    """Weights and their symmetric normalisation, one pair at a time."""
    d = pairwise_distances(Z)
    order = np.argsort(d + np.diag(np.full(len(Z), -1.0)), axis=1)[:, 1 : k + 1]
    radius = d[np.arange(len(Z)), order[:, -1]]
    W = np.zeros_like(d)
    for i in range(len(Z)):
        for j in order[i]:
            W[i, j] = W[j, i] = np.exp(-(d[i, j] ** 2) / (radius[i] * radius[j]))
    root = np.sqrt(W.sum(1))
    return W / root[:, None] / root


@pytest.fixture
def moons():
    X, y = make_moons(80, noise=0.1, random_state=0)
    return X, hide(y, 3).astype(np.int64), y


def test_the_matrix_is_the_normalised_affinity(moons):
    Z, _, _ = moons
    graph = NeighbourGraph(Z, 5)
    np.testing.assert_allclose(graph.S.toarray(), dense_S(Z, 5), rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(graph.S.toarray(), graph.S.toarray().T, rtol=1e-5)


def test_spreading_comes_to_the_closed_form_with_class_masses(moons):
    Z, codes, _ = moons
    alpha = 0.8
    Y = np.eye(3)[codes][:, :2]
    Y[codes < 0] = 0
    F = (1 - alpha) * np.linalg.solve(np.eye(80) - alpha * dense_S(Z, 5), Y)
    floor = 1e-3 * np.median(F.sum(1)) / 2
    scaled = (F + floor) * (np.array([0.5, 0.5]) / F.mean(0))
    answers = NeighbourGraph(Z, 5).spread([codes], 2, alpha, n_iterations=300)
    np.testing.assert_allclose(
        answers[0], scaled / scaled.sum(1, keepdims=True), rtol=2e-3, atol=1e-5
    )


def test_labellings_are_answered_as_if_alone(moons):
    Z, codes, _ = moons
    other = codes.copy()
    other[np.flatnonzero(codes == 0)[0]] = -1
    both = NeighbourGraph(Z).spread([codes, other], 2)
    np.testing.assert_allclose(
        both[0], NeighbourGraph(Z).spread([codes], 2)[0], rtol=1e-5
    )
    np.testing.assert_allclose(
        both[1], NeighbourGraph(Z).spread([other], 2)[0], rtol=1e-5
    )
    assert not np.allclose(both[0], both[1])


def test_permuting_rows_permutes_answers(moons):
    Z, codes, _ = moons
    order = np.random.RandomState(0).permutation(len(Z))
    plain = NeighbourGraph(Z).spread([codes], 2)[0]
    permuted = NeighbourGraph(Z[order]).spread([codes[order]], 2)[0]
    np.testing.assert_allclose(permuted, plain[order], rtol=1e-4, atol=1e-6)


def test_a_row_of_fit_that_comes_again_gets_its_neighbours_average(moons):
    """A new row at a member's place takes mostly that member's answer."""
    Z, codes, _ = moons
    graph = NeighbourGraph(Z)
    answers = graph.spread([codes], 2)[0]
    again = graph.answer(Z)
    assert (again.argmax(1) == answers.argmax(1)).mean() > 0.97
    np.testing.assert_allclose(again.sum(1), 1, rtol=1e-5)


def test_rows_outside_the_graph_are_answered_as_new_ones(moons):
    Z, codes, _ = moons
    members = np.sort(
        np.concatenate([np.flatnonzero(codes >= 0), np.flatnonzero(codes < 0)[:40]])
    )
    graph = NeighbourGraph(Z, 5, members)
    answers = graph.spread([codes], 2)[0]
    alone = NeighbourGraph(Z[members], 5).spread([codes[members]], 2)[0]
    np.testing.assert_allclose(answers[members], alone, rtol=1e-6)
    outside = np.setdiff1d(np.arange(len(Z)), members)
    np.testing.assert_allclose(answers[outside], graph.answer(Z[outside]), rtol=1e-5)


@pytest.mark.parametrize("n", [2, 3])
def test_few_rows_have_few_neighbours(n):
    Z = np.arange(n, dtype=float)[:, None]
    codes = np.array([0, 1, -1][:n])
    answers = NeighbourGraph(Z, 10).spread([codes], 2)[0]
    assert np.isfinite(answers).all()
    np.testing.assert_allclose(answers.sum(1), 1, rtol=1e-6)


def test_a_row_with_many_copies_is_not_alone_with_them():
    """Labels elsewhere reach them: with a radius of zero there would be no way."""
    Z = np.concatenate([np.zeros(20), np.linspace(0.05, 1, 20)])[:, None]
    codes = np.full(40, -1)
    codes[[25, 39]] = [0, 1]
    answers = NeighbourGraph(Z, 5).spread([codes], 2)[0]
    assert (answers[:20, 0] > 0.8).all()


def test_copies_and_islands_get_probabilities():
    """Rows that are all alike, and rows that no label reaches."""
    Z = np.concatenate([np.zeros((15, 2)), np.full((15, 2), 1e6)])
    codes = np.full(30, -1)
    codes[:3] = [0, 0, 1]
    answers = NeighbourGraph(Z, 5).spread([codes], 2)[0]
    assert np.isfinite(answers).all()
    np.testing.assert_allclose(answers.sum(1), 1, rtol=1e-6)
