"""Shares of classes among unlabelled rows."""

import numpy as np
import pytest

from sk_ssvae.class_shares import estimate_shares, reweighted


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
        reweighted(posterior(before), before, after), posterior(after), rtol=1e-12
    )


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_the_truth_is_found_where_groups_agree(share):
    truth = np.array([share, 1 - share])
    posterior, _ = exact_posteriors(truth, 20000, seed=0)
    groups = np.stack([posterior] * 5)
    found = estimate_shares(posterior, groups, np.array([0.5, 0.5]), n_steps=200)
    np.testing.assert_allclose(found, truth, atol=0.01)


def test_groups_that_disagree_keep_the_labels_shares():
    posterior, _ = exact_posteriors([0.8, 0.2], 5000, seed=0)
    flipped = posterior[:, ::-1]
    labelled = np.array([0.5, 0.5])
    agreeing = estimate_shares(posterior, np.stack([posterior] * 4), labelled)
    mixed = estimate_shares(
        posterior, np.stack([posterior, flipped, posterior, flipped]), labelled
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
        estimate_shares(posterior, groups, labelled, n_steps=1),
        labelled + factor * shift,
        rtol=1e-12,
    )


def test_without_groups_or_rows_the_labels_shares_stay():
    labelled = np.array([0.3, 0.7])
    posterior, _ = exact_posteriors([0.5, 0.5], 50, seed=0)
    for left_out in (np.empty((0, 50, 2)), posterior[None]):
        np.testing.assert_array_equal(
            estimate_shares(posterior, left_out, labelled), labelled
        )
    none = np.empty((0, 2))
    np.testing.assert_array_equal(
        estimate_shares(none, np.empty((5, 0, 2)), labelled), labelled
    )


def test_shares_are_positive():
    posterior = np.tile([1.0, 0.0, 0.0], (100, 1))
    shares = estimate_shares(posterior, np.stack([posterior] * 5), np.full(3, 1 / 3))
    assert (shares > 0).all()
    np.testing.assert_allclose(shares.sum(), 1)
