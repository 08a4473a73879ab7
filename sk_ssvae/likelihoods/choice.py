"""Which likelihood fits the data, and data that a likelihood cannot have."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sk_ssvae.chunks import row_parts
from sk_ssvae.layout import COUNTS, MAX_COUNT

__all__ = ["check_support", "choose_likelihood"]


def choose_likelihood(
    X: npt.NDArray[Any], where: npt.NDArray[np.bool_] | None = None
) -> str:
    """Choose "bernoulli" or "gaussian" from the data, as ``likelihood="auto"`` does.

    Bernoulli is chosen only if every value lies in [0, 1] and at least a third of all
    cells are exactly 0 or 1: all of them in binary data, the background and the
    saturated pixels in images scaled to [0, 1]. Measurements that merely were scaled
    to [0, 1] touch the ends once a column or so, and get the Gaussian.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Finite numbers, or NaN where they are missing.
    where : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Returns
    -------
    name : {"bernoulli", "gaussian"}

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.likelihoods.choice import choose_likelihood
    >>> choose_likelihood(np.array([[0.0, 1.0], [0.3, 0.0]]))
    'bernoulli'
    >>> choose_likelihood(np.array([[0.1, 0.9], [0.3, 1.0]]))
    'gaussian'
    """
    n_cells = n_at_ends = 0
    for _, part in row_parts(X, where):
        if np.fmin.reduce(part, axis=None) < 0 or np.fmax.reduce(part, axis=None) > 1:
            return "gaussian"
        n_cells += part.size - int(np.isnan(part).sum())
        n_at_ends += int(((part == 0) | (part == 1)).sum())
    return "bernoulli" if n_at_ends >= n_cells / 3 else "gaussian"


def check_support(
    X: Any,
    kinds: npt.NDArray[Any],
    rows: npt.NDArray[np.bool_] | None = None,
    columns: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Refuse values that have no probability.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Finite numbers, or NaN.
    kinds : ndarray of object of shape (n_features,)
        Names of likelihoods: of "bernoulli" values in [0, 1], of "poisson" and
        "negative_binomial" whole numbers from 0 on.
    rows : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.
    columns : ndarray of bool of shape (n_features,), default=None
        The columns that count; all by default.

    Raises
    ------
    ValueError
        If there is another value; names the column and the value.
    """
    counts = columns if columns is not None else np.ones(len(kinds), dtype=bool)
    unit = counts & (kinds == "bernoulli")
    whole = counts & np.isin(kinds.astype(str), COUNTS)
    if not unit.any() and not whole.any():
        return
    for where, part in row_parts(X, rows):
        bad = unit & ((part < 0) | (part > 1))
        if whole.any():
            strange = (part < 0) | (part > MAX_COUNT) | (part != np.floor(part))
            bad |= whole & strange & ~np.isnan(part)
        if bad.any():
            at, column = np.argwhere(bad)[0]
            row = np.arange(X.shape[0])[where][at]
            remedy = (
                "Rescale X (e.g. MinMaxScaler(clip=True)) or use likelihood='gaussian'."
                if unit[column]
                else "Use likelihood='gaussian' for what is not counted."
            )
            needs = (
                "values in [0, 1]" if unit[column] else "whole numbers from 0 to 1e9"
            )
            raise ValueError(
                f"likelihood={kinds[column]!r} needs {needs}, but X has "
                f"{part[at, column]:.6g} in row {row}, column {column}. {remedy}"
            )
