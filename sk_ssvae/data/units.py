"""Columns that share a unit, such as pixels, words or the expression of genes."""

import numpy as np

from sk_ssvae.utils.typing import Array, Mask

__all__ = ["MIN_SHARED_COLUMNS", "participation_ratio", "relative_deviations"]

MIN_SHARED_COLUMNS = 25
"""Effective number of columns from which variances are comparable. It is at least 30
on 18 sets with 36 or more columns in one unit, and at most 4 on six sets with columns
in several units, where a few columns have almost all of the variance
(``python -m benchmarks accuracy.units``)."""

MIN_RELATIVE_DEVIATION = 1e-6
"""Smaller deviations, relative to the largest, are raised to it, so that their inverses
are numbers in single precision. The column has hardly any effect in either case."""


def participation_ratio(values: Array) -> float:
    r"""Return the effective number of terms of a sum of positive values.

    .. math:: (\sum_j v_j)^2 / \sum_j v_j^2

    Parameters
    ----------
    values : ndarray of float64 of shape (n_values,)
        Positive numbers, at least one.

    Returns
    -------
    ratio : float
        From 1, if one value is much larger than all others, to their number, if they
        are equal.
    """
    return float(values.sum() ** 2 / (values**2).sum())


def relative_deviations(deviations: Array, varies: Mask | None = None) -> Array | None:
    """Return standard deviations relative to their root mean square.

    Multiplied by them, standardised columns have their own unit again, and variances
    with the mean 1. Columns share a unit if many of them contribute to the total
    variance: if the participation ratio of their variances is at least
    `MIN_SHARED_COLUMNS`.

    Parameters
    ----------
    deviations : ndarray of float64 of shape (n_columns,)
        Positive standard deviations in the unit of the user.
    varies : ndarray of bool of shape (n_columns,), default=None
        Columns that count; all by default. The others, of which the deviation is
        unknown, get 1.

    Returns
    -------
    relative : ndarray of float64 of shape (n_columns,) or None
        None if the columns do not share a unit.
    """
    which = np.ones(len(deviations), dtype=bool) if varies is None else varies
    if which.sum() < MIN_SHARED_COLUMNS:
        return None
    # Relative to the largest, so that squares do not overflow.
    scaled = deviations[which] / deviations[which].max()
    scaled = np.maximum(scaled, MIN_RELATIVE_DEVIATION)
    variances = scaled**2
    if participation_ratio(variances) < MIN_SHARED_COLUMNS:
        return None
    relative = np.ones(len(deviations))
    relative[which] = scaled / np.sqrt(variances.mean())
    return relative
