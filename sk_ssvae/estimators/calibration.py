r"""Calibration of the classifier by a temperature.

.. math:: p_T(y | x) \propto q(y | x)^{1 / T}

[G] Guo, Pleiss, Sun & Weinberger 2017, "On calibration of modern neural networks".
They fit T to labelled rows that are held out from training. Labels are too scarce here
to hold out, so T is fitted by cross-validation. A log-normal prior keeps it near a
value that suits other data sets, because few labels carry little information on T.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import log_softmax

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.pooling import make_folds
from sk_ssvae.training.progress import Part, no_report
from sk_ssvae.utils.typing import Array, IntArray

__all__ = [
    "N_FOLDS",
    "TEMPERATURE_WITH_TEACHER",
    "adjust_log_proba",
    "apply_temperature",
    "cross_fitted_temperature",
    "fit_temperature",
]


TEMPERATURE_WITH_TEACHER = 1.6
"""Default temperature for training with a teacher, whose soft targets and the entropy
term make q(y | x) overconfident. Chosen on the data sets `CHOSEN_ON` of the calibration
benchmark. It is also the median of the prior of T."""

LOG_TEMPERATURE_STD = 0.35
"""Standard deviation of the prior of log T, chosen on the same data sets."""

N_FOLDS = 3
"""Largest number of folds of the labels."""

TEMPERATURES = np.geomspace(1 / 4, 16, 121)


def apply_temperature(log_proba: Array, temperature: float) -> Array:
    r"""Apply a temperature to log-probabilities.

    .. math:: \log p_T(y | x) = \log p(y | x) / T + c(x)

    Parameters
    ----------
    log_proba : ndarray of shape (n_rows, n_classes)
        Log-probabilities.
    temperature : float
        T. Probabilities are less confident if it is above 1.

    Returns
    -------
    log_proba : ndarray of shape (n_rows, n_classes)
        Normalised log-probabilities of the same dtype; the input itself if T is 1.
    """
    if temperature == 1:
        return log_proba
    tempered: Array = log_softmax(log_proba / log_proba.dtype.type(temperature), axis=1)
    return tempered


def adjust_log_proba(
    log_q: Array, temperature: float, log_shift: Array | None
) -> Array:
    r"""Apply a temperature, and adjust log-probabilities to another class prior.

    .. math:: \log p'(y | x) = \log p_T(y | x) + \log \pi'_y - \log \pi_y + c(x)

    where c normalises the probabilities: Saerens et al. 2002, eq. 2.4.

    Parameters
    ----------
    log_q : ndarray of shape (n_rows, n_classes)
        Log q(y | x).
    temperature : float
        T.
    log_shift : ndarray of shape (n_classes,) or None
        Logarithms of the ratios of new to old prior. None keeps the prior.

    Returns
    -------
    log_proba : ndarray of shape (n_rows, n_classes)
        Normalised log-probabilities of the same dtype.
    """
    log_proba = apply_temperature(log_q, temperature)
    if log_shift is not None:
        log_proba = log_softmax(log_proba + log_shift, axis=1)
    return log_proba


def fit_temperature(log_proba: Array, codes: IntArray) -> float:
    r"""Fit the temperature to held-out labels: the maximum a posteriori on a grid.

    .. math::
        \max_T \sum_i \log p_T(y_i | x_i)
        - \frac{(\log T - \log T_0)^2}{2 s^2}

    with :math:`T_0` = `TEMPERATURE_WITH_TEACHER` and s = `LOG_TEMPERATURE_STD`; [G]
    section 4.2 has no prior.

    Parameters
    ----------
    log_proba : ndarray of shape (n_rows, n_classes)
        Log-probabilities of rows whose labels were held out from training.
    codes : ndarray of int64 of shape (n_rows,)
        Encoded labels of these rows.

    Returns
    -------
    temperature : float
        Between 1/4 and 16, accurate to 2 %.
    """
    offset = np.log(TEMPERATURES / TEMPERATURE_WITH_TEACHER)
    log_likelihood = [_log_likelihood(log_proba, codes, t) for t in TEMPERATURES]
    log_posterior = log_likelihood - offset**2 / (2 * LOG_TEMPERATURE_STD**2)
    return float(TEMPERATURES[np.argmax(log_posterior)])


def _log_likelihood(log_proba: Array, codes: IntArray, temperature: float) -> float:
    """Return the sum of the log-probabilities of the labels at a temperature."""
    tempered = apply_temperature(log_proba.astype(np.float64), temperature)
    return float(tempered[np.arange(len(codes)), codes].sum())


def cross_fitted_temperature(
    predict_held_out: Callable[[IntArray, IntArray], Array],
    codes: IntArray,
    seed: int,
    on_fold: Part = no_report,
) -> float:
    """Fit the temperature by cross-validation on the labelled rows.

    Parameters
    ----------
    predict_held_out : callable
        Function of the encoded labels, with those of a fold replaced by -1, and the row
        indices of the fold. It fits a model to these labels and returns the
        log-probabilities of the rows of the fold, of shape (n_fold, n_classes).
    codes : ndarray of int64 of shape (n_rows,)
        Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows.
    seed : int
        Seed for the folds.
    on_fold : callable
        Reports a fold; see `sk_ssvae.training.progress.Part`.

    Returns
    -------
    temperature : float
        The temperature fitted to the held-out labels; 1 if their likelihood is higher
        without a temperature. `TEMPERATURE_WITH_TEACHER` if each class has a single
        label, so that none can be held out.
    """
    folds = make_folds(codes, seed, N_FOLDS)
    if not folds:
        return TEMPERATURE_WITH_TEACHER
    predictions = []
    for i, fold in enumerate(folds, 1):
        hidden = codes.copy()
        hidden[fold] = UNLABELED
        with on_fold("fold", i, len(folds)):
            predictions.append(predict_held_out(hidden, fold))
    log_proba, truth = np.concatenate(predictions), codes[np.concatenate(folds)]
    temperature = fit_temperature(log_proba, truth)
    if _log_likelihood(log_proba, truth, temperature) < _log_likelihood(
        log_proba, truth, 1.0
    ):
        return 1.0
    return temperature
