r"""A linear generative classifier, fitted by EM to labelled and unlabelled rows.

``p(x | y) = N(mu_y, Sigma)`` with one covariance for all classes: what M2 is with a
linear decoder and as many latent dimensions as it needs, with z summed out. Its
posterior of the class is linear discriminant analysis. EM: Dempster, Laird & Rubin
1977; with unlabelled rows of a lower weight: Nigam, McCallum, Thrun & Mitchell 2000,
section 5.3.1; shrinkage: Ledoit & Wolf 2004. scikit-learn's `GaussianMixture` with tied
covariances takes no labels.

It differs from EM for that model: the classes are equally frequent; their means are
shrunk by one row at the origin, and unlabelled rows weigh less in them but not in the
covariance; and the covariance is that of the residuals x - E[mu_y | x]. The M-step
would add how far the classes' means lie apart where the posterior is undecided, and so
blur the classes that it is to separate.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.covariance import ledoit_wolf_shrinkage

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.utils.typing import Array

__all__ = [
    "LinearGenerative",
    "LinearPosterior",
    "discriminant",
    "shrunk",
    "whitening",
    "within_class_covariance",
]


RIDGE = 0.01
WITHIN_SHRINKAGE = 0.1


def within_class_covariance(
    X: Array, posterior: Array, shrinkage: float
) -> tuple[Array, Array]:
    """Means of soft classes, and the covariance around them, shrunk.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_dimensions)
        Standardised rows.
    posterior : ndarray of shape (n_rows, n_classes)
        Probabilities of the classes.
    shrinkage : float in [0, 1]
        Towards a multiple of the identity with the same trace.

    Returns
    -------
    means : ndarray of shape (n_classes, n_dimensions)
    covariance : ndarray of shape (n_dimensions, n_dimensions)
        Positive definite.
    """
    mass = posterior.sum(axis=0)
    means = posterior.T @ X / np.maximum(mass, np.finfo(float).tiny)[:, None]
    centred = X - posterior @ means
    return means, shrunk(centred.T @ centred / len(X), shrinkage)


def shrunk(covariance: Array, shrinkage: float) -> Array:
    """Shrink a covariance, and add a ridge: columns may be constant or copies.

    Parameters
    ----------
    covariance : ndarray of shape (n_dimensions, n_dimensions)
        Of standardised columns.
    shrinkage : float in [0, 1]
        Towards a multiple of the identity with the same trace.

    Returns
    -------
    covariance : ndarray of shape (n_dimensions, n_dimensions)
        Positive definite.
    """
    d = len(covariance)
    diagonal = shrinkage * np.trace(covariance) / d + RIDGE
    smaller: Array = (1 - shrinkage) * covariance + diagonal * np.eye(d)
    return smaller


def whitening(Z: Array, guess: Array) -> Array:
    """Directions in which rows vary by one unit within classes."""
    _, covariance = within_class_covariance(Z, guess, WITHIN_SHRINKAGE)
    matrix: Array = np.linalg.cholesky(np.linalg.inv(covariance))
    return matrix


def discriminant(Z: Array, guess: Array) -> Array:
    """Fisher's discriminant directions of soft classes, one fewer than classes."""
    means, covariance = within_class_covariance(Z, guess, WITHIN_SHRINKAGE)
    white: Array = np.linalg.cholesky(np.linalg.inv(covariance))
    share = guess.mean(axis=0)
    between = np.sqrt(share)[:, None] * ((means - share @ means) @ white)
    _, _, axes = np.linalg.svd(between, full_matrices=False)
    directions: Array = white @ axes[: max(1, len(means) - 1)].T
    return directions


LEDOIT_WOLF_ROWS = 1500


class LinearPosterior(NamedTuple):
    """Posterior of the class under a `LinearGenerative`: linear discriminants.

    Attributes
    ----------
    coefficients : ndarray of shape (n_dimensions, n_classes)
    intercepts : ndarray of shape (n_classes,)
    """

    coefficients: Array
    intercepts: Array

    def predict_proba(self, X: Array) -> Array:
        """Posterior of the class, the classes being equally frequent.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_dimensions)
            Rows.

        Returns
        -------
        posterior : ndarray of shape (n_rows, n_classes)
        """
        answer: Array = softmax(X @ self.coefficients + self.intercepts, axis=1)
        return answer


class LinearGenerative:
    """EM for classes with normal rows of one covariance.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_dimensions)
        Standardised rows; what does not depend on labels is worked out once.
    seed : int
        Of the rows from which the shrinkage is estimated, if there are many.
    unlabeled_weight : float in [0, 1]
        Weight of an unlabelled row in the means of the classes.
    max_iterations : int
        Steps of EM at most.
    tol : float
        Mean change of the posterior below which EM stops.
    """

    def __init__(
        self,
        X: Array,
        *,
        seed: int = 0,
        unlabeled_weight: float = 0.1,
        max_iterations: int = 30,
        tol: float = 1e-3,
    ) -> None:
        self.X = X
        self.scatter = X.T @ X
        few = np.random.RandomState(seed).permutation(len(X))[:LEDOIT_WOLF_ROWS]
        self.shrinkage = float(ledoit_wolf_shrinkage(X[few]))
        self.unlabeled_weight = unlabeled_weight
        self.max_iterations = max_iterations
        self.tol = tol

    def fit(self, codes: npt.NDArray[np.int64], start: Array) -> LinearPosterior:
        """Run EM.

        Parameters
        ----------
        codes : ndarray of int64 of shape (n_rows,)
            Classes, or -1.
        start : ndarray of shape (n_rows, n_classes)
            First posterior of the unlabelled rows.

        Returns
        -------
        posterior : LinearPosterior
        """
        X, n_classes = self.X, start.shape[1]
        labelled = codes != UNLABELED
        known = np.eye(n_classes)[codes[labelled]]
        weight = np.where(labelled, 1.0, self.unlabeled_weight)[:, None]
        posterior = np.array(start, dtype=np.float64)
        posterior[labelled] = known
        for _ in range(self.max_iterations):
            weighted = posterior * weight
            # One row's worth of the overall mean, zero, for each class.
            means = weighted.T @ X / (weighted.sum(axis=0) + 1)[:, None]
            # The scatter of x - E[mu_y | x], without a pass over the rows.
            cross = (posterior.T @ X).T @ means
            second = means.T @ (posterior.T @ posterior) @ means
            covariance = (self.scatter - cross - cross.T + second) / len(X)
            covariance = shrunk(covariance, self.shrinkage)
            slopes = np.linalg.solve(covariance, means.T)
            fitted = LinearPosterior(slopes, -0.5 * (means.T * slopes).sum(axis=0))
            before, posterior = posterior, fitted.predict_proba(X)
            posterior[labelled] = known
            if np.abs(posterior - before).mean() < self.tol:
                break
        return fitted
