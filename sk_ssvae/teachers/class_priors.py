r"""Estimate class shares among unlabelled rows, and adjust posteriors to them.

The same number of labels for each class carries no information on how frequent the
classes are. Posteriors that are correct for the class shares of the labels can be
adjusted to other shares: [S] Saerens, Latinne & Decaestecker 2002, "Adjusting the
outputs of a classifier to new a priori probabilities: a simple procedure". Posteriors
learned from few labels are overconfident, so `estimate_class_prior` stops their EM
early and shrinks its estimate towards the class shares of the labels, by how much the
estimate varies when groups of labels are left out (the grouped jackknife: Efron &
Tibshirani 1993, chapter 11).

Labels drawn at random do carry information on class frequencies. The sampling scheme is
not known, but random labels rarely come in equal numbers for each class: Pearson's
chi-squared statistic for equal shares is then about its degrees of freedom or larger.
The closer it comes to them, the more the two estimates are averaged by their variances.
"""

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.class_weight import compute_class_weight

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.utils.typing import Array, IntArray

__all__ = [
    "estimate_class_prior",
    "estimate_prior_by_em",
    "label_count_dispersion",
    "resolve_class_prior",
    "resolve_class_weight",
    "reweight_posterior",
]


EM_STEPS = 4
"""Steps of the EM that is stopped early."""

MAX_EM_STEPS = 10_000
"""Steps of the EM that runs until it converges."""

MIN_SHARE = 1e-4
"""Class shares are clipped from below to this value, then normalised."""

VARIANCE_INFLATION = 3.0
"""Factor for the jackknife variance, which misses the overconfidence that the
posteriors of all groups share."""


def reweight_posterior(posterior: Array, prior: Array, new_prior: Array) -> Array:
    r"""Adjust posteriors to other class shares. [S] eq. 2.4.

    .. math:: p'(y | x) \propto p(y | x)\, \pi'_y / \pi_y

    Parameters
    ----------
    posterior : ndarray of shape (..., n_classes)
        Class probabilities.
    prior : ndarray of shape (n_classes,)
        Class shares for which `posterior` is correct; positive.
    new_prior : ndarray of shape (n_classes,)
        Class shares to adjust to.

    Returns
    -------
    posterior : ndarray of shape (..., n_classes)
        Adjusted class probabilities.
    """
    scaled = posterior * (new_prior / prior)
    adjusted: Array = scaled / scaled.sum(axis=-1, keepdims=True)
    return adjusted


def _em(posterior: Array, prior: Array, n_steps: int) -> Array:
    """Run some steps of EM for the class shares, starting at `prior`. [S] 2.2."""
    shares = prior
    for _ in range(n_steps):
        shares = reweight_posterior(posterior, prior, shares).mean(axis=0)
    return shares


def estimate_prior_by_em(
    posterior: Array, prior: Array, weight: Array | None = None, tol: float = 1e-8
) -> Array:
    r"""Estimate class shares by maximum likelihood: EM until it converges. [S] 2.2.

    If the posteriors are correct for the shares `prior`, p(x | y) is proportional to
    p(y | x) / pi_y. EM maximises

    .. math:: \sum_i w_i \log \sum_y \pi'_y\, p(y | x_i) / \pi_y

    which is concave in the new shares, so its maximum is global.

    Parameters
    ----------
    posterior : ndarray of shape (n_rows, n_classes)
        Class probabilities.
    prior : ndarray of shape (n_classes,)
        Class shares for which `posterior` is correct; positive.
    weight : ndarray of shape (n_rows,), default=None
        Sample weights. None weights all rows equally.
    tol : float, default=1e-8
        EM stops when no share changes by more than this.

    Returns
    -------
    shares : ndarray of shape (n_classes,)
        Class shares, positive, with sum 1. None is below 1e-4 before normalisation.
    """
    shares = prior
    for _ in range(MAX_EM_STEPS):
        adjusted = reweight_posterior(posterior, prior, shares)
        new = np.maximum(np.average(adjusted, axis=0, weights=weight), MIN_SHARE)
        new /= new.sum()
        change, shares = np.abs(new - shares).max(), new
        if change < tol:
            break
    converged: Array = shares
    return converged


def label_count_dispersion(counts: Array) -> float:
    r"""Compute the dispersion of label counts around equal counts, at most 1.

    .. math::
        r = \min\Big(1, \frac{1}{K - 1} \sum_y \frac{(n_y - n / K)^2}{n / K}\Big)

    Parameters
    ----------
    counts : ndarray of shape (n_classes,)
        Number of labels of each class.

    Returns
    -------
    r : float
        0 for equal counts. 1 for counts that are as uneven as, or more uneven than,
        random labels of equally frequent classes are on average.
    """
    expected = counts.sum() / len(counts)
    chi_squared = ((counts - expected) ** 2).sum() / expected
    return float(min(1.0, chi_squared / max(len(counts) - 1, 1)))


def estimate_class_prior(
    posterior: Array, left_out: Array, counts: Array, n_steps: int = EM_STEPS
) -> Array:
    r"""Estimate the class shares among unlabelled rows.

    .. math::
        \hat\pi = \pi_l + \Big(\frac{\|d\|^2}{\|d\|^2 + 3 v}\Big)^2
            \frac{v_l}{v_l + 3 r v} d, \qquad
        d = \pi_{EM} - \pi_l, \qquad v_l = \frac{1 - \|\pi_l\|^2}{n}

    where :math:`\pi_l` are the class shares of the n labels, v is the jackknife
    variance of the EM estimate over groups of labels, v_l the variance of the class
    shares of n random labels, and r is `label_count_dispersion`. The factor 3
    compensates for overconfidence that all groups share, which the jackknife misses.

    Parameters
    ----------
    posterior : ndarray of shape (n_rows, n_classes)
        Class probabilities of the unlabelled rows, from all labels.
    left_out : ndarray of shape (n_groups, n_rows, n_classes)
        The same with each group of labels left out in turn.
    counts : ndarray of shape (n_classes,)
        Number of labels of each class; positive.
    n_steps : int, default=4
        Steps of EM.

    Returns
    -------
    shares : ndarray of shape (n_classes,)
        Class shares, positive, with sum 1. Those of the labels if there are no
        unlabelled rows, or fewer than two groups and hence no variance.
    """
    labelled: Array = counts / counts.sum()
    n_groups = len(left_out)
    if n_groups < 2 or len(posterior) == 0:
        return labelled
    shift = _em(posterior, labelled, n_steps) - labelled
    replicates = np.array([_em(p, labelled, n_steps) for p in left_out])
    variance = (n_groups - 1) * replicates.var(axis=0).sum()
    distance = (shift**2).sum()
    if distance == 0:
        return labelled
    variance *= VARIANCE_INFLATION
    # Squared, because a wrong shift costs more accuracy than a right one gains.
    factor = (distance / (distance + variance)) ** 2
    label_variance = (1 - (labelled**2).sum()) / counts.sum()
    em_variance = label_count_dispersion(counts) * variance
    shares = labelled + factor * label_variance / (label_variance + em_variance) * shift
    shares = np.maximum(shares, MIN_SHARE)
    normalised: Array = shares / shares.sum()
    return normalised


def resolve_class_prior(
    class_prior: str | npt.ArrayLike,
    classes: Array,
    codes: IntArray,
    weight: Array | None = None,
    soft_targets: Array | None = None,
) -> npt.NDArray[np.float64]:
    """Return p(y) for the parameter `class_prior`.

    Parameters
    ----------
    class_prior : {"auto", "uniform", "empirical", "estimate"} or array-like
        - "auto": the class shares of labels and soft targets together; uniform if
          there are no soft targets.
        - "uniform": the same for all classes.
        - "empirical": the class shares of the labelled rows.
        - "estimate": the same as "empirical" here, for callers without an estimate.
        - array-like of shape (n_classes,): the prior itself.
    classes : ndarray of shape (n_classes,)
        Class labels.
    codes : ndarray of int64 of shape (n_rows,)
        Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows.
    weight : ndarray of shape (n_rows,), default=None
        Sample weights, for "auto", "empirical" and "estimate".
    soft_targets : ndarray of shape (n_rows, n_classes), default=None
        Class probabilities of the unlabelled rows, for "auto". Zeros where they are
        not available.

    Returns
    -------
    prior : ndarray of float64 of shape (n_classes,)
        Positive, with sum 1.

    Raises
    ------
    ValueError
        If a class has no labelled row for "empirical" or "estimate", or the array is
        not a distribution over the classes that is positive everywhere.
    """
    n_classes = len(classes)
    uniform = np.full(n_classes, 1 / n_classes)
    named = isinstance(class_prior, str)
    if named and class_prior == "auto" and soft_targets is not None:
        targets = np.eye(n_classes + 1)[codes][:, :n_classes]  # zeros for -1
        targets += np.where((codes == UNLABELED)[:, None], soft_targets, 0)
        mass = targets.sum(axis=0) if weight is None else weight @ targets
        # A class without any mass is rare, not impossible.
        mass = np.maximum(mass / mass.sum(), MIN_SHARE)
        return np.asarray(mass / mass.sum())
    if named and class_prior in ("auto", "uniform"):
        return uniform
    if named:
        return _empirical_prior(class_prior, classes, codes, weight)
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


def resolve_class_weight(
    class_weight: Any, classes: Array, codes: IntArray, weight: Array | None = None
) -> npt.NDArray[np.float64] | None:
    """Return the weight of each class for the parameter `class_weight`.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        Weights by label; 1 for labels that are not there. "balanced" are weights
        proportional to the inverse frequencies of the labels.
    classes : ndarray of shape (n_classes,)
        Class labels.
    codes : ndarray of int64 of shape (n_rows,)
        Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows.
    weight : ndarray of shape (n_rows,), default=None
        Sample weights, for "balanced".

    Returns
    -------
    class_weight : ndarray of float64 of shape (n_classes,) or None
        None if `class_weight` is None.

    Raises
    ------
    ValueError
        If a key is not a class, or a weight is not a positive, finite number.
    """
    if class_weight is None:
        return None
    labelled = codes != UNLABELED
    if isinstance(class_weight, str):
        present = np.unique(codes[labelled])
        weights = np.ones(len(classes))
        weights[present] = compute_class_weight(
            "balanced",
            classes=present,
            y=codes[labelled],
            sample_weight=None if weight is None else weight[labelled],
        )
        return weights
    known = classes.tolist()
    unknown = [label for label in class_weight if label not in known]
    if unknown:
        raise ValueError(
            f"class_weight has weights of {unknown}, which are not among the classes "
            f"{known}."
        )
    for label, value in class_weight.items():
        if not isinstance(value, Real) or not 0 < float(value) < np.inf:
            raise ValueError(
                "class_weight must hold positive, finite numbers, got "
                f"{value!r} for the class {label!r}."
            )
    return np.array([float(class_weight.get(label, 1.0)) for label in known])


def _empirical_prior(
    name: Any, classes: Array, codes: IntArray, weight: Array | None
) -> npt.NDArray[np.float64]:
    """Return the class shares of the labelled rows; `name` is for the message."""
    labelled = codes != UNLABELED
    counts = np.bincount(
        codes[labelled],
        weights=None if weight is None else weight[labelled],
        minlength=len(classes),
    )
    if not counts.all():
        raise ValueError(
            f"class_prior={name!r} needs a labelled row of every class, but there is "
            f"none of {classes[counts == 0].tolist()}. Give the prior as an array."
        )
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares
