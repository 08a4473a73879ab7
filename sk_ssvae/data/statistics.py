"""Statistics of the columns from one pass over the rows."""

from typing import Any

import numpy as np

from sk_ssvae.data.support import count_extremes
from sk_ssvae.utils.chunks import iter_row_chunks
from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = ["ColumnStatistics", "collect_statistics"]


class ColumnStatistics:
    r"""Statistics of columns of which the rows are seen once, in chunks.

    Means and variances are those of each chunk, computed as for rows in memory and
    combined as in [1]_. With one chunk they are the same numbers as in memory, with
    several they agree up to rounding in double precision. Everything else is exact.

    Parameters
    ----------
    dtype : dtype
        That of the cells.
    sizes : ndarray of int64 of shape (n_features,)
        Numbers of categories of the columns, 0 for numbers.
    summed : ndarray of bool of shape (n_features,)
        Columns whose sums are needed whatever their values are.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    low, high : ndarray of float64 of shape (n_features,)
        Smallest and largest cell.
    n_low, n_high : ndarray of float64 of shape (n_features,)
        Numbers of cells equal to them.
    n_observed, n_zeros, n_ones : ndarray of float64 of shape (n_features,)
        Numbers of cells that are not missing, are 0, and are 1.
    gaps, whole : ndarray of bool of shape (n_features,)
        Columns with missing cells, and columns of whole numbers.
    mass : ndarray of float64 of shape (n_features,)
        Weights of the observed cells.
    sums : ndarray of float64 of shape (4, n_features)
        Weighted sums of x, x^2, log(1 + x) and its square. Only of columns in `summed`,
        and of those with all values in [0, 1].
    masses : list of ndarray of float64
        Weights of the categories of each column.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub and R. J. LeVeque. Algorithms for computing the
       sample variance: analysis and recommendations. The American Statistician 37,
       1983.
    """

    def __init__(self, dtype: Any, sizes: IntArray, summed: Mask) -> None:
        n = len(sizes)
        self.dtype = np.dtype(dtype)
        self.sizes = sizes
        self.summed = summed
        self.n_rows = 0
        self.low, self.high = np.full(n, np.inf), np.full(n, -np.inf)
        self.n_low, self.n_high = np.zeros((2, n))
        self.n_observed, self.n_zeros, self.n_ones = np.zeros((3, n))
        self.gaps, self.whole = np.zeros(n, dtype=bool), np.ones(n, dtype=bool)
        self.mass = np.zeros(n)
        self.sums = np.zeros((4, n))
        self.masses = [np.zeros(size) for size in sizes.tolist()]
        self._magnitude = np.zeros(n)
        self._center, self._variance = np.zeros((2, n))  # in units of the magnitude

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.n_rows, len(self.sizes)

    def update(self, cells: Array, weight: Array | None = None) -> None:
        """Include further rows.

        Parameters
        ----------
        cells : ndarray of float32 or float64 of shape (n, n_features)
            Finite numbers, or NaN.
        weight : ndarray of shape (n,), default=None
            Their weights; 1 by default.
        """
        missing = np.isnan(cells)
        n_missing = missing.sum(axis=0)
        self.n_rows += len(cells)
        self.n_observed += len(cells) - n_missing
        self.gaps |= n_missing > 0
        self.whole &= ((cells == np.rint(cells)) | missing).all(axis=0)
        self.n_zeros += (cells == 0).sum(axis=0)
        self.n_ones += (cells == 1).sum(axis=0)
        low = np.fmin.reduce(cells, axis=0).astype(np.float64)
        high = np.fmax.reduce(cells, axis=0).astype(np.float64)
        count_extremes(low, cells, self.low, self.n_low, 1)
        count_extremes(high, cells, self.high, self.n_high, -1)
        w = np.ones(len(cells)) if weight is None else weight
        self._add_moments(cells, missing, w, np.fmax(np.abs(low), np.abs(high)))
        self._add_sums(cells, missing, w)
        for j in np.flatnonzero(self.sizes):
            observed = ~missing[:, j]
            codes = cells[observed, j].astype(int)
            self.masses[j] += np.bincount(codes, w[observed], self.sizes[j])

    def _add_moments(
        self, cells: Array, missing: Mask, w: Array, magnitude: Array
    ) -> None:
        """Combine mean and variance with those of further rows."""
        unit = np.where(magnitude > 0, magnitude, 1.0)  # also if NaN: no cell observed
        relative = cells / unit
        if missing.any():
            mass = w @ ~missing
            relative = np.where(missing, 0.0, relative)
        else:
            mass = np.full(len(unit), w.sum())
        divisor = np.where(mass > 0, mass, 1.0)
        center = (w @ relative) / divisor
        squares = (relative - center) ** 2
        if missing.any():
            squares = np.where(missing, 0.0, squares)
        variance = (w @ squares) / divisor
        total = self.mass + mass
        share = mass / np.where(total > 0, total, 1.0)
        # Of columns that have been zero so far, the magnitude is that of these rows.
        common = np.fmax(self._magnitude, np.nan_to_num(magnitude))
        divisor = np.where(common > 0, common, 1.0)
        before, now = self._magnitude / divisor, np.where(common > 0, unit, 1) / divisor
        difference = center * now - self._center * before
        self._center = self._center * before + difference * share
        self._variance = (
            self._variance * before**2 * (1 - share)
            + variance * now**2 * share
            + difference**2 * share * (1 - share)
        )
        self._magnitude, self.mass = common, total

    def _add_sums(self, cells: Array, missing: Mask, w: Array) -> None:
        wanted = self.summed | ((self.low >= 0) & (self.high <= 1))
        if not wanted.any():
            return
        # In the order of the array that `fit_layout` sums, for the same rounding.
        values = np.asfortranarray(np.where(~missing & wanted, cells, 0.0))
        logs = np.log1p(np.maximum(values, 0))
        with np.errstate(over="ignore"):  # of values that are no counts
            squares = w @ values**2
        self.sums += [w @ values, squares, w @ logs, w @ logs**2]

    def moments(self, magnitude: Array) -> tuple[Array, Array]:
        """Return mean and variance in units of a magnitude and of its square.

        Parameters
        ----------
        magnitude : ndarray of float64 of shape (n_features,)
            Positive.

        Returns
        -------
        mean, variance : ndarray of float64 of shape (n_features,)
        """
        factor = np.where(self._magnitude > 0, self._magnitude, 1.0) / magnitude
        return self._center * factor, self._variance * factor**2


def collect_statistics(
    X: Any,
    sizes: IntArray,
    summed: Mask,
    used: Mask | None = None,
    weight: Array | None = None,
) -> ColumnStatistics:
    """Collect the statistics of the columns in one pass.

    Parameters
    ----------
    X : SourceCells of shape (n_rows, n_features)
        Cells.
    sizes, summed
        As for `ColumnStatistics`.
    used : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.
    weight : ndarray of shape (n_rows,), default=None
        Weights of the rows; 1 by default.

    Returns
    -------
    statistics : ColumnStatistics
    """
    statistics = ColumnStatistics(X.dtype, sizes, summed)
    for rows, part in iter_row_chunks(X, used):
        statistics.update(part, None if weight is None else weight[rows])
    return statistics
