r"""How frequent the classes are among unlabelled rows, when labels do not say.

Five labels of each class say nothing about frequencies. Probabilities that are right
where classes are as frequent as among the labels can be reweighted: [S] Saerens,
Latinne & Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori
probabilities: a simple procedure". Their EM is stopped early here, since probabilities
from few labels are overconfident, and its answer is shrunk towards the labels' shares
as far as labels left out change it (the jackknife by groups: Efron & Tibshirani 1993,
chapter 11; the factor is a milder one than that of James and Stein).

Labels drawn at random do say how frequent classes are, as far as so few can. Nobody
tells which of the two it is, but labels that were drawn at random are hardly ever as
many in each class: Pearson's chi-squared for equal shares is about its degrees of
freedom or more. So far as it is, both estimates are averaged by their variances.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.utils.typing import Array

__all__ = [
    "estimate_class_prior",
    "estimate_prior_by_em",
    "random_label_share",
    "resolve_class_prior",
    "reweight_posterior",
]


EM_STEPS = 4
MOST_EM_STEPS = 10_000
SMALLEST = 1e-4
OVERCONFIDENCE = 3.0


def _em(posterior: Array, before: Array, n_steps: int) -> Array:
    """[S] section 2.2, from the shares that the posteriors were made for."""
    shares = before
    for _ in range(n_steps):
        shares = reweight_posterior(posterior, before, shares).mean(axis=0)
    return shares


def estimate_prior_by_em(
    posterior: Array, before: Array, weight: Array | None = None, tol: float = 1e-8
) -> Array:
    r"""Shares under which rows are most likely. [S] section 2.2, to its end.

    If the posteriors are right for the shares `before`, p(x | y) is proportional to
    p(y | x) / pi_y, and what is maximised is

    .. math:: \sum_i w_i \log \sum_y \pi'_y\, p(y | x_i) / \pi_y

    which is concave in the new shares, so that EM finds the one maximum.

    Parameters
    ----------
    posterior : ndarray of shape (n_rows, n_classes)
        Probabilities of the classes.
    before : ndarray of shape (n_classes,)
        Shares of the classes that they are made for; positive.
    weight : ndarray of shape (n_rows,), default=None
        Weights of the rows.
    tol : float
        EM ends when no share changes by more.

    Returns
    -------
    shares : ndarray of shape (n_classes,)
        Positive, with sum 1; none is smaller than 1e-4 before they are normalised.
    """
    shares = before
    for _ in range(MOST_EM_STEPS):
        rows = reweight_posterior(posterior, before, shares)
        new = np.maximum(np.average(rows, axis=0, weights=weight), SMALLEST)
        new /= new.sum()
        moved, shares = np.abs(new - shares).max(), new
        if moved < tol:
            break
    answer: Array = shares
    return answer


def reweight_posterior(posterior: Array, before: Array, after: Array) -> Array:
    r"""Posteriors for other shares of the classes. [S] eq. 2.4.

    .. math:: p'(y | x) \propto p(y | x)\, \pi'_y / \pi_y

    Parameters
    ----------
    posterior : ndarray of shape (..., n_classes)
        Probabilities of the classes.
    before, after : ndarray of shape (n_classes,)
        Shares of the classes that they are made for, and the new ones.

    Returns
    -------
    posterior : ndarray of shape (..., n_classes)
    """
    scaled = posterior * (after / before)
    answer: Array = scaled / scaled.sum(axis=-1, keepdims=True)
    return answer


def random_label_share(counts: Array) -> float:
    r"""How far labels look as if drawn at random, and not so many of each class.

    .. math::
        r = \min\Big(1, \frac{1}{K - 1} \sum_y \frac{(n_y - n / K)^2}{n / K}\Big)

    Parameters
    ----------
    counts : ndarray of shape (n_classes,)
        Number of labels of each class.

    Returns
    -------
    r : float
        0 for as many of each class, 1 for what is as uneven as random labels of
        equally frequent classes are on average, or more so.
    """
    equal = counts.sum() / len(counts)
    chi_squared = ((counts - equal) ** 2).sum() / equal
    return float(min(1.0, chi_squared / max(len(counts) - 1, 1)))


def estimate_class_prior(
    posterior: Array, left_out: Array, counts: Array, n_steps: int = EM_STEPS
) -> Array:
    r"""Estimate the shares of the classes among unlabelled rows.

    .. math::
        \hat\pi = \pi_l + \frac{\|d\|^2}{\|d\|^2 + v} \frac{v_l}{v_l + 3 r v} d, \qquad
        d = \pi_{EM} - \pi_l, \qquad v_l = \frac{1 - \|\pi_l\|^2}{n}

    where v is the jackknife's variance of the EM estimate over groups of labels, v_l
    that of the shares of n random labels, and r is `random_label_share`. The jackknife
    does not see that all groups are overconfident alike, hence the 3.

    Parameters
    ----------
    posterior : ndarray of shape (n_rows, n_classes)
        Probabilities of the unlabelled rows, from all labels.
    left_out : ndarray of shape (n_groups, n_rows, n_classes)
        The same with each group of labels left out. With fewer than two groups nothing
        tells how sure the estimate is, and the labels' shares are returned.
    counts : ndarray of shape (n_classes,)
        Number of labels of each class; positive.
    n_steps : int
        Steps of EM.

    Returns
    -------
    shares : ndarray of shape (n_classes,)
        Positive, with sum 1.
    """
    labelled: Array = counts / counts.sum()
    n_groups = len(left_out)
    if n_groups < 2 or len(posterior) == 0:
        return labelled
    shift = _em(posterior, labelled, n_steps) - labelled
    others = np.array([_em(p, labelled, n_steps) for p in left_out])
    variance = (n_groups - 1) * others.var(axis=0).sum()
    distance = (shift**2).sum()
    if distance == 0:
        return labelled
    factor = distance / (distance + variance)
    of_labels = (1 - (labelled**2).sum()) / counts.sum()
    in_doubt = OVERCONFIDENCE * random_label_share(counts) * variance
    shares = labelled + factor * of_labels / (of_labels + in_doubt) * shift
    shares = np.maximum(shares, SMALLEST)
    answer: Array = shares / shares.sum()
    return answer


def resolve_class_prior(
    class_prior: str | npt.ArrayLike,
    classes: npt.NDArray[Any],
    codes: npt.NDArray[np.int64],
    weight: npt.NDArray[Any] | None = None,
    guess: npt.NDArray[Any] | None = None,
) -> npt.NDArray[np.float64]:
    """Work out p(y).

    Parameters
    ----------
    class_prior : {"auto", "uniform", "empirical", "estimate"} or array-like
        The shares of the labels and guesses if there are guesses, else the same for all
        classes; the same for all classes; the shares of the labelled rows, which
        "estimate" is, too, where there is nothing to estimate by; or given, of shape
        (n_classes,).
    classes : ndarray of shape (n_classes,)
        The labels.
    codes : ndarray of int64 of shape (n_rows,)
        Classes 0 ... n_classes - 1, or -1.
    weight : ndarray of shape (n_rows,), default=None
        Weights of the rows, for "empirical" and "auto".
    guess : ndarray of shape (n_rows, n_classes), default=None
        Probabilities of the classes of unlabelled rows, for "auto"; zeros where
        unknown.

    Returns
    -------
    prior : ndarray of float64 of shape (n_classes,)
        Positive, with sum 1.

    Raises
    ------
    ValueError
        If a class has no labelled row to count, or the array is not a distribution
        over the classes that is positive everywhere.
    """
    n_classes = len(classes)
    uniform = np.full(n_classes, 1 / n_classes)
    if isinstance(class_prior, str) and class_prior == "auto" and guess is not None:
        belief = np.eye(n_classes + 1)[codes][:, :n_classes]  # no class for -1
        belief += np.where((codes == UNLABELED)[:, None], guess, 0)
        mass = belief.sum(axis=0) if weight is None else weight @ belief
        # A class that nobody guesses is rare, not impossible.
        mass = np.maximum(mass / mass.sum(), SMALLEST)
        return np.asarray(mass / mass.sum())
    if isinstance(class_prior, str) and class_prior in ("auto", "uniform"):
        return uniform
    if isinstance(class_prior, str):
        labelled = codes != UNLABELED
        counts = np.bincount(
            codes[labelled],
            weights=None if weight is None else weight[labelled],
            minlength=n_classes,
        )
        if not counts.all():
            raise ValueError(
                f"class_prior={class_prior!r} needs a labelled row of every class, but "
                f"there is none of {classes[counts == 0].tolist()}. Give the prior as "
                "an array."
            )
        shares: npt.NDArray[np.float64] = counts / counts.sum()
        return shares
    try:
        prior = np.asarray(class_prior, dtype=np.float64)
    except (TypeError, ValueError):
        prior = np.empty(0)
    if (
        prior.shape != (n_classes,)
        or not ((prior > 0) & (prior <= 1)).all()
        or not np.isclose(prior.sum(), 1)
    ):
        raise ValueError(
            f"class_prior must hold {n_classes} positive numbers with sum 1, one for "
            f"each of the classes {classes.tolist()}; got {class_prior!r}."
        )
    normalised: npt.NDArray[np.float64] = prior / prior.sum()
    return normalised
