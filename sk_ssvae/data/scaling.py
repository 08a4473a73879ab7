"""Scaling of columns for the networks: an invertible affine map per column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sk_ssvae.utils.chunks import (
    SparseRows,
    is_sparse,
    iter_row_chunks,
    tensor_sharing_memory,
)
from sk_ssvae.utils.threads import one_blas_thread
from sk_ssvae.utils.typing import Array, FloatArray, IntArray, Mask

__all__ = [
    "MAX_DEVIATIONS",
    "ColumnScaling",
    "RowEncoder",
    "column_scaling",
    "device_rows",
    "fit_column_scaling",
    "missing_rows",
]

MAX_DEVIATIONS = 1e6
"""Cells farther than this many standard deviations from the training mean are clipped
to that distance, so that no input overflows single precision."""

ROUNDING_ERRORS = 8
"""A column is constant if its range is at most this many rounding errors of its largest
magnitude."""

SINGLE_PRECISION_RANGE = (1e-30, 1e30)
"""Scales, and magnitudes of means, with which single precision computes safely."""

LARGE_MEAN = 1e3
"""Means of at least this many standard deviations are subtracted before the
multiplication, which would round away the digits of rows in single precision."""


@dataclass(frozen=True)
class ColumnScaling:
    """An invertible map from the user's units to the networks' units.

    Attributes
    ----------
    mean : ndarray of float64 of shape (n_features,)
        Is subtracted; for a constant column its value.
    scale : ndarray of float64 of shape (n_features,)
        Divides the difference.
    kept : ndarray of bool of shape (n_features,)
        The columns that the networks take. The others were constant: they carry no
        information, are left out of the likelihood, and are restored with their value.
    dtype : dtype
        float32 or float64, the dtype of the cells of `fit` and of restored values.
    gaps : ndarray of bool of shape (n_features,)
        Columns with missing cells (NaN). These stay NaN when encoded.
    varies : ndarray of bool of shape (n_features,)
        Columns that were not constant.
    limit : float
        Encoded cells are clipped to this magnitude.
    """

    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    kept: npt.NDArray[np.bool_]
    dtype: np.dtype[Any]
    gaps: npt.NDArray[np.bool_]
    varies: npt.NDArray[np.bool_]
    limit: float = MAX_DEVIATIONS

    @property
    def n_kept(self) -> int:
        """Number of columns that the networks take."""
        return int(self.kept.sum())

    @property
    def log_det(self) -> float:
        """Log-determinant of `encode`: log p(x) = log p(encode(x)) + log_det."""
        return -float(np.log(self.scale[self.kept]).sum())

    def row_log_det(self, X: Array) -> npt.NDArray[np.float64]:
        """Return the log-determinant for each row, without missing cells.

        Parameters
        ----------
        X : ndarray or sparse array of shape (n_rows, n_features)
            Cells.

        Returns
        -------
        log_det : ndarray of float64 of shape (n_rows,)
        """
        logs = np.where(self.kept, np.log(self.scale), 0.0)
        total = np.full(X.shape[0], self.log_det)
        if not logs.any() or (is_sparse(X) and not np.isnan(X.data).any()):
            return total
        with one_blas_thread():
            for rows, part in iter_row_chunks(X):
                missing = np.isnan(part)
                if missing.any():
                    total[rows] += missing @ logs
        return total

    @property
    def fits_single(self) -> bool:
        """Whether rows in single precision can be encoded in single precision."""
        low, high = SINGLE_PRECISION_RANGE
        scale, mean = self.scale[self.kept], self.mean[self.kept]
        return bool((scale > low).all() and (scale < high).all()) and bool(
            (np.abs(mean) < high).all()
        )

    def encode(self, X: Array) -> FloatArray:
        """Convert cells to the networks' units.

        Parameters
        ----------
        X : ndarray of float32 or float64 of shape (n_rows, n_features)
            Finite numbers, or NaN.

        Returns
        -------
        encoded : ndarray of float32 of shape (n_rows, n_kept)
            A copy, with every cell within `limit` of zero.
        """
        encoder = RowEncoder(self)
        encoded = np.empty((X.shape[0], self.n_kept), dtype=np.float32)
        for rows, part in iter_row_chunks(X):
            encoded[rows] = encoder(tensor_sharing_memory(part)).numpy()
        return encoded

    def decode(self, encoded: FloatArray) -> Array:
        """Convert values in the networks' units to cells, constant columns included.

        Parameters
        ----------
        encoded : ndarray of float32 of shape (n_rows, n_kept)
            Values in the networks' units.

        Returns
        -------
        X : ndarray of shape (n_rows, n_features)
            Values in the user's units, of the dtype of `fit`.
        """
        X = np.empty((len(encoded), len(self.kept)))
        X[:] = self.mean
        with np.errstate(over="ignore"):
            X[:, self.kept] += encoded * self.scale[self.kept]
        largest = np.finfo(self.dtype).max
        return np.clip(X, -largest, largest).astype(self.dtype, copy=False)


class RowEncoder:
    """`ColumnScaling.encode` for tensors on a device.

    Rows in double precision are encoded in double precision, rows in single precision
    in single precision: to within 1e-4 standard deviations, whatever the mean.

    Parameters
    ----------
    scaling : ColumnScaling
        Scaling of the columns.
    device : torch.device or str, default="cpu"
        Device of the rows.
    """

    def __init__(
        self, scaling: ColumnScaling, device: torch.device | str = "cpu"
    ) -> None:
        mean, scale = scaling.mean[scaling.kept], scaling.scale[scaling.kept]
        self.is_identity = not mean.any() and bool((scale == 1).all())
        self.fits_single = scaling.fits_single
        self.limit = scaling.limit
        self.kept = None
        if not scaling.kept.all():
            self.kept = torch.from_numpy(np.flatnonzero(scaling.kept)).to(device)
        self.mean_and_scale = torch.from_numpy(np.stack([mean, scale]))
        if self.fits_single:
            center = mean.astype(np.float32)
            self.has_small_means = bool((np.abs(mean) < LARGE_MEAN * scale).all())
            remainder = -mean if self.has_small_means else center - mean
            single = np.stack([center, 1 / scale, remainder / scale])
            self.center, self.rate, self.shift = torch.from_numpy(
                single.astype(np.float32)
            ).to(device)

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n_rows, n_features) to float32 (n_rows, n_kept)."""
        if self.kept is not None:
            rows = rows.index_select(1, self.kept)
        if self.is_identity:
            return rows.clamp(-self.limit, self.limit).float()
        if rows.dtype == torch.float32 and self.fits_single:
            if not self.has_small_means:
                rows = rows - self.center
            deviations = torch.addcmul(self.shift, rows, self.rate)
        else:
            mean, scale = self.mean_and_scale
            deviations = (rows - mean).div_(scale)
        encoded: Tensor = deviations.clamp_(-self.limit, self.limit).float()
        return encoded


def device_rows(
    X: Any, scaling: ColumnScaling, device: torch.device
) -> tuple[Tensor | SparseRows, RowEncoder | None]:
    """Move rows to a device, encoded or to be encoded batch by batch.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Rows of float32 or float64. On the CPU, rows in single precision and C order are
        not copied, and must not change.
    scaling : ColumnScaling
        Scaling of the columns.
    device : torch.device
        Target.

    Returns
    -------
    rows : Tensor of float32 of shape (n_rows, n_features) or (n_rows, n_kept)
        On the device; `SparseRows` for a sparse array.
    encoder : RowEncoder or None
        Encodes a batch of these rows; None if they are encoded.
    """
    if is_sparse(X):
        return SparseRows(X, device), RowEncoder(scaling, device)
    if X.dtype == np.float32 and X.flags.c_contiguous and scaling.fits_single:
        return tensor_sharing_memory(X).to(device), RowEncoder(scaling, device)
    return torch.from_numpy(scaling.encode(X)).to(device), None


def missing_rows(X: Any) -> IntArray:
    """Return the indices of the rows that have a missing cell.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Cells.

    Returns
    -------
    rows : ndarray of int64
    """
    has_missing = np.zeros(X.shape[0], dtype=bool)
    for rows, part in iter_row_chunks(X):
        has_missing[rows] = np.isnan(part).any(axis=1)
    return np.flatnonzero(has_missing)


def fit_column_scaling(
    X: Array,
    *,
    standardize: bool | Mask,
    sample_weight: Array | None = None,
    keep_constant: bool = False,
    where: Mask | None = None,
    names: Sequence[Any] | None = None,
    limit: float = MAX_DEVIATIONS,
) -> ColumnScaling:
    """Choose location and scale of every column.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Finite numbers, float32 or float64, or NaN.
    standardize : bool or ndarray of bool of shape (n_features,)
        Columns to standardise: subtract the mean and divide by the standard deviation.
        The others stay unchanged.
    sample_weight : ndarray of shape (n_rows,), default=None
        Weights of the rows in means and deviations.
    keep_constant : bool, default=False
        Keep constant columns, because later rows may vary (`partial_fit`).
    where : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.
    names : sequence, default=None
        Names of the columns, for error messages; their positions by default.
    limit : float, default=MAX_DEVIATIONS
        As in `ColumnScaling`.

    Returns
    -------
    scaling : ColumnScaling

    Raises
    ------
    ValueError
        If all columns are constant, or all cells of a column are missing.
    """
    low = np.full(X.shape[1], np.inf)
    high = -low
    gaps = np.zeros(X.shape[1], dtype=bool)
    for _, part in iter_row_chunks(X, where):
        np.fmin(low, np.fmin.reduce(part, axis=0), out=low)
        np.fmax(high, np.fmax.reduce(part, axis=0), out=high)
        gaps |= np.isnan(part).any(axis=0)

    def moments(magnitude: Array) -> tuple[Array, Array]:
        center = _mean(X, lambda part: part / magnitude, sample_weight, where)
        variance = _mean(
            X, lambda part: (part / magnitude - center) ** 2, sample_weight, where
        )
        return center, variance

    return column_scaling(
        (low, high),
        gaps,
        moments,
        n_rows=X.shape[0] if where is None else int(where.sum()),
        dtype=X.dtype,
        standardize=standardize,
        keep_constant=keep_constant,
        names=names,
        limit=limit,
    )


def column_scaling(
    ranges: tuple[Array, Array],
    gaps: Mask,
    moments: Callable[[Array], tuple[Array, Array]],
    *,
    n_rows: int,
    dtype: np.dtype[Any],
    standardize: bool | Mask,
    keep_constant: bool = False,
    names: Sequence[Any] | None = None,
    limit: float = MAX_DEVIATIONS,
) -> ColumnScaling:
    """Choose location and scale of every column from its statistics.

    Parameters
    ----------
    ranges : tuple of (ndarray, ndarray), each of float64 of shape (n_features,)
        Smallest and largest cells.
    gaps : ndarray of bool of shape (n_features,)
        Columns with missing cells.
    moments : callable
        Maps positive magnitudes of the columns to means and variances of cells that are
        divided by them.
    n_rows : int
        Number of rows, for the error message.
    dtype : dtype
        That of the cells.
    standardize, keep_constant, names, limit
        As for `fit_column_scaling`.

    Returns
    -------
    scaling : ColumnScaling

    Raises
    ------
    ValueError
        If all columns are constant, or all cells of a column are missing.
    """
    low, high = ranges
    _check_observed(low, names)
    # Relative to the largest magnitude, squares neither overflow nor vanish. (Not
    # StandardScaler: its one-pass variances of weighted rows can be negative, and it
    # treats columns with a large offset as constant.)
    magnitude = np.maximum(np.abs(low), np.abs(high))
    magnitude[magnitude == 0] = 1.0
    varies = high / magnitude - low / magnitude > ROUNDING_ERRORS * np.finfo(dtype).eps
    if not varies.any():
        raise ValueError(
            f"Every column of X is constant in all {n_rows} rows (to within rounding), "
            "so there is nothing to learn from. Give at least one column that varies."
        )
    kept = np.ones_like(varies) if keep_constant else varies
    mean, scale = np.zeros(len(low)), np.ones(len(low))
    standardized = np.broadcast_to(standardize, len(low))
    if standardized.any():
        center, variance = moments(magnitude)
        mean = np.where(standardized, center * magnitude, 0.0)
        deviation = np.where(varies, np.sqrt(variance), 1.0) * magnitude
        scale = np.where(standardized, deviation, 1.0)
    mean = np.where(kept, mean, low)
    return ColumnScaling(
        mean=mean,
        scale=scale,
        kept=kept,
        dtype=dtype,
        gaps=gaps,
        varies=varies,
        limit=limit,
    )


def _check_observed(low: npt.NDArray[np.float64], names: Sequence[Any] | None) -> None:
    """Refuse columns in which every cell is missing."""
    empty = np.flatnonzero(np.isinf(low))
    if len(empty):
        which = empty.tolist() if names is None else [names[j] for j in empty.tolist()]
        raise ValueError(
            f"Every cell of the columns {which} is missing, so they carry no "
            "information. Remove these columns."
        )


def _mean(
    X: Array,
    function: Callable[[Array], npt.NDArray[np.float64]],
    weight: Array | None,
    where: Mask | None,
) -> npt.NDArray[np.float64]:
    """Return the weighted mean over rows of a function of the cells, without NaN."""
    total, mass = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for rows, part in iter_row_chunks(X, where):
        w = np.ones(len(part)) if weight is None else weight[rows]
        values = function(part)
        missing = np.isnan(values)
        if missing.any():
            total += w @ np.where(missing, 0.0, values)
            mass += w @ ~missing
        else:
            total += w @ values
            mass += w.sum()
    return total / np.where(mass > 0, mass, 1.0)
