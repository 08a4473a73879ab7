"""Which likelihood fits the data, and data that a likelihood cannot have."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sk_ssvae.chunks import row_parts

__all__ = ["check_unit_interval", "choose_likelihood"]


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
    X : ndarray of shape (n_rows, n_features)
        Finite numbers.
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
        if part.min() < 0 or part.max() > 1:
            return "gaussian"
        n_cells += part.size
        n_at_ends += int(((part == 0) | (part == 1)).sum())
    return "bernoulli" if n_at_ends >= n_cells / 3 else "gaussian"


def check_unit_interval(
    X: npt.NDArray[Any],
    rows: npt.NDArray[np.bool_] | None = None,
    columns: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Refuse values for which the Bernoulli has no probability.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Finite numbers.
    rows : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.
    columns : ndarray of bool of shape (n_features,), default=None
        The columns that count; all by default.

    Raises
    ------
    ValueError
        If a value lies outside [0, 1]; names the column and the value.
    """
    for where, part in row_parts(X, rows):
        outside = (part < 0) | (part > 1)
        if columns is not None:
            outside &= columns
        if outside.any():
            at, column = np.argwhere(outside)[0]
            row = np.arange(len(X))[where][at]
            raise ValueError(
                "likelihood='bernoulli' needs values in [0, 1], but X has "
                f"{part[at, column]:.6g} in row {row}, column {column}. Rescale X "
                "(e.g. MinMaxScaler(clip=True)) or use likelihood='gaussian'."
            )
