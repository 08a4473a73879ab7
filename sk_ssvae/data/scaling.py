"""Between the user's columns and the network's tensors: an affine map per column."""

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

__all__ = [
    "MAX_DEVIATIONS",
    "ColumnScaling",
    "RowEncoder",
    "SparseRows",
    "device_rows",
    "fit_column_scaling",
    "missing_rows",
]

MAX_DEVIATIONS = 1e6
"""Cells farther than this many standard deviations from the training mean count as
being that far away, so that no input can overflow single precision."""


ROUNDING = 8
"""A column whose range is no more than so many rounding errors of its largest value is
constant."""

SINGLE = (1e-30, 1e30)
"""Scales, and magnitudes of means, with which single precision computes safely."""


FAR = 1e3
"""Means, in standard deviations, from which they are subtracted before all else: a
product would round away digits that rows in single precision have."""


@dataclass(frozen=True)
class ColumnScaling:
    """An invertible map from user's units to network's units, column by column.

    Attributes
    ----------
    mean : ndarray of float64 of shape (n_features,)
        What is subtracted; for a constant column its value.
    scale : ndarray of float64 of shape (n_features,)
        What is divided by.
    kept : ndarray of bool of shape (n_features,)
        The columns that the network sees. The others were constant: they carry no
        information, are left out of the likelihood, and come back as they were.
    dtype : dtype
        float32 or float64, the dtype in which values go back to the user.
    gaps : ndarray of bool of shape (n_features,)
        Columns with cells missing (NaN), which stay missing on the way.
    varies : ndarray of bool of shape (n_features,)
        Columns that were not constant.
    limit : float
        Cells farther from zero than that count as that far, in the network's units.
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
        """Number of columns that the network sees."""
        return int(self.kept.sum())

    @property
    def log_det(self) -> float:
        """Log-determinant of `encode`: log p(user's) = log p(network's) + log_det."""
        return -float(np.log(self.scale[self.kept]).sum())

    def row_log_det(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """`log_det` for each row, over the cells that are there."""
        logs = np.where(self.kept, np.log(self.scale), 0.0)
        total = np.full(X.shape[0], self.log_det)
        if not logs.any() or (is_sparse(X) and not np.isnan(X.data).any()):
            return total
        for rows, part in iter_row_chunks(X):
            missing = np.isnan(part)
            if missing.any():
                total[rows] += missing @ logs
        return total

    @property
    def fits_single(self) -> bool:
        """Whether rows in single precision can be encoded in single precision."""
        low, high = SINGLE
        scale, mean = self.scale[self.kept], self.mean[self.kept]
        return bool((scale > low).all() and (scale < high).all()) and bool(
            (np.abs(mean) < high).all()
        )

    def encode(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """User's units to network's units.

        Parameters
        ----------
        X : ndarray of float32 or float64 of shape (n_rows, n_features)
            Finite numbers, or NaN.

        Returns
        -------
        A : ndarray of float32 of shape (n_rows, n_kept)
            A copy, with every cell within ``MAX_DEVIATIONS`` of zero.
        """
        encoder = RowEncoder(self)
        A = np.empty((X.shape[0], self.n_kept), dtype=np.float32)
        for rows, part in iter_row_chunks(X):
            A[rows] = encoder(tensor_sharing_memory(part)).numpy()
        return A

    def decode(self, A: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Network's units back to user's units, constant columns included.

        Parameters
        ----------
        A : ndarray of float32 of shape (n_rows, n_kept)
            Values in the network's units.

        Returns
        -------
        X : ndarray of shape (n_rows, n_features)
            Values in the user's units, of the dtype that was fitted on.
        """
        X = np.empty((len(A), len(self.kept)))
        X[:] = self.mean
        with np.errstate(over="ignore"):
            X[:, self.kept] += A * self.scale[self.kept]
        largest = np.finfo(self.dtype).max
        return np.clip(X, -largest, largest).astype(self.dtype, copy=False)


class RowEncoder:
    """`Columns.encode` for tensors on a device.

    Rows in double precision are encoded in double precision, rows in single precision
    in single precision: to within 1e-4 standard deviations, whatever the mean.

    Parameters
    ----------
    columns : Columns
        The map.
    device : torch.device or str
        Where the rows are.
    """

    def __init__(
        self, columns: ColumnScaling, device: torch.device | str = "cpu"
    ) -> None:
        mean, scale = columns.mean[columns.kept], columns.scale[columns.kept]
        self.plain = not mean.any() and bool((scale == 1).all())
        self.fits_single = columns.fits_single
        self.limit = columns.limit
        self.index = None
        if not columns.kept.all():
            self.index = torch.from_numpy(np.flatnonzero(columns.kept)).to(device)
        self.exact = torch.from_numpy(np.stack([mean, scale]))
        if self.fits_single:
            center = mean.astype(np.float32)
            self.near = bool((np.abs(mean) < FAR * scale).all())
            rest = -mean if self.near else center - mean
            single = np.stack([center, 1 / scale, rest / scale]).astype(np.float32)
            self.center, self.rate, self.shift = torch.from_numpy(single).to(device)

    def __call__(self, rows: Tensor) -> Tensor:
        """Map rows (n_rows, n_features) to float32 (n_rows, n_kept)."""
        if self.index is not None:
            rows = rows.index_select(1, self.index)
        if self.plain:
            return rows.clamp(-self.limit, self.limit).float()
        if rows.dtype == torch.float32 and self.fits_single:
            if not self.near:
                rows = rows - self.center
            deviations = torch.addcmul(self.shift, rows, self.rate)
        else:
            mean, scale = self.exact
            deviations = (rows - mean).div_(scale)
        encoded: Tensor = deviations.clamp_(-self.limit, self.limit).float()
        return encoded


def device_rows(
    X: Any, columns: ColumnScaling, device: torch.device
) -> tuple[Tensor | SparseRows, RowEncoder | None]:
    """Put rows on a device: as they are, to be encoded by batches, or encoded.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Rows of float32 or float64. In single precision and C order they are not copied
        on the CPU, and must not change.
    columns : Columns
        The map.
    device : torch.device
        Where they go.

    Returns
    -------
    rows : Tensor of float32 of shape (n_rows, n_features) or (n_rows, n_kept)
        On the device; `SparseRows` of a sparse array.
    encoder : RowEncoder or None
        What is still to be done to a batch of them.
    """
    if is_sparse(X):
        return SparseRows(X, device), RowEncoder(columns, device)
    if X.dtype == np.float32 and X.flags.c_contiguous and columns.fits_single:
        return tensor_sharing_memory(X).to(device), RowEncoder(columns, device)
    return torch.from_numpy(columns.encode(X)).to(device), None


def missing_rows(X: Any) -> npt.NDArray[np.int64]:
    """Return numbers of the rows with a cell missing."""
    some = np.zeros(X.shape[0], dtype=bool)
    for rows, part in iter_row_chunks(X):
        some[rows] = np.isnan(part).any(axis=1)
    return np.flatnonzero(some)


def fit_column_scaling(
    X: npt.NDArray[Any],
    *,
    standardize: bool | npt.NDArray[np.bool_],
    sample_weight: npt.NDArray[Any] | None = None,
    keep_constant: bool = False,
    where: npt.NDArray[np.bool_] | None = None,
    names: Sequence[Any] | None = None,
    limit: float = MAX_DEVIATIONS,
) -> ColumnScaling:
    """Choose location and scale of every column.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Finite numbers, float32 or float64, or NaN.
    standardize : bool or ndarray of bool of shape (n_features,)
        Subtract the mean and divide by the standard deviation, or leave as is.
    sample_weight : ndarray of shape (n_rows,), default=None
        Weights for mean and deviation.
    keep_constant : bool
        Show constant columns to the network too. True where later rows may vary
        (`partial_fit`).
    where : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.
    names : sequence, default=None
        What columns are called, for messages; their positions by default.
    limit : float
        As in `ColumnScaling`.

    Returns
    -------
    columns : Columns

    Raises
    ------
    ValueError
        If all columns are constant, or one has no cell that is there.
    """
    low = np.full(X.shape[1], np.inf)
    high = -low
    gaps = np.zeros(X.shape[1], dtype=bool)
    for _, part in iter_row_chunks(X, where):
        np.fmin(low, np.fmin.reduce(part, axis=0), out=low)
        np.fmax(high, np.fmax.reduce(part, axis=0), out=high)
        gaps |= np.isnan(part).any(axis=0)
    _check_observed(low, names)
    # Relative to the largest magnitude, squares neither overflow nor vanish. (Not
    # StandardScaler: in one pass over weighted rows its variances can be negative, and
    # it takes columns with a large offset for constant.)
    magnitude = np.maximum(np.abs(low), np.abs(high))
    magnitude[magnitude == 0] = 1.0
    varies = high / magnitude - low / magnitude > ROUNDING * np.finfo(X.dtype).eps
    if not varies.any():
        n_rows = X.shape[0] if where is None else int(where.sum())
        raise ValueError(
            f"Every column of X is constant in all {n_rows} rows (to within rounding), "
            "so there is nothing to learn from. Give at least one column that varies."
        )
    kept = np.ones_like(varies) if keep_constant else varies
    mean, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
    chosen = np.broadcast_to(standardize, X.shape[1])
    if chosen.any():
        center = _mean(X, lambda part: part / magnitude, sample_weight, where)
        variance = _mean(
            X, lambda part: (part / magnitude - center) ** 2, sample_weight, where
        )
        mean = np.where(chosen, center * magnitude, 0.0)
        deviation = np.where(varies, np.sqrt(variance), 1.0) * magnitude
        scale = np.where(chosen, deviation, 1.0)
    mean = np.where(kept, mean, low)
    return ColumnScaling(
        mean=mean,
        scale=scale,
        kept=kept,
        dtype=X.dtype,
        gaps=gaps,
        varies=varies,
        limit=limit,
    )


def _check_observed(low: npt.NDArray[np.float64], names: Sequence[Any] | None) -> None:
    """Refuse columns without a single cell."""
    never = np.flatnonzero(np.isinf(low))
    if len(never):
        which = never.tolist() if names is None else [names[j] for j in never.tolist()]
        raise ValueError(
            f"Every cell of the columns {which} is missing, so nothing can be learnt "
            "of them. Leave these columns out."
        )


def _mean(
    X: npt.NDArray[Any],
    of: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]],
    weight: npt.NDArray[Any] | None,
    where: npt.NDArray[np.bool_] | None,
) -> npt.NDArray[np.float64]:
    """Weighted mean over rows of a function of them, column by column; not of NaN."""
    total, mass = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for rows, part in iter_row_chunks(X, where):
        w = np.ones(len(part)) if weight is None else weight[rows]
        values = of(part)
        missing = np.isnan(values)
        if missing.any():
            total += w @ np.where(missing, 0.0, values)
            mass += w @ ~missing
        else:
            total += w @ values
            mass += w.sum()
    return total / np.where(mass > 0, mass, 1.0)
