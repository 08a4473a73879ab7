"""Class shares among unlabelled rows, and the adjustment of posteriors to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax

from sk_ssvae.teachers import class_priors
from sk_ssvae.teachers.class_priors import (
    estimate_class_prior,
    estimate_prior_by_em,
    label_count_dispersion,
    reweight_posterior,
)

EQUAL = np.array([5, 5])


def exact_posteriors(shares, n, seed, sharpness=2.0):
    """Classes drawn with the given shares, and their posteriors for equal shares.

    The two classes are normal with means -sharpness and +sharpness.
    """
    rng = np.random.RandomState(seed)
    y = rng.choice(2, n, p=shares)
    x = rng.normal(size=n) + sharpness * (2 * y - 1)
    p = 1 / (1 + np.exp(-2 * sharpness * x))
    return np.stack([1 - p, p], 1), y


def test_reweighting_is_bayes_rule():
    likelihood = np.array([[0.2, 0.05, 0.4], [1.0, 2.0, 3.0]])
    prior, new_prior = np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.3, 0.1])

    def posterior(prior):
        joint = likelihood * prior
        return joint / joint.sum(1, keepdims=True)

    np.testing.assert_allclose(
        reweight_posterior(posterior(prior), prior, new_prior),
        posterior(new_prior),
        rtol=1e-12,
    )


@given(st.integers(0, 30), st.integers(2, 4))
def test_em_maximises_the_likelihood(seed, n_classes):
    rng = np.random.RandomState(seed)
    posterior = softmax(2 * rng.randn(30, n_classes), axis=1)
    prior = rng.dirichlet(np.full(n_classes, 5.0))
    weight = rng.rand(30)
    shares = estimate_prior_by_em(posterior, prior, weight)
    assert shares.sum() == pytest.approx(1)

    def loss(logits):
        return -weight @ np.log(posterior @ (softmax(logits) / prior))

    optimum = minimize(loss, np.zeros(n_classes), method="BFGS", tol=1e-10)
    # Shares are bounded from below, so the maximum need not be reached exactly.
    assert loss(np.log(shares)) <= optimum.fun + 0.005
    if shares.min() > 1e-3:
        assert shares == pytest.approx(softmax(optimum.x), abs=2e-3)
        # A fixed point of EM: the mean of the adjusted posteriors.
        mean = np.average(
            reweight_posterior(posterior, prior, shares), axis=0, weights=weight
        )
        assert mean == pytest.approx(shares, abs=1e-6)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_em_recovers_true_shares_from_exact_posteriors(share):
    posterior, y = exact_posteriors([1 - share, share], 20_000, 0, sharpness=1.25)
    shares = estimate_prior_by_em(posterior, np.array([0.5, 0.5]))
    assert shares[1] == pytest.approx((y == 1).mean(), abs=0.01)


def test_em_converges_quickly_if_a_class_is_absent(monkeypatch):
    posterior = np.tile([[0.9, 0.0999, 1e-4], [0.0999, 0.9, 1e-4]], (10, 1))
    calls = []

    def counting(*args):
        calls.append(args)
        return reweight_posterior(*args)

    monkeypatch.setattr(class_priors, "reweight_posterior", counting)
    shares = estimate_prior_by_em(posterior, np.full(3, 1 / 3))
    assert shares == pytest.approx([0.5, 0.5, 1e-4], abs=1e-4)
    assert 1 < len(calls) < 100


def test_em_treats_integer_weights_as_repeated_rows():
    rng = np.random.RandomState(0)
    posterior = softmax(rng.randn(20, 3), axis=1)
    counts = rng.randint(1, 4, size=20)
    prior = np.full(3, 1 / 3)
    weighted = estimate_prior_by_em(posterior, prior, counts)
    repeated = estimate_prior_by_em(np.repeat(posterior, counts, axis=0), prior)
    assert weighted == pytest.approx(repeated)
    assert weighted != pytest.approx(estimate_prior_by_em(posterior, prior), rel=1e-3)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_estimate_is_the_true_share_if_all_groups_agree(share):
    truth = np.array([share, 1 - share])
    posterior, _ = exact_posteriors(truth, 20000, seed=0)
    left_out = np.stack([posterior] * 5)
    shares = estimate_class_prior(posterior, left_out, EQUAL, n_steps=200)
    np.testing.assert_allclose(shares, truth, atol=0.01)


def test_estimate_is_shrunk_to_the_label_shares_if_groups_disagree():
    posterior, _ = exact_posteriors([0.8, 0.2], 5000, seed=0)
    flipped = posterior[:, ::-1]
    agreeing = estimate_class_prior(posterior, np.stack([posterior] * 4), EQUAL)
    disagreeing = estimate_class_prior(
        posterior, np.stack([posterior, flipped, posterior, flipped]), EQUAL
    )
    assert 0.5 < disagreeing[0] < 0.62 < agreeing[0]


def test_shrinkage_factor_matches_the_formula_for_equal_label_counts():
    posterior = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    left_out = np.stack([posterior, posterior[::-1] * [1, 2] / 1.1])
    left_out /= left_out.sum(-1, keepdims=True)
    labelled = np.array([0.5, 0.5])
    shift = posterior.mean(0) - labelled  # one step of EM from equal shares
    # (2 - 1) / 2 times the sum of squares, which is twice the variance
    variance = left_out.mean(1).var(0).sum()
    factor = (shift @ shift / (shift @ shift + 3 * variance)) ** 2
    np.testing.assert_allclose(
        estimate_class_prior(posterior, left_out, EQUAL, n_steps=1),
        labelled + factor * shift,
        rtol=1e-12,
    )


def test_shrinkage_factor_matches_the_formula_for_uneven_label_counts():
    posterior = np.array([[0.9, 0.1], [0.6, 0.4]])
    left_out = np.stack([posterior, posterior[:, ::-1]])
    counts = np.array([2, 8])
    labelled = counts / 10
    shift = posterior.mean(0) - labelled  # one step of EM from shares of 1/5 and 4/5
    v = left_out.mean(1).var(0).sum()
    v_l = (0.2 * 0.8 + 0.8 * 0.2) / 10
    factor = (shift @ shift / (shift @ shift + 3 * v)) ** 2 * v_l / (v_l + 3 * v)
    np.testing.assert_allclose(
        estimate_class_prior(posterior, left_out, counts, n_steps=1),
        labelled + factor * shift,
        rtol=1e-12,
    )
    many = estimate_class_prior(posterior, left_out, 100 * counts, n_steps=1)
    assert np.abs(many - labelled).max() < 0.01


def test_estimate_is_the_label_shares_without_groups_or_rows():
    counts, labelled = np.array([3, 7]), np.array([0.3, 0.7])
    posterior, _ = exact_posteriors([0.5, 0.5], 50, seed=0)
    for left_out in (np.empty((0, 50, 2)), posterior[None]):
        np.testing.assert_array_equal(
            estimate_class_prior(posterior, left_out, counts), labelled
        )
    no_rows = np.empty((0, 2))
    np.testing.assert_array_equal(
        estimate_class_prior(no_rows, np.empty((5, 0, 2)), counts), labelled
    )


def test_estimated_shares_are_positive():
    posterior = np.tile([1.0, 0.0, 0.0], (100, 1))
    shares = estimate_class_prior(posterior, np.stack([posterior] * 5), np.ones(3, int))
    assert (shares > 0).all()
    np.testing.assert_allclose(shares.sum(), 1)


def test_dispersion_separates_equal_from_random_label_counts():
    assert label_count_dispersion(np.array([5, 5, 5])) == 0
    assert label_count_dispersion(np.array([1, 9])) == 1
    # The mean of chi-squared is its number of degrees of freedom.
    counts = np.random.RandomState(0).multinomial(30, np.full(6, 1 / 6), size=20000)
    chi_squared = ((counts - 5) ** 2 / 5).sum(1)
    np.testing.assert_allclose(chi_squared.mean(), 5, rtol=0.02)
    dispersion = [label_count_dispersion(c) for c in counts]
    np.testing.assert_allclose(dispersion, np.minimum(1, chi_squared / 5))
