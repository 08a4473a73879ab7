"""Between the user's columns and the network's tensors: an affine map per column."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_DEVIATIONS", "Columns", "fit_columns"]

MAX_DEVIATIONS = 1e6
"""Cells farther than this many standard deviations from the training mean count as
being that far away, so that no input can overflow single precision."""


ROUNDING = 8
"""A column whose range is no more than so many rounding errors of its largest value is
constant."""


@dataclass(frozen=True)
class Columns:
    """An invertible map from user's units to network's units, column by column.

    Attributes
    ----------
    mean : ndarray of float64 of shape (n_features,)
        What is subtracted; for a constant column its value.
    scale : ndarray of float64 of shape (n_features,)
        What is divided by.
    kept : ndarray of bool of shape (n_features,)
        The columns that the network sees. The others were constant: they carry no
        information, are left out of the likelihood, and come back as they were.
    dtype : dtype
        float32 or float64, the dtype in which values go back to the user.
    """

    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    kept: npt.NDArray[np.bool_]
    dtype: np.dtype[Any]

    @property
    def n_kept(self) -> int:
        """Number of columns that the network sees."""
        return int(self.kept.sum())

    @property
    def log_det(self) -> float:
        """Log-determinant of `encode`: log p(user's) = log p(network's) + log_det."""
        return -float(np.log(self.scale[self.kept]).sum())

    def encode(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """User's units to network's units.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Finite numbers.

        Returns
        -------
        A : ndarray of float32 of shape (n_rows, n_kept)
            A copy, with every cell within ``MAX_DEVIATIONS`` of zero.
        """
        with np.errstate(over="ignore"):
            A = (X[:, self.kept] - self.mean[self.kept]) / self.scale[self.kept]
        return np.clip(A, -MAX_DEVIATIONS, MAX_DEVIATIONS).astype(np.float32)

    def decode(self, A: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Network's units back to user's units, constant columns included.

        Parameters
        ----------
        A : ndarray of float32 of shape (n_rows, n_kept)
            Values in the network's units.

        Returns
        -------
        X : ndarray of shape (n_rows, n_features)
            Values in the user's units, of the dtype that was fitted on.
        """
        X = np.empty((len(A), len(self.kept)))
        X[:] = self.mean
        with np.errstate(over="ignore"):
            X[:, self.kept] += A * self.scale[self.kept]
        largest = np.finfo(self.dtype).max
        return np.clip(X, -largest, largest).astype(self.dtype, copy=False)


def fit_columns(
    X: npt.NDArray[Any],
    *,
    standardize: bool,
    sample_weight: npt.NDArray[Any] | None = None,
    keep_constant: bool = False,
) -> Columns:
    """Choose location and scale of every column.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Finite numbers, float32 or float64.
    standardize : bool
        Subtract the mean and divide by the standard deviation, or leave as is.
    sample_weight : ndarray of shape (n_rows,), default=None
        Weights for mean and deviation.
    keep_constant : bool
        Show constant columns to the network too. True where later rows may vary
        (`partial_fit`).

    Returns
    -------
    columns : Columns

    Raises
    ------
    ValueError
        If all columns are constant.
    """
    # Relative to the largest magnitude, squares neither overflow nor vanish. (Not
    # StandardScaler: in one pass over weighted rows its variances can be negative, and
    # it takes columns with a large offset for constant.)
    magnitude = np.abs(X).max(axis=0).astype(np.float64)
    magnitude[magnitude == 0] = 1.0
    relative = X / magnitude
    varies = np.ptp(relative, axis=0) > ROUNDING * np.finfo(X.dtype).eps
    mean = np.average(relative, axis=0, weights=sample_weight)
    variance = np.average((relative - mean) ** 2, axis=0, weights=sample_weight)
    deviation = np.where(varies, np.sqrt(variance), 1.0)
    if not varies.any():
        raise ValueError(
            f"Every column of X is constant in all {len(X)} rows (to within rounding), "
            "so there is nothing to learn from. Give at least one column that varies."
        )
    kept = np.ones_like(varies) if keep_constant else varies
    if standardize:
        mean, scale = mean * magnitude, deviation * magnitude
    else:
        mean, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    mean = np.where(kept, mean, X[0])
    return Columns(mean=mean, scale=scale, kept=kept, dtype=X.dtype)
