"""What cannot be rows: said in a user's words where numpy and others have theirs."""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from sk_ssvae.frames import is_missing, kind_of

__all__ = ["explained", "quiet_sums"]

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
def explained(X: Any, *, numbers: bool) -> Iterator[None]:
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
        if kind_of(X) == "pandas":
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
