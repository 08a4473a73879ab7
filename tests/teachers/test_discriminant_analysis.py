"""The linear generative classifier: against brute force, and its limits."""

import numpy as np
import pytest
from few_labels import hide
from scipy.linalg import eigh
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler

from sk_ssvae.teachers.discriminant_analysis import (
    RIDGE,
    LinearGenerative,
    discriminant,
    whitening,
    within_class_covariance,
)


@pytest.fixture
def flowers():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), hide(y, 4).astype(np.int64), y


def test_one_step_by_brute_force(flowers):
    """Means, covariance of the residuals, and Bayes' rule, row by row."""
    X, codes, _ = flowers
    start = np.random.RandomState(0).dirichlet([1, 1, 1], len(X))
    fitted = LinearGenerative(X, unlabeled_weight=0.3, max_iterations=1).fit(
        codes, start
    )
    posterior = start.copy()
    posterior[codes >= 0] = np.eye(3)[codes[codes >= 0]]
    means = np.zeros((3, 4))
    for k in range(3):
        total, mass = np.zeros(4), 1.0  # one row at the origin
        for i in range(len(X)):
            w = posterior[i, k] * (1.0 if codes[i] >= 0 else 0.3)
            total, mass = total + w * X[i], mass + w
        means[k] = total / mass
    covariance = np.zeros((4, 4))
    for i in range(len(X)):
        residual = X[i] - sum(posterior[i, k] * means[k] for k in range(3))
        covariance += np.outer(residual, residual) / len(X)
    s = ledoit_wolf_shrinkage(X)
    covariance = (1 - s) * covariance
    covariance += (s / (1 - s) * np.trace(covariance) / 4 + RIDGE) * np.eye(4)
    density = np.stack([multivariate_normal(m, covariance).pdf(X) for m in means], 1)
    np.testing.assert_allclose(
        fitted.predict_proba(X), density / density.sum(1, keepdims=True), rtol=1e-6
    )


def test_the_covariance_around_hard_classes_is_the_pooled_one(flowers):
    X, _, y = flowers
    means, covariance = within_class_covariance(X, np.eye(3)[y], 0.0)
    np.testing.assert_allclose(means, [X[y == k].mean(0) for k in range(3)])
    pooled = sum((y == k).mean() * np.cov(X[y == k].T, bias=True) for k in range(3))
    np.testing.assert_allclose(covariance, pooled + RIDGE * np.eye(4), atol=1e-12)


def test_unlabelled_rows_of_no_weight_leave_the_means_alone(flowers):
    X, codes, _ = flowers
    few = np.flatnonzero(codes >= 0)
    start = np.full((150, 3), 1 / 3)
    fitted = LinearGenerative(X, unlabeled_weight=0.0, max_iterations=1).fit(
        codes, start
    )
    far = X.copy()
    far[codes < 0] += np.random.RandomState(0).normal(size=(len(X) - len(few), 4))
    # Only through the covariance: the same means satisfy slopes = S^-1 mu for both.
    other = LinearGenerative(far, unlabeled_weight=0.0, max_iterations=1).fit(
        codes, start
    )
    for posterior in (fitted, other):
        ratio = -2 * posterior.intercepts
        means = np.stack([X[codes == k].sum(0) / 5 for k in range(3)])
        np.testing.assert_allclose(
            np.einsum("kd,dk->k", means, posterior.coefficients), ratio, rtol=1e-6
        )


def test_it_learns_from_unlabelled_rows(flowers):
    X, codes, y = flowers
    start = np.full((150, 3), 1 / 3)
    accuracy = (
        LinearGenerative(X).fit(codes, start).predict_proba(X).argmax(1) == y
    ).mean()
    assert accuracy > 0.9


def test_constant_columns_and_copies_do_no_harm(flowers):
    X, codes, y = flowers
    wide = np.hstack([X, X[:, :2], np.zeros((150, 3))])
    start = np.full((150, 3), 1 / 3)
    posterior = LinearGenerative(wide).fit(codes, start).predict_proba(wide)
    assert np.isfinite(posterior).all()
    assert (posterior.argmax(1) == y).mean() > 0.8


def test_whitened_rows_vary_by_one_unit_within_classes(flowers):
    X, _, y = flowers
    soft = np.random.RandomState(0).dirichlet([1, 1, 1], 150) * 0.2
    soft += 0.8 * np.eye(3)[y]
    _, covariance = within_class_covariance(X, soft, 0.1)
    matrix = whitening(X, soft)
    np.testing.assert_allclose(matrix.T @ covariance @ matrix, np.eye(4), atol=1e-10)


def test_discriminant_directions_are_fishers(flowers):
    """They solve the generalised eigenvalue problem, and hold all of the ratio."""
    X, _, y = flowers
    classes = np.eye(3)[y]
    means, within = within_class_covariance(X, classes, 0.1)
    between = sum((m - X.mean(0))[:, None] * (m - X.mean(0)) / 3 for m in means)
    expected = eigh(between, within, eigvals_only=True)[::-1]
    matrix = discriminant(X, classes)
    assert matrix.shape == (4, 2)
    np.testing.assert_allclose(matrix.T @ within @ matrix, np.eye(2), atol=1e-10)
    found = np.diag(matrix.T @ between @ matrix)
    np.testing.assert_allclose(found, expected[:2], rtol=1e-8)
