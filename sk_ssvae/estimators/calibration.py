r"""Probabilities that mean what they say: a temperature for the classifier's answers.

.. math:: p_T(y | x) \propto q(y | x)^{1 / T}

[G] Guo, Pleiss, Sun & Weinberger 2017, "On calibration of modern neural networks".
Their T is fitted to labelled rows that training has not seen. Where labels are few,
all are needed for training, so these are hidden in turn; and so few say little of T,
so a prior holds it near what was good for other data.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.pooling import make_folds
from sk_ssvae.utils.typing import Array

__all__ = [
    "TEMPERATURE_WITH_TEACHER",
    "adjust_log_proba",
    "apply_temperature",
    "cross_fitted_temperature",
    "fit_temperature",
]


TEMPERATURE_WITH_TEACHER = 1.7
"""Temperature of answers that a teacher and the entropy term have made sharp: chosen on
the sets `CHOSEN_ON` of benchmarks/calibration.py."""

SPREAD = 0.35
"""Standard deviation of the prior of log T, chosen there too."""

N_FOLDS = 3
TEMPERATURES = np.geomspace(1 / 4, 16, 121)


def apply_temperature(log_proba: Array, temperature: float) -> Array:
    """Log of probabilities raised to 1 / T, normalised; rows stay as they are at T = 1.

    Parameters
    ----------
    log_proba : ndarray of shape (n_rows, n_classes)
        Logarithms of probabilities.
    temperature : float
        T; above 1 answers become less sure.

    Returns
    -------
    log_proba : ndarray of shape (n_rows, n_classes)
        Of the same type.
    """
    if temperature == 1:
        return log_proba
    answer: Array = log_softmax(log_proba / log_proba.dtype.type(temperature), axis=1)
    return answer


def adjust_log_proba(
    log_q: Array, temperature: float, log_shift: Array | None
) -> Array:
    r"""Log-probabilities at a temperature and for other shares of the classes.

    .. math:: \log p'(y | x) = \log p_T(y | x) + \log \pi'_y - \log \pi_y + c(x)

    with c such that probabilities have the sum 1: Saerens et al. 2002, eq. 2.4.

    Parameters
    ----------
    log_q : ndarray of shape (n_rows, n_classes)
        Log q(y | x).
    temperature : float
        T.
    log_shift : ndarray of shape (n_classes,) or None
        Logarithms of the ratios of the shares; None changes nothing.

    Returns
    -------
    log_proba : ndarray of shape (n_rows, n_classes)
        Of the same type.
    """
    answer = apply_temperature(log_q, temperature)
    if log_shift is not None:
        answer = log_softmax(answer + log_shift, axis=1)
    return answer


def fit_temperature(log_proba: Array, codes: npt.NDArray[np.int64]) -> float:
    r"""Temperature that is most probable given answers and classes.

    .. math::
        \max_T \sum_i \log p_T(y_i | x_i)
        - \frac{(\log T - \log T_0)^2}{2 s^2}

    with T_0 = `TEMPERATURE_WITH_TEACHER` and s = `SPREAD`; [G] section 4.2 has the sum alone.

    Parameters
    ----------
    log_proba : ndarray of shape (n_rows, n_classes)
        Logarithms of probabilities of rows whose labels were hidden from training.
    codes : ndarray of int64 of shape (n_rows,)
        Their classes.

    Returns
    -------
    temperature : float
        Between 1/4 and 16, to 2 %.
    """
    off = np.log(TEMPERATURES / TEMPERATURE_WITH_TEACHER)
    value = [_log_likelihood(log_proba, codes, t) for t in TEMPERATURES]
    return float(TEMPERATURES[np.argmax(value - off**2 / (2 * SPREAD**2))])


def _log_likelihood(log_proba: Array, codes: Array, temperature: float) -> float:
    """Sum of the logarithms of what the classes' probabilities become."""
    answers = apply_temperature(log_proba.astype(np.float64), temperature)
    return float(answers[np.arange(len(codes)), codes].sum())


def cross_fitted_temperature(
    answer: Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], Array],
    codes: npt.NDArray[np.int64],
    seed: int,
) -> float:
    """Fit the temperature to labels that are hidden in turn.

    Parameters
    ----------
    answer : callable
        Given the classes with a fold of them hidden, and the rows of that fold,
        log-probabilities of those rows from a model trained with the others.
    codes : ndarray of int64 of shape (n_rows,)
        Classes 0 ... n_classes - 1, or -1.
    seed : int
        Of the folds.

    Returns
    -------
    temperature : float
        `TEMPERATURE_WITH_TEACHER` if labels cannot be hidden, because each class has one only; 1 where
        the hidden labels are more probable without a temperature than with the one
        that was fitted.
    """
    folds = make_folds(codes, seed, N_FOLDS)
    if not folds:
        return TEMPERATURE_WITH_TEACHER
    answers = []
    for fold in folds:
        hidden = codes.copy()
        hidden[fold] = UNLABELED
        answers.append(answer(hidden, fold))
    log_proba, truth = np.concatenate(answers), codes[np.concatenate(folds)]
    temperature = fit_temperature(log_proba, truth)
    if _log_likelihood(log_proba, truth, temperature) < _log_likelihood(
        log_proba, truth, 1.0
    ):
        return 1.0
    return temperature
