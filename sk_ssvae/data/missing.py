"""Missing values: NaN, None, pandas.NA, NaT, nulls and masked cells."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = ["MissingCells", "find_missing", "is_missing", "masked_to_nan"]

_MISSING_TYPES = ("NAType", "NaTType")
"""Types of pandas.NA and pandas.NaT; pandas is not imported before the user does."""


def is_missing(values: Sequence[Any] | Array) -> Mask:
    """Return a mask of the missing values of a sequence of any objects.

    Missing are None and every value that is not equal to itself (NaN, NaT) or whose
    comparison has no truth value (pandas.NA).

    Parameters
    ----------
    values : sequence or ndarray of shape (n_values,)
        Objects.

    Returns
    -------
    mask : ndarray of bool of shape (n_values,)
    """

    def missing(value: Any) -> bool:
        if value is None:
            return True
        if isinstance(value, str):
            return False
        try:
            return bool(value != value)
        except TypeError:  # pandas.NA
            return True
        except ValueError:  # an array: the comparison has several truth values
            return False

    return np.fromiter((missing(v) for v in values), bool, len(values))


def find_missing(values: Array) -> Mask:
    """Return a mask of the missing values of a column of any dtype."""
    return np.isnan(values) if values.dtype.kind == "f" else is_missing(values)


class MissingCells:
    """Count the missing cells of rows while these are encoded, chunk by chunk.

    Parameters
    ----------
    encode : callable
        Maps chunks of rows, a tensor, to what the networks take.
    kept : ndarray of bool of shape (n_features,)
        The columns that count.
    """

    def __init__(self, encode: Callable[[Tensor], Tensor], kept: Mask) -> None:
        self._encode = encode
        self._kept = kept
        self._n_rows = 0
        # Of the rows with missing cells only, which may be few of very many.
        self._incomplete: list[IntArray] = []
        self._empty: list[IntArray] = []

    def encode(self, rows: Tensor) -> Tensor:
        """Encode the next rows."""
        missing = np.isnan(rows.numpy())
        if missing.any():
            n_missing = missing[:, self._kept].sum(axis=1)
            empty = n_missing == self._kept.sum()
            self._incomplete.append(self._n_rows + np.flatnonzero(n_missing))
            self._empty.append(self._n_rows + np.flatnonzero(empty))
        self._n_rows += len(rows)
        return self._encode(rows)

    def rows(self) -> tuple[IntArray, IntArray]:
        """Return the rows with missing cells, and those without any observed cell.

        Returns
        -------
        incomplete, empty : ndarray of int64
            Positions among the rows that were encoded. Empty ones are incomplete, too.
        """
        none = np.empty(0, dtype=np.int64)
        return (
            np.concatenate([none, *self._incomplete]),
            np.concatenate([none, *self._empty]),
        )


def masked_to_nan(X: Any) -> Any:
    """Replace masked and missing cells of arrays by NaN.

    Parameters
    ----------
    X : object
        Rows as the user passed them.

    Returns
    -------
    X : object
        Masked arrays, arrays of objects and lists with missing cells as arrays with NaN
        (None in masked arrays of other dtypes than numbers). Tensors become arrays.
        Duplicate entries of sparse arrays are summed, because the parts of a cell are
        neither counts nor missing values. Anything else is returned unchanged.
    """
    if isinstance(X, torch.Tensor):
        return X.numpy()
    if sparse.issparse(X):
        if X.format not in ("csr", "csc") or X.has_canonical_format:
            return X
        X = X.copy()
        X.sum_duplicates()
        return X
    if isinstance(X, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(X)
        if X.dtype.kind in "iufb":
            return np.where(mask, np.nan, X.data)
        objects = X.data.astype(object)
        objects[mask] = None
        return objects
    if not isinstance(X, list | tuple | np.ndarray):
        return X
    array = X
    if not isinstance(X, np.ndarray) and _has_pandas_missing(X):
        array = np.array(X, dtype=object)
    if isinstance(array, np.ndarray) and array.dtype == object and array.ndim == 2:
        missing = is_missing(array.ravel()).reshape(array.shape)
        return np.where(missing, np.nan, array)
    return X


def _has_pandas_missing(rows: Sequence[Any]) -> bool:
    """Return whether rows in a list contain pandas.NA or pandas.NaT."""
    return any(
        type(value).__name__ in _MISSING_TYPES
        for row in rows
        if isinstance(row, list | tuple) or _dtype_kind(row) == "O"
        for value in row
    )


def _dtype_kind(value: Any) -> Any:
    return getattr(getattr(value, "dtype", None), "kind", None)
