"""Classifiers of other packages: their random states and class probabilities."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from sk_ssvae.utils.random import Stream, stream_seed
from sk_ssvae.utils.typing import Array

__all__ = [
    "as_distributions",
    "last_step",
    "margins_to_probabilities",
    "set_random_states",
]


def set_random_states(estimator: BaseEstimator, seed: int) -> None:
    """Set every `random_state` that is None, including nested ones.

    Parameters
    ----------
    estimator : estimator
        It is changed in place.
    seed : int
        Seed. Each `random_state` has its own, derived from it.
    """
    unset = sorted(
        name
        for name, value in estimator.get_params(deep=True).items()
        if value is None and name.split("__")[-1] == "random_state"
    )
    estimator.set_params(
        **{
            name: stream_seed(seed, Stream.TEACHER, i) % (2**31)
            for i, name in enumerate(unset)
        }
    )


def last_step(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator itself.

    That of the inner pipeline, if the last step is a pipeline.
    """
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    return estimator


def as_distributions(
    probabilities: Array, codes: Array, n_classes: int
) -> npt.NDArray[np.float64]:
    """Return class probabilities whose rows sum to 1 and have a column of each class.

    Parameters
    ----------
    probabilities : ndarray of shape (n_rows, n_codes)
        NaN, infinite and negative values count as 0.
    codes : ndarray of shape (n_codes,)
        Codes of the columns, integers in 0 ... n_classes - 1.
    n_classes : int
        Number of classes.

    Returns
    -------
    distributions : ndarray of float64 of shape (n_rows, n_classes)
        All zeros for rows without any positive probability.
    """
    result = np.zeros((len(probabilities), n_classes))
    finite = np.nan_to_num(probabilities, posinf=0.0)
    result[:, codes.astype(int)] = np.clip(finite, 0, None)
    mass = result.sum(axis=1, keepdims=True)
    distributions: npt.NDArray[np.float64] = result / np.where(mass > 0, mass, 1)
    return distributions


def margins_to_probabilities(margins: Array) -> Array:
    """Return a softmax of the values of `decision_function`.

    The scale of margins is arbitrary, but the opinion pool calibrates it.

    Parameters
    ----------
    margins : ndarray of shape (n_rows,) or (n_rows, n_classes)
        The first shape is that of two classes.

    Returns
    -------
    probabilities : ndarray of shape (n_rows, n_classes)
    """
    if margins.ndim == 1:
        margins = np.stack([-margins, margins], axis=1)
    probabilities: Array = softmax(2 * margins, axis=1)
    return probabilities
