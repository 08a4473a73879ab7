"""Rows in objects that are neither arrays nor data frames: converted, or refused."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch.utils.data import Dataset

from sk_ssvae.data.loading import load_rows

__all__ = ["as_rows"]

_FRAME_METHODS = ("__dataframe__", "__arrow_c_stream__", "collect")
"""Methods of data frames and their columns, evaluated or not."""

_ARRAY_METHODS = ("__array__", "__array_interface__", "__array_struct__")
"""What numpy looks for in an object to convert it to an array."""


def as_rows(X: Any, *, name: str = "X") -> Any:
    """Convert objects that hold rows to arrays and lists, and refuse all others.

    All methods of the estimators read rows through this function, so that an object is
    either rows in all of them or in none.

    Parameters
    ----------
    X : object
        Rows as the user passed them.
    name : str, default="X"
        Name of the argument, for error messages.

    Returns
    -------
    X : object
        Arrays, sparse arrays, tensors, lists, tuples and data frames as `load_rows`
        returns them. Objects
        that numpy converts (``__array__``, ``__array_interface__``, ``__dlpack__``, the
        buffer protocol), such as skorch's `SliceDataset`, as an array. Other sequences
        as a list.

    Raises
    ------
    TypeError
        If X is anything else: None, a number, a string, a mapping, a set, an iterator,
        a data set of torch, a record.
    ValueError
        If X is a list of strings.
    """
    X = load_rows(X)
    if isinstance(X, np.ndarray | torch.Tensor) or sparse.issparse(X):
        return X
    if isinstance(X, list | tuple):
        _refuse_records(X, name)
        return X
    kind = type(X)
    if any(hasattr(kind, method) for method in _FRAME_METHODS):
        return X
    if isinstance(X, str | bytes | bytearray | Mapping | Set | np.generic):
        raise TypeError(_not_rows(X, name))
    # Some classes set __array_interface__ on their instances.
    if any(hasattr(X, method) for method in _ARRAY_METHODS) or _is_buffer(X):
        return _converted(np.asarray, X, name)
    if hasattr(kind, "__dlpack__"):
        return _converted(np.from_dlpack, X, name)
    if isinstance(X, Dataset):
        raise TypeError(
            f"{name} is a {kind.__name__}, a data set of torch. Pass its rows as a "
            f"tensor, or skorch.helper.SliceDataset({name})."
        )
    if isinstance(X, Sequence):
        rows = list(X)
        _refuse_records(rows, name)
        return rows
    raise TypeError(_not_rows(X, name))


def _not_rows(X: Any, name: str) -> str:
    what = "None" if X is None else f"an object of type {type(X).__name__}"
    return f"{name} must be an array, a sparse array or a data frame, got {what}."


def _refuse_records(rows: Sequence[Any], name: str) -> None:
    """Refuse sequences of strings and of records, and named tuples of columns."""
    if hasattr(type(rows), "_fields"):
        raise TypeError(
            f"{name} is a named tuple, which may hold rows or columns. Pass a data "
            f"frame: pandas.DataFrame({name}._asdict())."
        )
    for i, row in enumerate(rows):
        if isinstance(row, str | bytes):
            raise ValueError(
                f"Expected 2D array, got 1D array instead: {name} must be rows of the "
                f"same length. Reshape your data using {name}.reshape(1, -1) if it is "
                "a single row."
            )
        if isinstance(row, Mapping | Set) or is_dataclass(row):
            raise TypeError(
                f"{name} must hold rows of numbers, but row {i} is a "
                f"{type(row).__name__}. Pass a data frame: pandas.DataFrame({name})."
            )


def _is_buffer(X: Any) -> bool:
    try:
        memoryview(X)
    except TypeError:
        return False
    return True


def _converted(convert: Any, X: Any, name: str) -> Any:
    try:
        rows = convert(X)
    except Exception as error:
        raise TypeError(
            f"{name} is a {type(X).__name__} that numpy cannot convert to an array of "
            f"rows ({type(error).__name__}: {str(error)[:200]})."
        ) from error
    if rows.ndim == 0:  # of the object itself
        raise TypeError(_not_rows(X, name))
    return rows
