r"""Linear discriminant analysis for partly labelled rows.

`whitening` and `discriminant_directions` compute linear projections from soft labels.

`SemiSupervisedLDA` fits ``p(x | y) = N(mu_y, Sigma)``, one covariance for all classes,
by EM to labelled and unlabelled rows. This is M2 with a linear decoder, enough latent
dimensions, and z integrated out; the posterior of the class is that of linear
discriminant analysis. EM: Dempster, Laird & Rubin 1977; with a lower weight for
unlabelled rows: Nigam, McCallum, Thrun & Mitchell 2000, section 5.3.1; shrinkage:
Ledoit & Wolf 2004. scikit-learn's `GaussianMixture` with tied covariances takes no
labels.

It differs from EM for that model in three ways. The class prior is uniform. The class
means are shrunk by one pseudo-row at the origin, and unlabelled rows have a lower
weight in the means but not in the covariance. The covariance is that of the residuals
x - E[mu_y | x]; the exact M-step would add the spread of the class means where the
posterior is uncertain, and blur the boundaries between classes.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from sklearn.covariance import ledoit_wolf_shrinkage

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.blocks import row_blocks
from sk_ssvae.utils.typing import Array, IntArray

__all__ = [
    "LinearPosterior",
    "SemiSupervisedLDA",
    "discriminant_directions",
    "shrink_covariance",
    "whitening",
    "within_class_covariance",
]


RIDGE = 0.01
"""Added to the diagonal of covariances of columns with a mean variance of 1."""

PROJECTION_SHRINKAGE = 0.1
"""Shrinkage of the within-class covariance in projections."""

MAX_LEDOIT_WOLF_ROWS = 1500
"""Number of rows from which the shrinkage of `SemiSupervisedLDA` is estimated."""


def shrink_covariance(covariance: Array, shrinkage: float) -> Array:
    """Shrink a covariance matrix and add a ridge.

    The ridge keeps it invertible if columns are constant or copies of each other.

    Parameters
    ----------
    covariance : ndarray of shape (n_dimensions, n_dimensions)
        Covariance of scaled columns.
    shrinkage : float in [0, 1]
        Weight of the multiple of the identity that has the same trace.

    Returns
    -------
    covariance : ndarray of shape (n_dimensions, n_dimensions)
        Positive definite.
    """
    d = len(covariance)
    diagonal = shrinkage * np.trace(covariance) / d + RIDGE
    shrunk: Array = (1 - shrinkage) * covariance + diagonal * np.eye(d)
    return shrunk


def within_class_covariance(
    X: Array, posterior: Array, shrinkage: float
) -> tuple[Array, Array]:
    """Compute class means under soft labels, and the covariance around them.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_dimensions)
        Scaled rows.
    posterior : ndarray of shape (n_rows, n_classes)
        Class probabilities.
    shrinkage : float in [0, 1]
        As in `shrink_covariance`.

    Returns
    -------
    means : ndarray of shape (n_classes, n_dimensions)
        Class means.
    covariance : ndarray of shape (n_dimensions, n_dimensions)
        Shrunk covariance of the residuals x - E[mu_y | x]; positive definite.
    """
    mass = posterior.sum(axis=0)
    means = posterior.T @ X / np.maximum(mass, np.finfo(float).tiny)[:, None]
    scatter = np.zeros((X.shape[1], X.shape[1]))
    for block in row_blocks(*X.shape):
        residuals = X[block] - posterior[block] @ means
        scatter += residuals.T @ residuals
    return means, shrink_covariance(scatter / len(X), shrinkage)


def whitening(X: Array, posterior: Array) -> Array:
    """Return the projection that makes the within-class covariance the identity.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_dimensions)
        Scaled rows.
    posterior : ndarray of shape (n_rows, n_classes)
        Class probabilities.

    Returns
    -------
    projection : ndarray of shape (n_dimensions, n_dimensions)
        Right factor: projected rows are ``X @ projection``.
    """
    _, covariance = within_class_covariance(X, posterior, PROJECTION_SHRINKAGE)
    projection: Array = np.linalg.cholesky(np.linalg.inv(covariance))
    return projection


def discriminant_directions(X: Array, posterior: Array) -> Array:
    """Return Fisher's discriminant directions under soft labels.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_dimensions)
        Scaled rows.
    posterior : ndarray of shape (n_rows, n_classes)
        Class probabilities.

    Returns
    -------
    projection : ndarray of shape (n_dimensions, min(n_classes - 1, n_dimensions))
        Right factor: projected rows are ``X @ projection``. Directions are sorted by
        decreasing ratio of between-class to within-class variance, with unit
        within-class covariance.
    """
    means, covariance = within_class_covariance(X, posterior, PROJECTION_SHRINKAGE)
    white: Array = np.linalg.cholesky(np.linalg.inv(covariance))
    share = posterior.mean(axis=0)
    between = np.sqrt(share)[:, None] * ((means - share @ means) @ white)
    _, _, axes = np.linalg.svd(between, full_matrices=False)
    projection: Array = white @ axes[: max(1, len(means) - 1)].T
    return projection


class LinearPosterior(NamedTuple):
    """Posterior of the class that is a softmax of linear functions of the row.

    Attributes
    ----------
    coefficients : ndarray of shape (n_dimensions, n_classes)
    intercepts : ndarray of shape (n_classes,)
    """

    coefficients: Array
    intercepts: Array

    def predict_proba(self, X: Array) -> Array:
        """Return class probabilities.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_dimensions)
            Rows.

        Returns
        -------
        posterior : ndarray of shape (n_rows, n_classes)
            Rows sum to 1.
        """
        posterior: Array = softmax(X @ self.coefficients + self.intercepts, axis=1)
        return posterior


class SemiSupervisedLDA:
    """Linear discriminant analysis fitted by EM to labelled and unlabelled rows.

    Statistics that do not depend on labels are computed once, so that several label
    vectors can be fitted to the same rows.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_dimensions)
        Scaled rows.
    seed : int, default=0
        Seed for the choice of the rows from which the shrinkage is estimated, if there
        are more than 1500.
    unlabeled_weight : float in [0, 1], default=0.1
        Weight of an unlabelled row in the class means.
    max_iter : int, default=30
        Maximum number of EM steps.
    tol : float, default=1e-3
        EM stops when the posterior changes by less than this on average.
    """

    def __init__(
        self,
        X: Array,
        *,
        seed: int = 0,
        unlabeled_weight: float = 0.1,
        max_iter: int = 30,
        tol: float = 1e-3,
    ) -> None:
        self.X = X
        self.scatter = X.T @ X
        rows = np.random.RandomState(seed).permutation(len(X))[:MAX_LEDOIT_WOLF_ROWS]
        self.shrinkage = float(ledoit_wolf_shrinkage(X[rows]))
        self.unlabeled_weight = unlabeled_weight
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, codes: IntArray, initial_posterior: Array) -> LinearPosterior:
        """Run EM and return the fitted posterior.

        Parameters
        ----------
        codes : ndarray of int64 of shape (n_rows,)
            Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows.
        initial_posterior : ndarray of shape (n_rows, n_classes)
            Class probabilities of the unlabelled rows in the first M-step.

        Returns
        -------
        posterior : LinearPosterior
        """
        X, n_classes = self.X, initial_posterior.shape[1]
        labelled = codes != UNLABELED
        one_hot = np.eye(n_classes)[codes[labelled]]
        weight = np.where(labelled, 1.0, self.unlabeled_weight)[:, None]
        posterior = np.array(initial_posterior, dtype=np.float64)
        posterior[labelled] = one_hot
        for _ in range(self.max_iter):
            weighted = posterior * weight
            # One pseudo-row at the overall mean, zero, for each class.
            means = weighted.T @ X / (weighted.sum(axis=0) + 1)[:, None]
            # The scatter of x - E[mu_y | x], without a pass over the rows.
            cross = (posterior.T @ X).T @ means
            second = means.T @ (posterior.T @ posterior) @ means
            covariance = (self.scatter - cross - cross.T + second) / len(X)
            covariance = shrink_covariance(covariance, self.shrinkage)
            slopes = np.linalg.solve(covariance, means.T)
            fitted = LinearPosterior(slopes, -0.5 * (means.T * slopes).sum(axis=0))
            previous, posterior = posterior, fitted.predict_proba(X)
            posterior[labelled] = one_hot
            if np.abs(posterior - previous).mean() < self.tol:
                break
        return fitted
