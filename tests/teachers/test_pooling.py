"""The logarithmic opinion pool: folds, calibration, weights, and class shares."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from sk_ssvae.teachers.pooling import (
    TEMPERATURE_PENALTY,
    WEIGHT_PENALTY,
    OpinionPool,
    fit_inverse_temperature,
    fit_weights,
    make_folds,
)


@pytest.mark.parametrize("counts", [[5, 5, 5], [1, 2, 20], [2, 2], [1, 7]])
def test_folds_hide_each_label_once_and_never_a_whole_class(counts):
    codes = np.concatenate([np.repeat(np.arange(len(counts)), counts), [-1] * 10])
    folds = make_folds(codes, seed=0)
    assert len(folds) == min(5, max(counts))
    held_out = np.concatenate(folds)
    assert len(set(held_out)) == len(held_out)
    single = np.isin(codes, np.flatnonzero(np.array(counts) == 1))
    assert set(held_out) == set(np.flatnonzero((codes >= 0) & ~single))
    for fold in folds:
        rest = codes.copy()
        rest[fold] = -1
        assert set(rest[rest >= 0]) == set(range(len(counts)))


def test_number_of_folds_is_limited():
    codes = np.repeat([0, 1, 2, -1], [5, 5, 5, 9])
    assert [len(fold) for fold in make_folds(codes, 0, 3)] == [5, 5, 5]


def test_there_are_no_folds_if_each_class_has_one_label():
    assert make_folds(np.array([0, 1, 2, -1, -1]), seed=0) == []


def test_folds_depend_on_the_seed_only(global_generators):
    codes = np.repeat([0, 1, -1], 10)
    before = global_generators()
    first, same, other = (make_folds(codes, s) for s in (0, 0, 1))
    assert before == global_generators()
    assert all(map(np.array_equal, first, same))
    assert not all(map(np.array_equal, first, other))


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_inverse_temperature_undoes_a_wrong_scale(scale):
    """It minimises the penalised loss, by a finer grid, and is near the true scale."""
    rng = np.random.RandomState(0)
    logits = rng.normal(size=(4000, 3))
    codes = np.array([rng.choice(3, p=p) for p in softmax(logits, axis=1)])
    log_proba = log_softmax(logits / scale, axis=1)
    fitted = fit_inverse_temperature(log_proba, codes)
    grid = np.geomspace(0.1, 12, 400)
    losses = [
        log_loss(codes, softmax(b * log_proba, axis=1))
        + TEMPERATURE_PENALTY * np.log(b) ** 2
        for b in grid
    ]
    assert fitted == pytest.approx(grid[np.argmin(losses)], rel=0.06)
    assert abs(np.log(fitted / scale)) < 0.3


def test_weights_minimise_the_penalised_log_loss():
    rng = np.random.RandomState(0)
    logits = rng.normal(size=(60, 3))
    codes = np.array([rng.choice(3, p=p) for p in softmax(logits, axis=1)])
    informative = logits + rng.normal(size=logits.shape)
    views = log_softmax(np.stack([informative, rng.normal(size=logits.shape)]), axis=-1)

    def loss(w):
        log_p = log_softmax(np.tensordot(w, views, 1), axis=1)
        penalty = WEIGHT_PENALTY / 60 * ((w - 0.5) ** 2).sum()
        return -log_p[np.arange(60), codes].mean() + penalty

    weights = fit_weights(views, codes)
    grid = [
        np.array([a, b]) for a in np.linspace(0, 3, 61) for b in np.linspace(0, 2, 41)
    ]
    assert loss(weights) <= min(map(loss, grid)) + 1e-6
    assert weights[0] > weights[1]
    # The gradient vanishes, or points out of the bounds.
    for m in range(2):
        step = np.eye(2)[m] * 1e-5
        slope = (loss(weights + step) - loss(weights - step)) / 2e-5
        assert abs(slope) < 1e-3 or (weights[m] == 0 and slope > 0)


def test_uninformative_views_get_equal_weights():
    views = np.stack([np.log(np.full((4, 2), 0.5))] * 3)
    weights = fit_weights(views, np.array([0, 1, 0, 1]))
    np.testing.assert_allclose(weights, 1 / 3, atol=1e-6)


def fit_pool(views, codes, *, estimate_shares=False):
    """Pool views whose probabilities are the same for all label vectors."""
    folds = make_folds(codes, 0)
    pool = OpinionPool(codes, folds, estimate_shares=estimate_shares)
    repeated = {name: np.stack([p] * (1 + len(folds))) for name, p in views.items()}
    return pool, pool.fit_pool(repeated)


def exponents(pool):
    return {m: pool.weights[m] * pool.inverse_temperatures[m] for m in pool.weights}


def test_label_vectors_hide_one_fold_each():
    codes = np.array([0, 1, 0, 1, -1])
    folds = [np.array([0, 1]), np.array([2, 3])]
    vectors = OpinionPool(codes, folds, estimate_shares=False).label_vectors
    expected = [[0, 1, 0, 1, -1], [-1, -1, 0, 1, -1], [0, 1, -1, -1, -1]]
    np.testing.assert_array_equal(vectors, expected)


def test_pool_of_one_view_is_a_power_of_its_probabilities():
    rng = np.random.RandomState(0)
    p = rng.dirichlet([1, 1], 40)
    codes = np.full(40, -1)
    codes[:10] = (p[:10, 1] > 0.5).astype(int)
    pool, pooled = fit_pool({"one": p}, codes)
    log_p = np.log(np.clip(p, 1e-4, 1))
    np.testing.assert_allclose(
        pooled[0], softmax(exponents(pool)["one"] * log_p, axis=1), rtol=1e-6
    )


def test_an_accurate_view_dominates_a_random_one():
    rng = np.random.RandomState(1)
    y = np.repeat([0, 1], 50)
    codes = np.where(np.arange(100) % 5 == 0, y, -1)
    accurate = np.where(np.eye(2)[y] > 0, 0.9, 0.1)
    random = rng.dirichlet([2, 2], 100)
    pool, pooled = fit_pool({"accurate": accurate, "random": random}, codes)
    assert exponents(pool)["accurate"] > 10 * exponents(pool)["random"]
    assert pool.held_out_log_loss["accurate"] < 0.2 < pool.held_out_log_loss["random"]
    assert (pooled[0].argmax(1) == y).all()


def test_views_have_equal_weights_without_folds():
    codes = np.array([0, 1, -1, -1])
    p, q = np.full((4, 2), 0.5), np.tile([0.9, 0.1], (4, 1))
    pool, pooled = fit_pool({"p": p, "q": q}, codes)
    assert pool.weights == {"p": 0.5, "q": 0.5}
    assert pool.inverse_temperatures == {"p": 1.0, "q": 1.0}
    assert pool.held_out_log_loss == {}
    np.testing.assert_allclose(pooled[0], np.tile([0.75, 0.25], (4, 1)), rtol=1e-9)


@pytest.mark.parametrize("estimate_shares", [False, True])
def test_further_rows_are_pooled_for_their_class_shares(estimate_shares):
    rng = np.random.RandomState(0)
    codes = np.repeat([0, 1, -1, -1], 6)
    views = {name: rng.dirichlet([1, 1], 24) for name in "abc"}
    pool, pooled = fit_pool(views, codes, estimate_shares=estimate_shares)
    shares = np.array([0.3, 0.7])
    expected = pooled[0] * shares / pool.class_shares
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(pool.pool(views, shares), expected, rtol=1e-9)
    assert (abs(pool.class_shares - 0.5).max() > 1e-3) == estimate_shares
