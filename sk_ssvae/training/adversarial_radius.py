"""The weight of virtual adversarial training and the length of its perturbations."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from sk_ssvae.models import VAEModule
from sk_ssvae.models.user_networks import user_networks
from sk_ssvae.training.rows import Rows
from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = [
    "AdversarialChoice",
    "class_margin",
    "effective_dimension",
    "is_measurement",
    "median_kurtosis",
    "resolve_adversarial",
]

MIN_DIMENSION = 17
"""Effective dimension from which the weight "auto" is 1. With fewer, accuracy was lower
with perturbations: they often leave the region of the data. Chosen between waveform5000
(16), which loses, and the digits of scikit-learn (18), which gain."""

MAX_KURTOSIS = 13
"""Median kurtosis of the columns up to which the weight "auto" is 1. With heavier tails
most cells of a column have one value, such as the counts of a rare word, and
perturbations leave the region of the data. Chosen between images (at most 10), which
gain, and the expression of genes (at least 17), which loses
(``python -m benchmarks accuracy.units``)."""

MAX_MARGIN_ROWS = 3000
"""Number of rows whose distances to the decision boundary are computed."""

MAX_MARGIN_CELLS = 2**23
"""Largest number of cells of these rows: 64 MiB in double precision, and a few times as
much in the computation."""


def class_margin(x: Array, codes: IntArray) -> float:
    """Return the median distance of a row to the nearest decision boundary.

    The boundaries are those of a nearest-centroid classifier: halfway between the means
    of two classes, and perpendicular to the line through them.

    Parameters
    ----------
    x : ndarray of float64 of shape (n_rows, n_columns)
        Rows.
    codes : ndarray of int64 of shape (n_rows,)
        Their classes, at least two.

    Returns
    -------
    margin : float
        In the units of the rows; 0 if all classes have the same mean.
    """
    classes, codes, counts = np.unique(codes, return_inverse=True, return_counts=True)
    x = x - x.mean(axis=0)
    means = np.eye(len(classes))[codes].T @ x / counts[:, None]
    # Differences of scores are half the differences of squared distances to means.
    score = x @ means.T - (means**2).sum(axis=1) / 2
    nearest = score.argmax(axis=1)
    # The separation is zero from a class to itself, and if two means are equal.
    separation = cdist(means, means)[nearest]
    distance = np.full(score.shape, np.inf)
    difference = score.max(axis=1, keepdims=True) - score
    np.divide(difference, separation, out=distance, where=separation > 0)
    margin = float(np.median(distance.min(axis=1)))
    return margin if margin < np.inf else 0.0


def _varying(x: Array) -> tuple[Array, Mask]:
    """Return the standardised columns that are not constant, and which they are."""
    if x.size == 0:
        return np.empty((len(x), 0)), np.zeros(x.shape[1], dtype=bool)
    centred = x - x.mean(axis=0)
    scale = centred.std(axis=0)
    varies = scale > 1e-10 * np.abs(x).max(axis=0, initial=0)  # not by rounding
    return centred[:, varies] / scale[varies], varies


def effective_dimension(x: Array) -> float:
    r"""Return the participation ratio of the eigenvalues of the correlation matrix.

    .. math:: (\sum_j \lambda_j)^2 / \sum_j \lambda_j^2

    It is the number of columns if these are uncorrelated, and 1 if all rows lie on a
    line. Constant columns do not count.

    Parameters
    ----------
    x : ndarray of float64 of shape (n_rows, n_columns)
        Rows.

    Returns
    -------
    dimension : float
        At most the number of columns; 0 if all are constant.
    """
    centred, _ = _varying(x)
    # The smaller of two matrices with the same positive eigenvalues.
    product = centred.T @ centred if x.shape[1] < len(x) else centred @ centred.T
    total = float((product**2).sum())
    return float(np.trace(product) ** 2 / total) if total > 0 else 0.0


def median_kurtosis(x: Array) -> float:
    """Return the median over columns of the fourth standardised moment.

    It is 3 for normal columns, and about 1 / p for a column that is zero but in a share
    p of the rows. Constant columns and missing cells do not count.

    Parameters
    ----------
    x : ndarray of float64 of shape (n_rows, n_columns)
        Rows; missing cells are NaN.

    Returns
    -------
    kurtosis : float
        At least 1; 0 if all columns are constant.
    """
    filled = _filled(x)
    standardised, which = _varying(filled)
    if standardised.size == 0:
        return 0.0
    # Filled cells are zero here. They are in the number of rows, not in the sums.
    share = (~np.isnan(x[:, which])).mean(axis=0)
    return float(np.median((standardised**4).mean(axis=0) * share))


class AdversarialChoice(NamedTuple):
    """Settings of virtual adversarial training.

    Attributes
    ----------
    weight : float
        Weight in the loss.
    radius : float
        Length of the perturbations. It has no effect if the weight is 0.
    reason : str
        Why the weight has this value; empty if it is the value that was given.
    """

    weight: float
    radius: float
    reason: str = ""


def resolve_adversarial(
    weight: str | float, radius: str | float, model: VAEModule, rows: Rows
) -> AdversarialChoice:
    """Return weight and radius of virtual adversarial training.

    Parameters
    ----------
    weight, radius : "auto" or float
        See `sk_ssvae.training.ClassifierOptions`.
    model : VAEModule
        The model.
    rows : Rows
        Training rows.

    Returns
    -------
    choice : AdversarialChoice
        A weight of "auto" is 0 without soft targets, with a model or network of the
        user, with an effective dimension below `MIN_DIMENSION`, or with a median
        kurtosis above `MAX_KURTOSIS`. Any weight is 0 if the radius is "auto" and
        cannot be determined: if all rows belong to one class, all classes have the same
        mean, or no column can be perturbed.
    """
    fixed_radius = 1.0 if isinstance(radius, str) else float(radius)
    fixed_weight = 1.0 if isinstance(weight, str) else float(weight)
    if isinstance(weight, str):
        if rows.soft_targets is None or len(rows.soft_targets) == 0:
            return AdversarialChoice(0.0, fixed_radius, "there are no soft targets")
        if not _is_built_in(model):
            reason = "the model or a network is not of this package"
            return AdversarialChoice(0.0, fixed_radius, reason)
    elif weight == 0 or not isinstance(radius, str):
        return AdversarialChoice(fixed_weight, fixed_radius)
    cells, codes = _rows_with_classes(rows, model.inputs.movable)
    x = _filled(cells)
    reason = ""
    if isinstance(weight, str):
        which = is_measurement(x)
        dimension = effective_dimension(x[:, which])
        reason = f"the columns have {dimension:.1f} effective dimensions"
        if dimension < MIN_DIMENSION:
            reason = f"{reason}, fewer than {MIN_DIMENSION}"
            return AdversarialChoice(0.0, fixed_radius, reason)
        kurtosis = median_kurtosis(cells[:, which])
        if kurtosis > MAX_KURTOSIS:
            reason = (
                f"the columns have a median kurtosis of {kurtosis:.1f}, more than "
                f"{MAX_KURTOSIS}"
            )
            return AdversarialChoice(0.0, fixed_radius, reason)
    if not isinstance(radius, str):
        return AdversarialChoice(fixed_weight, fixed_radius, reason)
    margin = 0.0
    if x.shape[1] and len(np.unique(codes)) > 1:
        margin = class_margin(x, codes)
    if not margin > 0:  # or NaN
        reason = "there is no boundary between classes"
        return AdversarialChoice(0.0, fixed_radius, reason)
    return AdversarialChoice(fixed_weight, margin, reason)


def is_measurement(x: Array) -> Mask:
    """Return which columns have more than two values, or all if none has.

    Indicators of categories beside measurements have many effective dimensions, but do
    not spread the measurements: on such data accuracy was not higher with
    perturbations.

    Parameters
    ----------
    x : ndarray of float64 of shape (n_rows, n_columns)
        Rows without missing cells.

    Returns
    -------
    which : ndarray of bool of shape (n_columns,)
    """
    if x.size == 0:
        return np.ones(x.shape[1], dtype=bool)
    is_binary: Mask = ((x == x.min(axis=0)) | (x == x.max(axis=0))).all(axis=0)
    return ~is_binary | is_binary.all()


def _filled(x: Array) -> Array:
    """Return rows with missing cells replaced by the mean of their column, or by 0."""
    observed = ~np.isnan(x)
    total = np.where(observed, x, 0.0).sum(axis=0)
    return np.where(observed, x, total / np.maximum(observed.sum(axis=0), 1))


def _is_built_in(model: VAEModule) -> bool:
    """Return whether the model and its networks are those of this package.

    Those of a user may be slow, and need not be differentiable in the rows.
    """
    package = __name__.partition(".")[0]
    is_own = type(model).__module__.partition(".")[0] == package
    return is_own and not user_networks(model)


def _rows_with_classes(rows: Rows, movable: Tensor) -> tuple[Array, IntArray]:
    """Return training rows in double precision, and their classes.

    A class is the label, or the most probable class of the soft target. The rows are a
    systematic sample with probabilities proportional to their weights: all of them if
    the weights are equal, and rows and columns not too many. Columns that no
    perturbation changes are left out. Rows are in the units of the networks' inputs,
    and missing cells are NaN.
    """
    classes = torch.full((len(rows),), -1, device=rows.device)
    classes[: rows.n_labelled] = rows.codes
    if rows.soft_targets is not None and len(rows.soft_targets):
        value, most_probable = rows.soft_targets.max(1)
        classes[rows.n_labelled :][value > 0] = most_probable[value > 0]
    known = torch.nonzero(classes >= 0)[:, 0]
    n = min(len(known), MAX_MARGIN_ROWS, MAX_MARGIN_CELLS // len(movable))
    total = rows.bound_weight[known].cpu().double().cumsum(0)
    if n == 0:
        return np.empty((0, 0)), np.empty(0, dtype=np.int64)
    # Not on the limits between rows, where rounding would decide.
    steps = (torch.arange(n, dtype=torch.float64, device="cpu") + 1e-6) / n
    which = known[torch.searchsorted(total, steps * total[-1]).to(known.device)]
    cells = rows.encoded(rows.indices(which))[:, movable > 0].cpu().double()
    x = cells / movable[movable > 0].cpu().double()
    return x.numpy(), classes[which].cpu().numpy()
