"""Validation of rows and sample weights, with clear error messages."""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import _check_sample_weight

from sk_ssvae.data.dataframes import dataframe_library
from sk_ssvae.data.missing import is_missing

__all__ = ["check_weights", "quiet_sums", "readable_input_errors", "rows_with_weight"]

_REMEDY = (
    "Arrays hold numbers, but for columns that categorical_features names. Name it "
    "there, give a data frame, or convert it (argument must be a string or a number)."
)


def quiet_sums() -> np.errstate:
    """Say nothing of sums that overflow: scikit-learn makes them, to find infinities.

    Returns
    -------
    context : context manager
    """
    return np.errstate(over="ignore", invalid="ignore")


@contextmanager
def readable_input_errors(X: Any, *, numbers: bool) -> Iterator[None]:
    """Read rows within; if that fails and it can be told why, say so.

    Parameters
    ----------
    X : object
        What a user gave for rows.
    numbers : bool
        Whether all cells of an array have to be numbers.

    Raises
    ------
    ValueError
        If there are no columns, or of the same name, rows are of different lengths, a
        text is no number, or numbers are complex.
    TypeError
        If cells are dates, records, arrays or other things that are no numbers.
    """
    _refuse_other_numbers(X)
    _refuse_far_tensors(X)
    if isinstance(X, str | bytes | Mapping | Set | Iterator):
        raise TypeError(
            f"X must be an array, a sparse array or a data frame, got a "
            f"{type(X).__name__}."
        )
    try:
        with quiet_sums():
            yield
    except Exception:
        # Looked for only now: to look at all cells takes longer than to read them.
        if dataframe_library(X) == "pandas":
            _refuse_no_columns(X)
            _refuse_equal_names(X)
        elif isinstance(X, list | tuple | np.ndarray):
            _refuse_ragged(X)
            _refuse_records(X)
            if numbers:
                _refuse_strange_cells(X)
        raise


def _refuse_other_numbers(X: Any) -> None:
    """Refuse complex numbers, and what numpy would read as so many nanoseconds."""
    dtype = getattr(X, "dtype", None)
    if getattr(dtype, "kind", None) == "c":
        raise ValueError(
            f"Complex data not supported: X is an array of {dtype}. Make columns of "
            "real and imaginary parts."
        )
    if getattr(dtype, "kind", None) in ("m", "M"):
        raise TypeError(
            f"X is an array of {dtype}. Convert dates to numbers, for instance to days "
            "since one of them."
        )


def _refuse_far_tensors(X: Any) -> None:
    """Refuse tensors that numpy cannot see: of bfloat16, on a device, in a graph."""
    if isinstance(X, torch.Tensor):
        try:
            X.numpy()
        except (TypeError, RuntimeError):
            raise TypeError(
                f"X is a tensor of {X.dtype} on {X.device.type!r} that numpy cannot "
                "read. Pass X.detach().cpu().float().numpy()."
            ) from None


def _refuse_no_columns(X: Any) -> None:
    if X.shape[1] == 0:
        raise ValueError(
            f"X is a frame of {X.shape[0]} rows without columns. Give it at least one."
        )


def _refuse_equal_names(X: Any) -> None:
    again = X.columns[X.columns.duplicated()]
    if len(again):
        names = list(dict.fromkeys(again.tolist()))
        raise ValueError(
            f"X has several columns of the same name: {names}. Give each column a name "
            "of its own."
        )


def _refuse_ragged(X: Any) -> None:
    """Refuse lists of rows that differ in length."""
    if isinstance(X, np.ndarray):
        return
    lengths = [len(row) if hasattr(row, "__len__") else -1 for row in X]
    for i, n in enumerate(lengths):
        if n != lengths[0] and min(n, lengths[0]) >= 0:
            raise ValueError(
                f"X has rows of different lengths: row 0 has {lengths[0]} values, row "
                f"{i} has {n}."
            )


def _refuse_records(X: Any) -> None:
    names = getattr(getattr(X, "dtype", None), "names", None)
    if names is not None:
        raise TypeError(
            f"X is a structured array with the fields {list(names)}. Make a data frame "
            "of it: pandas.DataFrame(X)."
        )


def _refuse_strange_cells(X: Any) -> None:
    """Refuse the first cell that is no number."""
    if isinstance(X, np.matrix) or (isinstance(X, np.ndarray) and X.ndim != 2):
        return  # which gets the usual message
    for i, row in enumerate(X):
        if not isinstance(row, list | tuple | np.ndarray):
            return  # as above
        for j, value in enumerate(row):
            if isinstance(X, list | tuple) and isinstance(value, list | tuple):
                return  # as above
            if isinstance(value, complex | np.complexfloating):
                raise ValueError(
                    f"Complex data not supported: X has {value!r} in row {i}, column "
                    f"{j}."
                )
            try:
                if not (value is np.ma.masked or is_missing([value])[0]):
                    float(value)
            except TypeError:
                raise TypeError(_strange(value, i, j)) from None
            except ValueError:
                raise ValueError(_strange(value, i, j)) from None


def _strange(value: Any, i: int, j: int) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    return (
        f"X has {value!r} of type {type(value).__name__} in row {i}, column {j}. "
        f"{_REMEDY}"
    )


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
