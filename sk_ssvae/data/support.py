"""Values that numeric columns can take: whole numbers, and bounds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sk_ssvae.utils.chunks import iter_row_chunks
from sk_ssvae.utils.typing import Array, Mask

__all__ = ["Support", "column_ranges", "count_extremes", "fit_support", "support_of"]

MIN_AT_BOUND = 10
"""Number of cells equal to the smallest or largest value that make it a bound ..."""

MIN_SHARE_AT_BOUND = 0.01
"""... and their share of all cells. Of a continuous variable one cell is expected."""


@dataclass(frozen=True, eq=False)
class Support:
    """Values that decoded cells are restricted to.

    Attributes
    ----------
    whole : ndarray of bool of shape (n_features,)
        Columns of whole numbers.
    low, high : ndarray of float64 of shape (n_features,)
        Bounds; infinite where there is none.
    """

    whole: npt.NDArray[np.bool_]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]

    def restrict(self, cells: Array, *, exact: bool) -> Array:
        """Return cells within the bounds and, with `exact`, rounded where whole.

        Parameters
        ----------
        cells : ndarray of shape (n_rows, n_features)
            In the user's units; NaN stays NaN.
        exact : bool
            Round columns of whole numbers. Means need not be whole.

        Returns
        -------
        cells : ndarray of the same shape and dtype
        """
        restricted = np.clip(cells, self.low, self.high)
        if exact and self.whole.any():
            restricted[:, self.whole] = np.rint(restricted[:, self.whole])
        return restricted.astype(cells.dtype, copy=False)

    def widened(self, other: "Support", low: Array, high: Array) -> "Support":
        """Return the support of these and of further rows.

        A bound that no further cell exceeds stays as it is: few rows show neither.

        Parameters
        ----------
        other : Support
            Support of the further rows.
        low, high : ndarray of shape (n_features,)
            Their smallest and largest cells; NaN in columns without any.

        Returns
        -------
        support : Support
        """
        return Support(
            self.whole & other.whole,
            np.where(low < self.low, np.minimum(self.low, other.low), self.low),
            np.where(high > self.high, np.maximum(self.high, other.high), self.high),
        )


def fit_support(X: Array, columns: Mask, where: Mask | None = None) -> Support:
    """Find the support of columns.

    A column that is never negative is bounded by 0, one that is never positive too, and
    one with values in [0, 1] by both. The smallest and the largest value are bounds if
    1 % of the cells, and at least ten, are equal to them.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Cells, at least one in every column.
    columns : ndarray of bool of shape (n_features,)
        The columns to restrict; the others may take any value.
    where : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Returns
    -------
    support : Support
    """
    which = np.flatnonzero(columns)
    whole = np.ones(len(which), dtype=bool)
    smallest, largest = np.full(len(which), np.inf), np.full(len(which), -np.inf)
    n_smallest, n_largest, n_cells = np.zeros((3, len(which)))
    for _, part in iter_row_chunks(X, where) if len(which) else ():
        cells = part if len(which) == X.shape[1] else part[:, which]
        n_cells += len(cells) - np.isnan(cells).sum(axis=0)
        candidates = np.flatnonzero(whole)
        values = cells[:, candidates]
        whole[candidates] = ((values == np.rint(values)) | np.isnan(values)).all(axis=0)
        count_extremes(np.fmin.reduce(cells, axis=0), cells, smallest, n_smallest, 1)
        count_extremes(np.fmax.reduce(cells, axis=0), cells, largest, n_largest, -1)
    return support_of(
        (smallest, n_smallest), (largest, n_largest), n_cells, whole, columns
    )


def support_of(
    low: tuple[Array, Array],
    high: tuple[Array, Array],
    n_cells: Array,
    whole: Mask,
    columns: Mask,
) -> Support:
    """Return the support that follows from the extreme cells of some columns.

    Parameters
    ----------
    low, high : tuple of (ndarray, ndarray), each of shape (n_chosen,)
        Smallest and largest cells, and the numbers of cells equal to them.
    n_cells : ndarray of shape (n_chosen,)
        Numbers of observed cells.
    whole : ndarray of bool of shape (n_chosen,)
        Whether all cells are whole numbers.
    columns : ndarray of bool of shape (n_features,)
        Which columns these are; the others may take any value.

    Returns
    -------
    support : Support
    """
    (smallest, n_smallest), (largest, n_largest) = low, high
    enough = np.maximum(MIN_AT_BOUND, MIN_SHARE_AT_BOUND * n_cells)
    lower = np.where(smallest >= 0, 0.0, -np.inf)
    lower = np.where(n_smallest >= enough, smallest, lower)
    upper = np.where(largest <= 0, 0.0, np.inf)
    upper = np.where((smallest >= 0) & (largest <= 1) & (largest > 0), 1.0, upper)
    upper = np.where(n_largest >= enough, largest, upper)
    support = Support(
        np.zeros(len(columns), dtype=bool),
        np.full(len(columns), -np.inf),
        np.full(len(columns), np.inf),
    )
    support.whole[columns] = whole
    support.low[columns], support.high[columns] = lower, upper
    return support


def column_ranges(X: Array, where: Mask | None = None) -> tuple[Array, Array]:
    """Return the smallest and the largest cell of each column; NaN if there is none.

    Parameters
    ----------
    X, where
        As for `fit_support`.

    Returns
    -------
    low, high : ndarray of float64 of shape (n_features,)
    """
    low, high = np.full((2, X.shape[1]), np.nan)
    for _, part in iter_row_chunks(X, where):
        low = np.fmin(low, np.fmin.reduce(part, axis=0))
        high = np.fmax(high, np.fmax.reduce(part, axis=0))
    return low, high


def count_extremes(
    extreme: Array, cells: Array, so_far: Array, count: Array, sign: int
) -> None:
    """Update extreme values and the numbers of cells equal to them, in place.

    Parameters
    ----------
    extreme : ndarray of shape (n_features,)
        Extreme values of further rows; NaN in columns without any.
    cells : ndarray of shape (n_rows, n_features)
        These rows.
    so_far, count : ndarray of float64 of shape (n_features,)
        Extreme values so far, and numbers of cells equal to them.
    sign : int
        1 for the smallest values, -1 for the largest.
    """
    extreme = np.where(np.isnan(extreme), sign * np.inf, extreme)
    n_equal = (cells == extreme).sum(axis=0)
    beyond = sign * extreme < sign * so_far
    count[beyond] = 0
    so_far[beyond] = extreme[beyond]
    equal = extreme == so_far
    count[equal] += n_equal[equal]
