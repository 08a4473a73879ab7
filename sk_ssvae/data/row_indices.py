"""Indices of rows, for rows that numpy cannot index."""

from typing import Any

import numpy as np

from sk_ssvae.utils.typing import IntArray

__all__ = ["row_indices"]


def row_indices(rows: Any, n_rows: int) -> IntArray:
    """Return the rows that an index selects, as it does of an array.

    Parameters
    ----------
    rows : slice, int, array-like of int, or of bool of shape (n_rows,)
        The index. Negative integers count from the last row.
    n_rows : int
        Number of rows.

    Returns
    -------
    indices : ndarray of int64
        From 0 to n_rows - 1. Without dimensions if `rows` is an integer.

    Raises
    ------
    IndexError
        If `rows` is something else, or an index is out of range.
    """
    if isinstance(rows, slice):
        return np.arange(*rows.indices(n_rows), dtype=np.int64)
    given = np.asarray(rows)
    if given.dtype == bool:
        if given.shape != (n_rows,):
            raise IndexError(
                f"A mask of rows must have the shape {(n_rows,)}, got {given.shape}."
            )
        return np.flatnonzero(given)
    if given.ndim > 1 or (given.size and given.dtype.kind not in "iu"):
        raise IndexError(
            "Rows are indexed by slices, integers and masks, got "
            f"{type(rows).__name__} of dtype {given.dtype} and shape {given.shape}."
        )
    indices: IntArray = given.astype(np.int64, copy=False)
    if indices.size == 0:
        return indices
    low, high = indices.min(), indices.max()
    if low < -n_rows or high >= n_rows:
        wrong = low if low < -n_rows else high
        raise IndexError(f"Row {wrong} is out of range: X has {n_rows} rows.")
    return np.where(indices < 0, indices + n_rows, indices) if low < 0 else indices
