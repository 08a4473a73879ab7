"""Shares of classes among unlabelled rows."""

import numpy as np
import pytest

from sk_ssvae.teachers.class_priors import (
    estimate_class_prior,
    random_label_share,
    reweight_posterior,
)

EQUAL = np.array([5, 5])


def exact_posteriors(shares, n, seed, sharpness=2.0):
    """Posteriors under equal shares of rows that have other shares, two normals."""
    rng = np.random.RandomState(seed)
    y = rng.choice(2, n, p=shares)
    x = rng.normal(size=n) + sharpness * (2 * y - 1)
    one = 1 / (1 + np.exp(-2 * sharpness * x))
    return np.stack([1 - one, one], 1), y


def test_reweighting_is_bayes_rule():
    likelihood = np.array([[0.2, 0.05, 0.4], [1.0, 2.0, 3.0]])
    before, after = np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.3, 0.1])

    def posterior(prior):
        joint = likelihood * prior
        return joint / joint.sum(1, keepdims=True)

    np.testing.assert_allclose(
        reweight_posterior(posterior(before), before, after),
        posterior(after),
        rtol=1e-12,
    )


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_the_truth_is_found_where_groups_agree(share):
    truth = np.array([share, 1 - share])
    posterior, _ = exact_posteriors(truth, 20000, seed=0)
    groups = np.stack([posterior] * 5)
    found = estimate_class_prior(posterior, groups, EQUAL, n_steps=200)
    np.testing.assert_allclose(found, truth, atol=0.01)


def test_groups_that_disagree_keep_the_labels_shares():
    posterior, _ = exact_posteriors([0.8, 0.2], 5000, seed=0)
    flipped = posterior[:, ::-1]
    agreeing = estimate_class_prior(posterior, np.stack([posterior] * 4), EQUAL)
    mixed = estimate_class_prior(
        posterior, np.stack([posterior, flipped, posterior, flipped]), EQUAL
    )
    assert 0.5 < mixed[0] < 0.62 < agreeing[0]


def test_the_shrinkage_factor_by_hand():
    posterior = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    groups = np.stack([posterior, posterior[::-1] * [1, 2] / [[1.1], [1.1], [1.1]]])
    groups /= groups.sum(-1, keepdims=True)
    labelled = np.array([0.5, 0.5])
    shift = posterior.mean(0) - labelled  # one step of EM from equal shares
    variance = groups.mean(1).var(0).sum()  # (2 - 1) / 2 times twice the variance
    factor = shift @ shift / (shift @ shift + variance)
    np.testing.assert_allclose(
        estimate_class_prior(posterior, groups, EQUAL, n_steps=1),
        labelled + factor * shift,
        rtol=1e-12,
    )


def test_without_groups_or_rows_the_labels_shares_stay():
    counts, labelled = np.array([3, 7]), np.array([0.3, 0.7])
    posterior, _ = exact_posteriors([0.5, 0.5], 50, seed=0)
    for left_out in (np.empty((0, 50, 2)), posterior[None]):
        np.testing.assert_array_equal(
            estimate_class_prior(posterior, left_out, counts), labelled
        )
    none = np.empty((0, 2))
    np.testing.assert_array_equal(
        estimate_class_prior(none, np.empty((5, 0, 2)), counts), labelled
    )


def test_shares_are_positive():
    posterior = np.tile([1.0, 0.0, 0.0], (100, 1))
    shares = estimate_class_prior(posterior, np.stack([posterior] * 5), np.ones(3, int))
    assert (shares > 0).all()
    np.testing.assert_allclose(shares.sum(), 1)


def test_random_labels_are_told_from_as_many_of_each_class():
    assert random_label_share(np.array([5, 5, 5])) == 0
    assert random_label_share(np.array([1, 9])) == 1
    # Chi-squared has as its mean its degrees of freedom.
    random = np.random.RandomState(0).multinomial(30, np.full(6, 1 / 6), size=20000)
    chi_squared = ((random - 5) ** 2 / 5).sum(1)
    np.testing.assert_allclose(chi_squared.mean(), 5, rtol=0.02)
    capped = np.mean([random_label_share(counts) for counts in random])
    np.testing.assert_allclose(capped, np.minimum(1, chi_squared / 5).mean())


def test_random_labels_count_by_their_variance():
    """By hand, for one step of EM from shares of 1/5 and 4/5."""
    posterior = np.array([[0.9, 0.1], [0.6, 0.4]])
    groups = np.stack([posterior, posterior[:, ::-1]])
    counts = np.array([2, 8])
    labelled = counts / 10
    shift = posterior.mean(0) - labelled
    v = groups.mean(1).var(0).sum()
    v_l = (0.2 * 0.8 + 0.8 * 0.2) / 10
    factor = shift @ shift / (shift @ shift + v) * v_l / (v_l + 3 * v)
    np.testing.assert_allclose(
        estimate_class_prior(posterior, groups, counts, n_steps=1),
        labelled + factor * shift,
        rtol=1e-12,
    )
    # A hundred times as many labels are hardly argued with.
    many = estimate_class_prior(posterior, groups, 100 * counts, n_steps=1)
    assert np.abs(many - labelled).max() < 0.01
