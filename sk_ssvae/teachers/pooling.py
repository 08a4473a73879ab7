"""Logarithmic opinion pool: combine the class probabilities of several views.

Each view is calibrated, and views are weighted, by their predictions for labels that
were held out from them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.class_priors import estimate_class_prior, reweight_posterior
from sk_ssvae.utils.typing import Array, IntArray

__all__ = ["OpinionPool", "fit_inverse_temperature", "fit_weights", "make_folds"]


N_FOLDS = 5
MIN_PROBABILITY = 1e-4
INVERSE_TEMPERATURES = np.geomspace(1 / 8, 10, 45)
TEMPERATURE_PENALTY = 0.02
WEIGHT_PENALTY = 4.0
MAX_WEIGHT = 5.0
MIN_TOTAL_WEIGHT = 0.05


def _clipped_log(probabilities: Array) -> Array:
    """Return logarithms, clipped so that no view alone can exclude a class."""
    logarithms: Array = np.log(np.clip(probabilities, MIN_PROBABILITY, 1))
    return logarithms


def make_folds(codes: IntArray, seed: int, max_folds: int = N_FOLDS) -> list[IntArray]:
    """Split the labelled rows into folds; without any fold, all classes remain.

    Parameters
    ----------
    codes : ndarray of int64 of shape (n_rows,)
        Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows.
    seed : int
        Seed for shuffling.
    max_folds : int, default=5
        Maximum number of folds. There are fewer if every class has fewer labels.

    Returns
    -------
    folds : list of ndarray of int64
        Sorted row indices of each fold. The only label of a class is in no fold. The
        list is empty if every class has a single label.
    """
    random = np.random.RandomState(seed)
    shuffled = []
    for c in np.unique(codes[codes != UNLABELED]):
        rows = np.flatnonzero(codes == c)
        if len(rows) > 1:
            shuffled.append(random.permutation(rows))
    n_folds = min(max_folds, max(map(len, shuffled), default=0))
    # Dealt across class boundaries, so that fold sizes differ by one row at most.
    rows = np.concatenate(shuffled) if shuffled else np.empty(0, dtype=np.int64)
    return [np.sort(rows[i::n_folds]) for i in range(n_folds)]


def fit_inverse_temperature(log_proba: Array, codes: IntArray) -> float:
    r"""Fit the inverse temperature that calibrates a view.

    .. math::
        \min_\beta -\frac1n \sum_i \log p_\beta(y_i | x_i) + 0.02 \log^2 \beta, \qquad
        p_\beta(y | x) \propto p(y | x)^\beta

    over a grid; Guo, Pleiss, Sun & Weinberger 2017, "On calibration of modern neural
    networks", section 4.2, without the penalty and with :math:`T = 1 / \beta`.

    Parameters
    ----------
    log_proba : ndarray of shape (n_held_out, n_classes)
        Log-probabilities of rows whose labels were held out from the view.
    codes : ndarray of int64 of shape (n_held_out,)
        Encoded labels of these rows.

    Returns
    -------
    inverse_temperature : float
        Between 1/8 and 10. Probabilities are unchanged at 1, sharper above.
    """
    scaled = log_softmax(INVERSE_TEMPERATURES[:, None, None] * log_proba, axis=-1)
    loss = -scaled[:, np.arange(len(codes)), codes].mean(axis=1)
    best = np.argmin(loss + TEMPERATURE_PENALTY * np.log(INVERSE_TEMPERATURES) ** 2)
    return float(INVERSE_TEMPERATURES[best])


def fit_weights(log_proba: Array, codes: IntArray) -> Array:
    r"""Fit the weights of the views in a logarithmic opinion pool.

    .. math::
        \min_{0 \le w_m \le 5} -\frac1n \sum_i \log p_w(y_i | x_i)
        + \frac{\lambda}{n} \|w - 1/M\|^2, \qquad
        p_w(y | x) \propto \prod_m p_m(y | x)^{w_m}

    Genest & Zidek 1986, "Combining probability distributions", section 3; Heskes 1998,
    "Selecting weighting factors in logarithmic opinion pools".

    Parameters
    ----------
    log_proba : ndarray of shape (n_views, n_held_out, n_classes)
        Calibrated log-probabilities of rows whose labels were held out from the views.
    codes : ndarray of int64 of shape (n_held_out,)
        Encoded labels of these rows.

    Returns
    -------
    weights : ndarray of shape (n_views,)
        Non-negative. All 1 / n_views if the fitted weights nearly vanish.
    """
    n_views, n = log_proba.shape[:2]
    rows = np.arange(n)
    uniform = np.full(n_views, 1 / n_views)
    penalty = WEIGHT_PENALTY / n
    observed = log_proba[:, rows, codes]

    def loss(weights: Array) -> tuple[float, Array]:
        pooled = np.tensordot(weights, log_proba, 1)
        probability = softmax(pooled, axis=1)
        log_p = log_softmax(pooled, axis=1)[rows, codes]
        expected = np.einsum("mnk,nk->m", log_proba, probability)
        offset = weights - uniform
        value = -log_p.mean() + penalty * offset @ offset
        return value, (expected - observed.sum(axis=1)) / n + 2 * penalty * offset

    fit = minimize(
        loss,
        uniform,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, MAX_WEIGHT)] * n_views,
    )
    weights: Array = fit.x if fit.x.sum() > MIN_TOTAL_WEIGHT else uniform
    return weights


class OpinionPool:
    """Logarithmic opinion pool of views, weighted by their held-out log-loss.

    Parameters
    ----------
    codes : ndarray of int64 of shape (n_rows,)
        Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows. Every class has
        a label.
    folds : list of ndarray of int64
        Rows whose labels are held out in turn, as returned by `make_folds`.
    estimate_shares : bool
        Whether to estimate the class shares from the unlabelled rows. Otherwise they
        are those of the labels.

    Attributes
    ----------
    inverse_temperatures : dict of str to float
        Exponent that calibrates each view.
    weights : dict of str to float
        Weight of each view.
    held_out_log_loss : dict of str to float
        Log-loss of each calibrated view on the held-out labels; empty without folds.
    labelled_shares : ndarray of shape (n_classes,)
        Class shares of the labels.
    class_shares : ndarray of shape (n_classes,)
        Class shares of the unlabelled rows.
    """

    def __init__(
        self, codes: IntArray, folds: Sequence[IntArray], *, estimate_shares: bool
    ) -> None:
        self.codes = codes
        self.folds = folds
        self.estimate_shares = estimate_shares
        self.counts: Array = np.bincount(codes[codes != UNLABELED])
        self.labelled_shares: Array = self.counts / self.counts.sum()
        self.class_shares = self.labelled_shares
        self.inverse_temperatures: dict[str, float] = {}
        self.weights: dict[str, float] = {}
        self.held_out_log_loss: dict[str, float] = {}

    @property
    def label_vectors(self) -> list[IntArray]:
        """All labels, then the labels without each fold."""
        vectors = [self.codes]
        for fold in self.folds:
            hidden = self.codes.copy()
            hidden[fold] = UNLABELED
            vectors.append(hidden)
        return vectors

    def fit_pool(self, probabilities: dict[str, Array]) -> Array:
        """Calibrate and weight the views, estimate class shares, and pool the views.

        Parameters
        ----------
        probabilities : dict of str to ndarray of shape (1 + n_folds, n_rows, n_classes)
            Class probabilities of each view, one set for each of `label_vectors`.

        Returns
        -------
        pooled : ndarray of shape (1 + n_folds, n_rows, n_classes)
            Pooled class probabilities, adjusted to the class shares of the unlabelled
            rows.
        """
        self.inverse_temperatures = dict.fromkeys(probabilities, 1.0)
        self.weights = dict.fromkeys(probabilities, 1 / len(probabilities))
        self.held_out_log_loss = {}
        if self.folds:
            self._fit_weights(probabilities)
        pooled = self._weighted_product(probabilities)
        if self.estimate_shares:
            unlabelled = pooled[:, self.codes == UNLABELED]
            self.class_shares = estimate_class_prior(
                unlabelled[0], unlabelled[1:], self.counts
            )
        return reweight_posterior(pooled, self.labelled_shares, self.class_shares)

    def _fit_weights(self, probabilities: dict[str, Array]) -> None:
        """Calibrate and weight the views on the held-out labels."""
        codes = self.codes[np.concatenate(self.folds)]
        rows = np.arange(len(codes))
        calibrated = []
        for name, p in probabilities.items():
            parts = [p[1 + j, fold] for j, fold in enumerate(self.folds)]
            log_p = _clipped_log(np.concatenate(parts))
            inverse_temperature = fit_inverse_temperature(log_p, codes)
            log_p = log_softmax(inverse_temperature * log_p, axis=1)
            calibrated.append(log_p)
            self.inverse_temperatures[name] = inverse_temperature
            self.held_out_log_loss[name] = float(-log_p[rows, codes].mean())
        weights = fit_weights(np.stack(calibrated), codes)
        self.weights = dict(zip(probabilities, weights.tolist(), strict=True))

    def _weighted_product(self, probabilities: dict[str, Array]) -> Array:
        """Pool calibrated probabilities, correct for the class shares of the labels."""
        total: Any = 0
        for name, p in probabilities.items():
            exponent = self.weights[name] * self.inverse_temperatures[name]
            total = total + exponent * _clipped_log(p)
        product: Array = softmax(total, axis=-1)
        return product

    @property
    def used_views(self) -> list[str]:
        """Names of the views with a positive weight: the others have no effect."""
        return [name for name, weight in self.weights.items() if weight > 0]

    def pool(self, probabilities: dict[str, Array], shares: Array) -> Array:
        """Pool the probabilities of further rows.

        Parameters
        ----------
        probabilities : dict of str to ndarray of shape (n_rows, n_classes)
            Class probabilities of each view in `used_views`.
        shares : ndarray of shape (n_classes,)
            Class shares of these rows.

        Returns
        -------
        pooled : ndarray of shape (n_rows, n_classes)
            Pooled class probabilities.
        """
        product = self._weighted_product(probabilities)
        return reweight_posterior(product, self.labelled_shares, shares)
