"""Spaces in which soft classes are apart: whitened within, or Fisher's directions.

Fisher 1936, "The use of multiple measurements in taxonomic problems"; with soft
classes: Hastie & Tibshirani 1996, "Discriminant analysis by Gaussian mixtures".
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["discriminant", "shrunk", "whitening", "within_class_covariance"]

Array = npt.NDArray[Any]

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
