"""Weights of rows: finite numbers, one a row, not negative."""

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import _check_sample_weight

from sk_ssvae.frames import is_missing

__all__ = ["check_weights", "rows_with_weight"]


def check_weights(sample_weight: Any, X: Any) -> npt.NDArray[np.float64]:
    """Read weights of rows.

    Parameters
    ----------
    sample_weight : array-like of shape (n_rows,) or float
        As a user gives them.
    X : array-like of shape (n_rows, ...)
        The rows.

    Returns
    -------
    weight : ndarray of float64 of shape (n_rows,)
        Finite, not negative, not all zero.

    Raises
    ------
    ValueError
        If they are masked, missing, infinite, negative, all zero, or not one a row.
    TypeError
        If they are no numbers.
    """
    if isinstance(sample_weight, np.ma.MaskedArray) and np.ma.is_masked(sample_weight):
        raise ValueError(
            "sample_weight is an array with masked values. Rows of weight 0 do not "
            "count: sample_weight.filled(0)."
        )
    _refuse_others(sample_weight)
    weight: npt.NDArray[np.float64] = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if not np.isfinite(weight).all():  # one number for all rows
        raise ValueError(f"sample_weight must be finite, got {sample_weight!r}.")
    return weight


def _refuse_others(sample_weight: Any) -> None:
    """Refuse what holds no numbers; whether there is one a row is seen later."""
    if hasattr(sample_weight, "toarray"):
        return  # which gets the usual message
    try:
        given = np.asarray(sample_weight)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            "sample_weight must be an array of numbers, one a row, got a "
            f"{type(sample_weight).__name__} that numpy cannot read."
        ) from None
    if given.dtype.kind in "iufb":
        return
    if given.dtype.kind != "O" or given.ndim == 0:
        what = f"an array of {given.dtype}" if given.ndim else repr(sample_weight)
        raise TypeError(f"sample_weight must hold numbers, one a row, got {what}.")
    for row, value in enumerate(given):
        if is_missing([value])[0]:
            raise ValueError(
                f"sample_weight has a missing value in row {row}. Rows of weight 0 do "
                "not count."
            )
        if not isinstance(value, Real) and given.ndim == 1:
            raise TypeError(
                f"sample_weight has {value!r} of type {type(value).__name__} in row "
                f"{row}, which is no number."
            )


def rows_with_weight(sample_weight: Any) -> npt.NDArray[np.bool_] | None:
    """Tell which rows have a weight, before weights are checked; None if unknown."""
    try:
        weight = np.asarray([] if sample_weight is None else sample_weight)
    except (TypeError, ValueError, RuntimeError):  # which is refused later
        return None
    if weight.ndim != 1 or weight.dtype.kind not in "iufb" or len(weight) == 0:
        return None
    return np.asarray(weight > 0)
