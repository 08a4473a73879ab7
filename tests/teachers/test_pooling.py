"""Weights of a logarithmic opinion pool: gradients, calibration, folds."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from sk_ssvae.teachers import pooling as opinions
from sk_ssvae.teachers.pooling import (
    OpinionPool,
    fit_temperature,
    fit_weights,
    make_folds,
)


@pytest.mark.parametrize("counts", [[5, 5, 5], [1, 2, 20], [2, 2], [1, 7]])
def test_folds_hide_each_label_once_and_never_a_whole_class(counts):
    codes = np.concatenate([np.repeat(np.arange(len(counts)), counts), [-1] * 10])
    folds = make_folds(codes, seed=0)
    assert len(folds) == min(5, max(counts))
    hidden = np.concatenate(folds)
    assert len(set(hidden)) == len(hidden)
    single = np.isin(codes, np.flatnonzero(np.array(counts) == 1))
    assert set(hidden) == set(np.flatnonzero((codes >= 0) & ~single))
    for fold in folds:
        left = codes.copy()
        left[fold] = -1
        assert set(left[left >= 0]) == set(range(len(counts)))


def test_no_folds_where_each_class_has_one_label():
    assert make_folds(np.array([0, 1, 2, -1, -1]), seed=0) == []


def test_folds_depend_on_the_seed_alone(global_generators):
    codes = np.repeat([0, 1, -1], 10)
    before = global_generators()
    first, again, other = (make_folds(codes, s) for s in (0, 0, 1))
    assert before == global_generators()
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


@pytest.mark.parametrize("power", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_a_wrong_scale(power):
    """As far as the penalty on it lets it, by a fine grid."""
    rng = np.random.RandomState(0)
    true = rng.normal(size=(4000, 3))
    codes = np.array([rng.choice(3, p=p) for p in softmax(true, axis=1)])
    given = log_softmax(true / power, axis=1)
    found = fit_temperature(given, codes)
    powers = np.geomspace(0.1, 12, 400)
    losses = [
        log_loss(codes, softmax(t * given, axis=1))
        + opinions.TEMPERATURE_PENALTY * np.log(t) ** 2
        for t in powers
    ]
    assert found == pytest.approx(powers[np.argmin(losses)], rel=0.06)
    assert abs(np.log(found / power)) < 0.3


def test_weights_minimise_the_penalised_log_loss():
    """Against a fine grid over two views."""
    rng = np.random.RandomState(0)
    true = rng.normal(size=(60, 3))
    codes = np.array([rng.choice(3, p=p) for p in softmax(true, axis=1)])
    views = np.stack([true + rng.normal(size=true.shape), rng.normal(size=true.shape)])
    views = log_softmax(views, axis=-1)

    def loss(w):
        log_p = log_softmax(np.tensordot(w, views, 1), axis=1)
        penalty = opinions.WEIGHT_PENALTY / 60 * ((w - 0.5) ** 2).sum()
        return -log_p[np.arange(60), codes].mean() + penalty

    weights = fit_weights(views, codes)
    grid = [
        np.array([a, b]) for a in np.linspace(0, 3, 61) for b in np.linspace(0, 2, 41)
    ]
    assert loss(weights) <= min(map(loss, grid)) + 1e-6
    assert weights[0] > weights[1]
    # and its gradient vanishes, or points out of the box
    for m in range(2):
        step = np.eye(2)[m] * 1e-5
        slope = (loss(weights + step) - loss(weights - step)) / 2e-5
        assert abs(slope) < 1e-3 or (weights[m] == 0 and slope > 0)


def test_useless_views_share_the_weight_where_labels_tell_nothing():
    views = np.stack([np.log(np.full((4, 2), 0.5))] * 3)
    weights = fit_weights(views, np.array([0, 1, 0, 1]))
    np.testing.assert_allclose(weights, 1 / 3, atol=1e-6)


def pool_of(answers, codes, *, estimate=False):
    folds = make_folds(codes, 0)
    pool = OpinionPool(codes, folds, estimate=estimate)
    stacked = {k: np.stack([v] * (1 + len(folds))) for k, v in answers.items()}
    return pool, pool.fit(stacked)


def test_one_calibrated_view_is_its_own_pool_up_to_its_power():
    rng = np.random.RandomState(0)
    p = rng.dirichlet([1, 1], 40)
    codes = np.full(40, -1)
    codes[:10] = (p[:10, 1] > 0.5).astype(int)
    pool, pooled = pool_of({"one": p}, codes)
    power = pool.powers["one"] * pool.weights["one"]
    np.testing.assert_allclose(
        pooled[0], softmax(power * np.log(np.clip(p, 1e-4, 1)), axis=1), rtol=1e-6
    )


def test_a_view_that_knows_gets_the_weight():
    rng = np.random.RandomState(1)
    y = np.repeat([0, 1], 50)
    codes = np.where(np.arange(100) % 5 == 0, y, -1)
    good = np.where(np.eye(2)[y] > 0, 0.9, 0.1)
    bad = rng.dirichlet([2, 2], 100)
    pool, pooled = pool_of({"good": good, "bad": bad}, codes)
    force = {name: pool.weights[name] * pool.powers[name] for name in pool.weights}
    assert force["good"] > 10 * force["bad"]
    assert pool.losses["good"] < 0.2 < pool.losses["bad"]
    assert (pooled[0].argmax(1) == y).all()


def test_without_folds_views_count_the_same():
    codes = np.array([0, 1, -1, -1])
    p, q = np.full((4, 2), 0.5), np.tile([0.9, 0.1], (4, 1))
    pool, pooled = pool_of({"p": p, "q": q}, codes)
    assert pool.weights == {"p": 0.5, "q": 0.5}
    assert pool.powers == {"p": 1.0, "q": 1.0}
    assert pool.losses == {}
    np.testing.assert_allclose(pooled[0], np.tile([0.75, 0.25], (4, 1)), rtol=1e-9)


@pytest.mark.parametrize("estimate", [False, True])
def test_other_rows_are_pooled_for_the_shares_of_all_rows(estimate):
    rng = np.random.RandomState(0)
    codes = np.repeat([0, 1, -1, -1], 6)
    answers = {name: rng.dirichlet([1, 1], 24) for name in "abc"}
    pool, pooled = pool_of(answers, codes, estimate=estimate)
    of_all = (np.array([0.5, 0.5]) + pool.shares) / 2  # half of the rows are labelled
    expected = pooled[0] * of_all / pool.shares
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(pool.pool(answers), expected, rtol=1e-9)
    assert (abs(pool.shares - 0.5).max() > 1e-3) == estimate
