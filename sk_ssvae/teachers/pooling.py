"""Logarithmic opinion pool: how much each view counts, by labels hidden from it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.class_priors import estimate_class_prior, reweight_posterior
from sk_ssvae.utils.typing import Array

__all__ = ["OpinionPool", "fit_temperature", "fit_weights", "make_folds"]

Labelling = npt.NDArray[np.int64]

N_FOLDS = 5
SMALLEST_PROBABILITY = 1e-4
TEMPERATURES = np.geomspace(1 / 8, 10, 45)
TEMPERATURE_PENALTY = 0.02
WEIGHT_PENALTY = 1.5
LARGEST_WEIGHT = 5.0


def _log(answers: Array) -> Array:
    """Logarithms, none of them so low that one view alone could rule a class out."""
    logarithms: Array = np.log(np.clip(answers, SMALLEST_PROBABILITY, 1))
    return logarithms


def make_folds(
    codes: Labelling, seed: int, most: int = N_FOLDS
) -> list[npt.NDArray[np.int64]]:
    """Deal labelled rows to folds so that the others still have all classes.

    Parameters
    ----------
    codes : ndarray of int64 of shape (n_rows,)
        Classes, or -1.
    seed : int
        Of the shuffling.
    most : int
        Folds, at the most.

    Returns
    -------
    folds : list of ndarray of int64
        Rows; none if every class has a single label. The only label of a class is in
        no fold.
    """
    random = np.random.RandomState(seed)
    dealt = []
    for c in np.unique(codes[codes != UNLABELED]):
        rows = np.flatnonzero(codes == c)
        if len(rows) > 1:
            dealt.append(random.permutation(rows))
    n_folds = min(most, max(map(len, dealt), default=0))
    # A class after another, so that folds are of one size.
    deck = np.concatenate(dealt) if dealt else np.empty(0, dtype=np.int64)
    return [np.sort(deck[i::n_folds]) for i in range(n_folds)]


def fit_temperature(log_answers: Array, codes: Labelling) -> float:
    """Power to which a view's probabilities are raised to be calibrated.

    Guo, Pleiss, Sun & Weinberger 2017, "On calibration of modern neural networks".

    Parameters
    ----------
    log_answers : ndarray of shape (n_held_out, n_classes)
        Logarithms of probabilities of labelled rows that the view had not seen.
    codes : ndarray of int64 of shape (n_held_out,)
        Their classes.

    Returns
    -------
    power : float
        Between 1/8 and 10; 1 changes nothing.
    """
    scaled = log_softmax(TEMPERATURES[:, None, None] * log_answers, axis=-1)
    loss = -scaled[:, np.arange(len(codes)), codes].mean(axis=1)
    best = np.argmin(loss + TEMPERATURE_PENALTY * np.log(TEMPERATURES) ** 2)
    return float(TEMPERATURES[best])


def fit_weights(log_answers: Array, codes: Labelling) -> Array:
    r"""Weights of views in a logarithmic opinion pool.

    .. math::
        \min_{0 \le w_m \le 5} -\frac1n \sum_i \log p_w(y_i | x_i)
        + \frac{\lambda}{n} \|w - 1/M\|^2, \qquad
        p_w(y | x) \propto \prod_m p_m(y | x)^{w_m}

    Genest & Zidek 1986, "Combining probability distributions", section 3; Heskes 1998,
    "Selecting weighting factors in logarithmic opinion pools".

    Parameters
    ----------
    log_answers : ndarray of shape (n_views, n_held_out, n_classes)
        Logarithms of calibrated probabilities of rows that the views had not seen.
    codes : ndarray of int64 of shape (n_held_out,)
        Their classes.

    Returns
    -------
    weights : ndarray of shape (n_views,)
        Not negative, and not all zero.
    """
    n_views, n = log_answers.shape[:2]
    rows = np.arange(n)
    prior = np.full(n_views, 1 / n_views)
    strength = WEIGHT_PENALTY / n
    own = log_answers[:, rows, codes]

    def loss(weights: Array) -> tuple[float, Array]:
        pooled = np.tensordot(weights, log_answers, 1)
        probability = softmax(pooled, axis=1)
        log_p = log_softmax(pooled, axis=1)[rows, codes]
        expected = np.einsum("mnk,nk->m", log_answers, probability)
        off = weights - prior
        value = -log_p.mean() + strength * off @ off
        return value, (expected - own.sum(axis=1)) / n + 2 * strength * off

    fit = minimize(
        loss,
        prior,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, LARGEST_WEIGHT)] * n_views,
    )
    weights: Array = fit.x if fit.x.sum() > 0.05 else prior
    return weights


class OpinionPool:
    """Opinions on the classes of rows, weighed by what they say of hidden labels.

    Parameters
    ----------
    codes : ndarray of int64 of shape (n_rows,)
        Classes 0 ... n_classes - 1, or -1; every class has a label.
    folds : list of ndarray of int64
        Rows whose labels are hidden in turn, as `make_folds` deals them.
    estimate : bool
        Whether the shares of the classes are estimated from the unlabelled rows.
    """

    def __init__(
        self,
        codes: Labelling,
        folds: Sequence[npt.NDArray[np.int64]],
        *,
        estimate: bool,
    ) -> None:
        self.codes = codes
        self.folds = folds
        self.estimate = estimate
        self.counts: Array = np.bincount(codes[codes != UNLABELED])
        self.labelled_shares: Array = self.counts / self.counts.sum()
        self.shares = self.labelled_shares
        self.powers: dict[str, float] = {}
        self.weights: dict[str, float] = {}
        self.losses: dict[str, float] = {}

    @property
    def labellings(self) -> list[Labelling]:
        """All labels, then with each fold hidden."""
        every = [self.codes]
        for fold in self.folds:
            hidden = self.codes.copy()
            hidden[fold] = UNLABELED
            every.append(hidden)
        return every

    def fit(self, answers: dict[str, Array]) -> Array:
        """Find powers, weights and shares, and pool the answers to each labelling.

        Parameters
        ----------
        answers : dict of str to ndarray of shape (1 + n_folds, n_rows, n_classes)
            Probabilities from all labels, then with each fold hidden.

        Returns
        -------
        pooled : ndarray of shape (1 + n_folds, n_rows, n_classes)
            Probabilities.
        """
        self.powers = dict.fromkeys(answers, 1.0)
        self.weights = dict.fromkeys(answers, 1 / len(answers))
        self.losses = {}
        if self.folds:
            self._weigh(answers)
        pooled = self._product(answers)
        if self.estimate:
            hidden = pooled[:, self.codes == UNLABELED]
            self.shares = estimate_class_prior(hidden[0], hidden[1:], self.counts)
        return reweight_posterior(pooled, self.labelled_shares, self.shares)

    def _weigh(self, answers: dict[str, Array]) -> None:
        codes = self.codes[np.concatenate(self.folds)]
        rows = np.arange(len(codes))
        unseen = []
        for name, answer in answers.items():
            parts = [answer[1 + j, fold] for j, fold in enumerate(self.folds)]
            log_p = _log(np.concatenate(parts))
            self.powers[name] = fit_temperature(log_p, codes)
            unseen.append(log_softmax(self.powers[name] * log_p, axis=1))
            self.losses[name] = float(-unseen[-1][rows, codes].mean())
        weights = fit_weights(np.stack(unseen), codes)
        self.weights = dict(zip(answers, weights.tolist(), strict=True))

    def _product(self, answers: dict[str, Array]) -> Array:
        total: Any = 0
        for name, answer in answers.items():
            total = total + self.weights[name] * self.powers[name] * _log(answer)
        product: Array = softmax(total, axis=-1)
        return product

    def pool(self, answers: dict[str, Array]) -> Array:
        """Pool answers to other rows, of shape (n_new, n_classes) each.

        They come from where labelled and unlabelled rows together come from: a class
        whose rows are all labelled has not gone.
        """
        known = (self.codes != UNLABELED).mean()
        shares = known * self.labelled_shares + (1 - known) * self.shares
        return reweight_posterior(self._product(answers), self.labelled_shares, shares)
