"""Semi-supervised linear discriminant analysis, and projections from soft labels."""

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
    SemiSupervisedLDA,
    discriminant_directions,
    whitening,
    within_class_covariance,
)

UNIFORM = np.full((150, 3), 1 / 3)


@pytest.fixture
def scaled_iris():
    """Standardised X, codes with four labels per class, all labels."""
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), hide(y, 4).astype(np.int64), y


def test_one_em_step_matches_a_computation_row_by_row(scaled_iris):
    """Class means, residual covariance, and Bayes' rule."""
    X, codes, _ = scaled_iris
    initial = np.random.RandomState(0).dirichlet([1, 1, 1], len(X))
    lda = SemiSupervisedLDA(X, unlabeled_weight=0.3, max_iter=1)
    fitted = lda.fit(codes, initial)
    posterior = initial.copy()
    posterior[codes >= 0] = np.eye(3)[codes[codes >= 0]]
    means = np.zeros((3, 4))
    for k in range(3):
        total, mass = np.zeros(4), 1.0  # one pseudo-row at the origin
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


def test_within_class_covariance_of_one_hot_labels_is_the_pooled_one(scaled_iris):
    X, _, y = scaled_iris
    means, covariance = within_class_covariance(X, np.eye(3)[y], 0.0)
    np.testing.assert_allclose(means, [X[y == k].mean(0) for k in range(3)])
    pooled = sum((y == k).mean() * np.cov(X[y == k].T, bias=True) for k in range(3))
    np.testing.assert_allclose(covariance, pooled + RIDGE * np.eye(4), atol=1e-12)


def test_unlabelled_rows_of_weight_zero_do_not_change_the_means(scaled_iris):
    X, codes, _ = scaled_iris
    moved = X.copy()
    hidden = codes < 0
    moved[hidden] += np.random.RandomState(0).normal(size=(hidden.sum(), 4))
    # Four labelled rows and one pseudo-row at the origin for each class.
    means = np.stack([X[codes == k].sum(0) / 5 for k in range(3)])
    for rows in (X, moved):
        lda = SemiSupervisedLDA(rows, unlabeled_weight=0.0, max_iter=1)
        posterior = lda.fit(codes, UNIFORM)
        # With coefficients S^-1 mu, mu' S^-1 mu is -2 times the intercept.
        np.testing.assert_allclose(
            np.einsum("kd,dk->k", means, posterior.coefficients),
            -2 * posterior.intercepts,
            rtol=1e-6,
        )


def test_em_is_accurate_with_four_labels_per_class(scaled_iris):
    X, codes, y = scaled_iris
    posterior = SemiSupervisedLDA(X).fit(codes, UNIFORM).predict_proba(X)
    assert (posterior.argmax(1) == y).mean() > 0.9


def test_constant_and_duplicate_columns_are_tolerated(scaled_iris):
    X, codes, y = scaled_iris
    wide = np.hstack([X, X[:, :2], np.zeros((150, 3))])
    posterior = SemiSupervisedLDA(wide).fit(codes, UNIFORM).predict_proba(wide)
    assert np.isfinite(posterior).all()
    assert (posterior.argmax(1) == y).mean() > 0.8


def test_whitened_rows_have_unit_within_class_covariance(scaled_iris):
    X, _, y = scaled_iris
    soft_labels = np.random.RandomState(0).dirichlet([1, 1, 1], 150) * 0.2
    soft_labels += 0.8 * np.eye(3)[y]
    _, covariance = within_class_covariance(X, soft_labels, 0.1)
    matrix = whitening(X, soft_labels)
    np.testing.assert_allclose(matrix.T @ covariance @ matrix, np.eye(4), atol=1e-10)


def test_discriminant_directions_solve_fishers_eigenvalue_problem(scaled_iris):
    X, _, y = scaled_iris
    one_hot = np.eye(3)[y]
    means, within = within_class_covariance(X, one_hot, 0.1)
    between = sum((m - X.mean(0))[:, None] * (m - X.mean(0)) / 3 for m in means)
    eigenvalues = eigh(between, within, eigvals_only=True)[::-1]
    matrix = discriminant_directions(X, one_hot)
    assert matrix.shape == (4, 2)
    np.testing.assert_allclose(matrix.T @ within @ matrix, np.eye(2), atol=1e-10)
    ratios = np.diag(matrix.T @ between @ matrix)
    np.testing.assert_allclose(ratios, eigenvalues[:2], rtol=1e-8)
