"""Validation of rows and sample weights, with clear error messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils import assert_all_finite

from sk_ssvae.data.dataframes import dataframe_library
from sk_ssvae.data.missing import is_missing
from sk_ssvae.utils.sklearn_private import check_sample_weight
from sk_ssvae.utils.typing import Mask

__all__ = [
    "check_finite_cells",
    "check_weights",
    "quiet_sums",
    "readable_input_errors",
    "rows_with_weight",
]

_REMEDY = (
    "Arrays must hold numbers, except in columns named in categorical_features. Name "
    "the column there, pass a data frame, or convert the value (argument must be a "
    "string or a number)."
)


def quiet_sums() -> np.errstate:
    """Silence warnings of sums that overflow.

    scikit-learn sums all cells to find infinities.

    Returns
    -------
    context : context manager
    """
    return np.errstate(over="ignore", invalid="ignore")


def check_finite_cells(estimator: Any, cells: Any) -> None:
    """Refuse infinite cells with scikit-learn's error message.

    Parameters
    ----------
    estimator : estimator
        Is named in the message.
    cells : ndarray or sparse array of shape (n_rows, n_features)
        Cells, NaN where missing.

    Raises
    ------
    ValueError
        If a cell is infinite; NaN is allowed.
    """
    with quiet_sums():
        assert_all_finite(
            cells,
            allow_nan=True,
            estimator_name=type(estimator).__name__,
            input_name="X",
        )


@contextmanager
def readable_input_errors(X: Any, *, numbers: bool) -> Iterator[None]:
    """Replace obscure errors in reading rows by errors that name their cause.

    Errors whose cause is not found are raised unchanged.

    Parameters
    ----------
    X : object
        Rows, as returned by `as_rows`.
    numbers : bool
        Whether all cells of an array must be numbers.

    Raises
    ------
    ValueError
        If there are no columns, or several of the same name, rows are of different
        lengths, a string is not a number, or numbers are complex.
    TypeError
        If cells are dates, records, arrays or other objects that are not numbers.
    """
    _refuse_other_dtypes(X)
    _refuse_unreadable_tensors(X)
    try:
        with quiet_sums():
            yield
    except Exception:
        # Only after an error, because examining all cells takes longer than reading.
        if dataframe_library(X) == "pandas":
            _refuse_no_columns(X)
            _refuse_duplicate_names(X)
        elif isinstance(X, list | tuple | np.ndarray):
            _refuse_ragged(X)
            _refuse_records(X)
            if numbers:
                _refuse_other_cells(X)
        raise


def _refuse_other_dtypes(X: Any) -> None:
    """Refuse complex numbers, and dates, which numpy would convert to nanoseconds."""
    dtype = getattr(X, "dtype", None)
    if getattr(dtype, "kind", None) == "c":
        raise ValueError(
            f"Complex data not supported: X is an array of {dtype}. Use separate "
            "columns for the real and imaginary parts."
        )
    if getattr(dtype, "kind", None) in ("m", "M"):
        raise TypeError(
            f"X is an array of {dtype}. Convert dates to numbers, for instance to days "
            "since a reference date."
        )


def _refuse_unreadable_tensors(X: Any) -> None:
    """Refuse tensors that numpy cannot read: bfloat16, on a device, with a graph."""
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
            f"X is a data frame of {X.shape[0]} rows without columns. At least one "
            "column is required."
        )


def _refuse_duplicate_names(X: Any) -> None:
    duplicates = X.columns[X.columns.duplicated()]
    if len(duplicates):
        names = list(dict.fromkeys(duplicates.tolist()))
        raise ValueError(
            f"X has several columns of the same name: {names}. Column names must be "
            "unique."
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
    """Refuse structured arrays."""
    names = getattr(getattr(X, "dtype", None), "names", None)
    if names is not None:
        raise TypeError(
            f"X is a structured array with the fields {list(names)}. Convert it to a "
            "data frame: pandas.DataFrame(X)."
        )


def _refuse_other_cells(X: Any) -> None:
    """Refuse the first cell that is not a number.

    Rows of the wrong shape are left to scikit-learn, which reports them.
    """
    if isinstance(X, np.matrix) or (isinstance(X, np.ndarray) and X.ndim != 2):
        return
    for i, row in enumerate(X):
        if not isinstance(row, list | tuple | np.ndarray):
            return
        for j, value in enumerate(row):
            if isinstance(X, list | tuple) and isinstance(value, list | tuple):
                return
            if isinstance(value, complex | np.complexfloating):
                raise ValueError(
                    f"Complex data not supported: X has {value!r} in row {i}, column "
                    f"{j}."
                )
            try:
                if not (value is np.ma.masked or is_missing([value])[0]):
                    float(value)
            except TypeError:
                raise TypeError(_invalid_cell(value, i, j)) from None
            except ValueError:
                raise ValueError(_invalid_cell(value, i, j)) from None


def _invalid_cell(value: Any, i: int, j: int) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    return (
        f"X has {value!r} of type {type(value).__name__} in row {i}, column {j}. "
        f"{_REMEDY}"
    )


def check_weights(sample_weight: Any, X: Any) -> npt.NDArray[np.float64]:
    """Validate sample weights.

    Parameters
    ----------
    sample_weight : array-like of shape (n_rows,) or float
        Weights as the user passed them.
    X : array-like of shape (n_rows, ...)
        The rows.

    Returns
    -------
    weight : ndarray of float64 of shape (n_rows,)
        Finite, not negative, not all zero.

    Raises
    ------
    ValueError
        If weights are masked, missing, infinite, negative or all zero, or their number
        is not that of the rows.
    TypeError
        If they are not numbers.
    """
    if isinstance(sample_weight, np.ma.MaskedArray) and np.ma.is_masked(sample_weight):
        raise ValueError(
            "sample_weight is an array with masked values. To ignore these rows, set "
            "their weight to 0: sample_weight.filled(0)."
        )
    _check_weight_types(sample_weight)
    weight: npt.NDArray[np.float64] = check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if not np.isfinite(weight).all():  # scikit-learn does not check a single number
        raise ValueError(f"sample_weight must be finite, got {sample_weight!r}.")
    return weight


def _check_weight_types(sample_weight: Any) -> None:
    """Refuse weights that are not numbers; their shape is checked later."""
    if hasattr(sample_weight, "toarray"):
        return  # scikit-learn refuses sparse arrays
    try:
        array = np.asarray(sample_weight)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            "sample_weight must be an array of numbers, one per row, got a "
            f"{type(sample_weight).__name__} that numpy cannot convert."
        ) from None
    if array.dtype.kind in "iufb":
        return
    if array.dtype.kind != "O" or array.ndim == 0:
        what = f"an array of {array.dtype}" if array.ndim else repr(sample_weight)
        raise TypeError(f"sample_weight must hold numbers, one per row, got {what}.")
    for row, value in enumerate(array):
        if is_missing([value])[0]:
            raise ValueError(
                f"sample_weight has a missing value in row {row}. To ignore the row, "
                "set its weight to 0."
            )
        if not isinstance(value, Real) and array.ndim == 1:
            raise TypeError(
                f"sample_weight has {value!r} of type {type(value).__name__} in row "
                f"{row}, which is not a number."
            )


def rows_with_weight(sample_weight: Any) -> Mask | None:
    """Return which rows have a positive weight, before the weights are validated.

    Parameters
    ----------
    sample_weight : object
        Weights as the user passed them.

    Returns
    -------
    used : ndarray of bool of shape (n_rows,) or None
        None if there are no weights, or they are invalid, which `check_weights`
        reports later.
    """
    try:
        weight = np.asarray([] if sample_weight is None else sample_weight)
    except (TypeError, ValueError, RuntimeError):
        return None
    if weight.ndim != 1 or weight.dtype.kind not in "iufb" or len(weight) == 0:
        return None
    return np.asarray(weight > 0)
