"""Computations on rows in double precision, in blocks if there are many.

The views of the pool compute in double precision. Copies of the rows in double
precision would need several times the memory of rows in single precision.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from sk_ssvae.data.scaling import ColumnScaling, fit_column_scaling
from sk_ssvae.data.units import relative_deviations
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.typing import Array, FloatArray, Mask

__all__ = [
    "BLOCK_CELLS",
    "extreme_share",
    "fit_view_scaling",
    "relative_scale",
    "row_blocks",
    "scale_rows",
    "transformed",
]

MAX_CELLS = 2**24
"""Rows with more cells are processed in blocks. Products of matrices may then differ in
their last digits from those of all rows at once."""

BLOCK_CELLS = 2**22
"""Number of cells in a block: 32 MiB in double precision."""


RELATIVE_ROUNDING = 1e-4
"""Scales that differ by less are equal: those of rows that were standardised before, in
single precision."""


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices of rows: a single one unless there are more than `MAX_CELLS` cells.

    Parameters
    ----------
    n_rows, n_columns : int
        Shape of the array.

    Yields
    ------
    block : slice
        Consecutive rows. The blocks together cover all rows.
    """
    if n_rows * n_columns <= MAX_CELLS:
        yield slice(0, n_rows)
    else:
        yield from row_chunks(n_rows, n_columns, BLOCK_CELLS)


class _DoubleRows:
    """Rows in single precision that are converted to double precision when read."""

    dtype = np.dtype(np.float64)

    def __init__(self, X: Array) -> None:
        self.X = X
        self.shape = X.shape

    def __getitem__(self, rows: slice) -> Array:
        return self.X[rows].astype(np.float64)


def _in_double_precision(X: Array) -> Any:
    return X if X.dtype == np.float64 else _DoubleRows(X)


def fit_view_scaling(X: Array) -> ColumnScaling:
    """Fit the scaling of the columns for views, in double precision.

    Columns are standardised. Columns that share a unit are Pareto scaled [1]_: divided
    by the square root of their standard deviation. This is between standardised
    columns, where the noise of nearly constant ones counts as much as any other
    column, and columns as they are, where the largest ones decide. A common factor
    makes 1 of the mean of the variances.

    Parameters
    ----------
    X : ndarray of float32 or float64 of shape (n_rows, n_features)
        Finite numbers.

    Returns
    -------
    scaling : ColumnScaling

    Raises
    ------
    ValueError
        If all columns are constant.

    References
    ----------
    .. [1] van den Berg, Hoefsloot, Westerhuis, Smilde & van der Werf 2006, "Centering,
       scaling, and transformations: improving the biological information content of
       metabolomics data", BMC Genomics 7, 142.
    """
    scaling = fit_column_scaling(_in_double_precision(X), standardize=True)
    relative = relative_deviations(scaling.scale[scaling.kept])
    if relative is None:
        return scaling
    scale = scaling.scale.copy()
    scale[scaling.kept] *= np.sqrt(relative.mean() / relative)
    return replace(scaling, scale=scale)


def relative_scale(scaling: ColumnScaling) -> Array | None:
    """Return the scales of the columns, relative to the largest.

    Parameters
    ----------
    scaling : ColumnScaling
        As returned by `fit_view_scaling`.

    Returns
    -------
    scale : ndarray of float64 of shape (n_kept,) or None
        In (0, 1]. None if all scales are equal, up to rounding to single precision.
    """
    scale = scaling.scale[scaling.kept]
    if np.ptp(scale) <= RELATIVE_ROUNDING * scale.max():
        return None
    relative: Array = scale / scale.max()
    return relative


def extreme_share(X: Array, kept: Mask) -> float:
    """Return the share of the cells that equal the minimum or maximum of their column.

    It is one for binary columns, large for images with a background, and near zero for
    measurements.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Finite numbers.
    kept : ndarray of bool of shape (n_features,)
        Columns that count, at least one.

    Returns
    -------
    share : float in [0, 1]
    """
    low, high = X.min(axis=0), X.max(axis=0)
    n_extreme = sum(
        int(((X[rows] == low) | (X[rows] == high))[:, kept].sum())
        for rows in row_chunks(*X.shape)
    )
    return n_extreme / (len(X) * int(kept.sum()))


def scale_rows(
    X: Array, scaling: ColumnScaling, dtype: type[np.floating[Any]] = np.float64
) -> Array:
    """Scale the columns of rows for views, computed in double precision.

    Parameters
    ----------
    X : ndarray of float32 or float64 of shape (n_rows, n_features)
        Finite numbers.
    scaling : ColumnScaling
        As returned by `fit_view_scaling`.
    dtype : type, default=numpy.float64
        Type of the result.

    Returns
    -------
    rows : ndarray of `dtype` of shape (n_rows, n_kept)
        Rounded to single precision.
    """
    double = _in_double_precision(X)
    rows = np.empty((len(X), scaling.n_kept), dtype=dtype)
    for chunk in row_chunks(*X.shape):
        rows[chunk] = scaling.encode(double[chunk])
    return rows


def transformed(transformer: Any, X: Array) -> FloatArray:
    """Return transformed rows in single precision.

    Parameters
    ----------
    transformer : transformer
        Fitted. It transforms each row independently of the others.
    X : ndarray of float64 of shape (n_rows, n_features)
        Rows.

    Returns
    -------
    Z : ndarray of float32 of shape (n_rows, n_dimensions)
        In C order.
    """
    Z: FloatArray | None = None
    for block in row_blocks(*X.shape):
        part = transformer.transform(X[block])
        if len(part) == len(X):
            return np.ascontiguousarray(part, dtype=np.float32)
        if Z is None:
            Z = np.empty((len(X), part.shape[1]), dtype=np.float32)
        Z[block] = part
    assert Z is not None  # rows are validated: there are at least two
    return Z
