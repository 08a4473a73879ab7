"""Categorical columns: which they are, their categories, and the codes of these."""

import math
from collections.abc import Hashable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_ssvae.data.missing import is_missing
from sk_ssvae.utils.typing import Array, Mask
from sk_ssvae.utils.warnings import warn_user

__all__ = [
    "collect_categories",
    "contains_text",
    "decode_categories",
    "encode_categories",
    "find_unknown",
    "refuse_mixed_types",
    "resolve_categorical",
    "warn_of_unknown",
]

CATEGORY_TYPES = (str, bytes, bool, np.bool_, Real)

LARGEST_EXACT_INTEGER = 2**53
"""Every integer up to here is a float64."""


def resolve_categorical(
    categorical_features: Any, n_features: int, names: Sequence[Any] | None
) -> Mask:
    """Return which columns `categorical_features` declares.

    Parameters
    ----------
    categorical_features : None, "from_dtype", or array-like
        A mask, positions or names, as for HistGradientBoostingClassifier.
    n_features : int
        Number of columns.
    names : sequence of str or None
        Names of the columns, if they have any.

    Returns
    -------
    mask : ndarray of bool of shape (n_features,)
        All False for None and "from_dtype".

    Raises
    ------
    ValueError
        If the parameter has another form, or X has no such column.
    """
    mask = np.zeros(n_features, dtype=bool)
    if categorical_features is None or (
        isinstance(categorical_features, str) and categorical_features == "from_dtype"
    ):
        return mask
    declared = np.asarray(categorical_features)
    if declared.ndim != 1 or (declared.size and declared.dtype.kind not in "biuUO"):
        raise ValueError(
            "categorical_features must be 'from_dtype', None, a mask, positions or "
            f"names of columns, got {categorical_features!r}."
        )
    if declared.size == 0:
        return mask
    if declared.dtype.kind == "b":
        if len(declared) != n_features:
            raise ValueError(
                f"categorical_features is a mask of {len(declared)} columns, but X has "
                f"{n_features}."
            )
        return declared
    if declared.dtype.kind in "iu":
        if declared.min() < 0 or declared.max() >= n_features:
            raise ValueError(
                "categorical_features has positions outside 0 ... "
                f"{n_features - 1}: {declared.tolist()}."
            )
        mask[declared] = True
        return mask
    column_names = [] if names is None else list(names)
    unknown = [name for name in declared.tolist() if name not in column_names]
    if unknown:
        raise ValueError(
            f"categorical_features names columns that X does not have: {unknown}."
            + ("" if column_names else " Its columns have no names: pass a data frame.")
        )
    mask[[column_names.index(name) for name in declared.tolist()]] = True
    return mask


def contains_text(values: Array) -> bool:
    """Return whether a column of objects holds anything but numbers.

    If so, it is categorical. Booleans are not numbers here.
    """
    return not all(
        isinstance(v, Real) and not isinstance(v, bool)
        for v in values[~is_missing(values)]
    )


def refuse_mixed_types(values: Array, name: Any) -> None:
    """Refuse a column of objects of several kinds, because 1 and "1" differ.

    Parameters
    ----------
    values : ndarray of object of shape (n_rows,)
        Values of the column.
    name : object
        Name of the column, for the error message.

    Raises
    ------
    TypeError
        If some values are numbers, and others are strings, bytes or booleans.
    """
    present = values[~is_missing(values)]
    kinds = {_category_kind(v) for v in present if isinstance(v, CATEGORY_TYPES)}
    if len(kinds) > 1:
        types = sorted({type(_as_python(v)).__name__ for v in present})
        raise TypeError(
            f"Column {name!r} mixes values of the types {types}. Convert it to one "
            "type, for instance to strings, or to a categorical type."
        )


def collect_categories(values: Array, name: Any) -> list[Any]:
    """Return the sorted categories of a column.

    Parameters
    ----------
    values : ndarray of object of shape (n_rows,)
        Values of the column.
    name : object
        Name of the column, for error messages.

    Returns
    -------
    categories : list
        Distinct values that are not missing, as Python objects; sorted by type and
        text if they cannot be compared.

    Raises
    ------
    ValueError
        If a value is infinite.
    TypeError
        If a value is not a string, number or boolean.
    """
    present = values[~is_missing(values)]
    _check_category_types(present, name)
    distinct = {_as_python(v) for v in present}
    infinite = [v for v in distinct if isinstance(v, float) and math.isinf(v)]
    if infinite:
        raise ValueError(
            f"Column {name!r} contains {infinite[0]}, which cannot be a category. "
            "Convert the column, for instance to strings, or replace the value by NaN "
            "(missing)."
        )
    try:
        return sorted(distinct)
    except TypeError:  # of several types
        return sorted(distinct, key=lambda v: (type(v).__name__, str(v)))


def encode_categories(
    values: Array, categories: list[Any], name: Any
) -> npt.NDArray[np.float64]:
    """Return the codes of values.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        Values of a column.
    categories : list
        The categories of `fit`.
    name : object
        Name of the column, for error messages.

    Returns
    -------
    codes : ndarray of float64 of shape (n_values,)
        Positions in `categories`; NaN for missing values and unknown categories.

    Raises
    ------
    TypeError
        If a value is not hashable, such as a list.
    """
    if not all(isinstance(v, Hashable) for v in values):
        _check_category_types(values[~is_missing(values)], name)
    missing = is_missing(values)
    code_of = {category: float(code) for code, category in enumerate(categories)}
    codes = np.full(len(values), np.nan)
    codes[~missing] = [code_of.get(_as_python(v), np.nan) for v in values[~missing]]
    return codes


def find_unknown(values: Array, codes: Array, declared: Sequence[Any]) -> list[str]:
    """Return the texts of the values that did not occur in `fit`, sorted.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        Values of a column.
    codes : ndarray of shape (n_values,)
        Their codes, as returned by `encode_categories`.
    declared : sequence
        Categories that the column type of `fit` declares: that they are possible is
        known, whether they occurred or not.

    Returns
    -------
    unknown : list of str
    """
    without = values[np.isnan(codes)]
    known = set(declared)
    return sorted({str(v) for v in without[~is_missing(without)] if v not in known})


def warn_of_unknown(unknown: list[str], name: Any) -> None:
    """Report categories that did not occur in `fit`.

    Parameters
    ----------
    unknown : list of str
        The categories.
    name : object
        Name of the column.
    """
    warn_user(
        f"Column {name!r} has categories that did not occur in fit; they are treated "
        f"as missing: {unknown[:5]}{' ...' if len(unknown) > 5 else ''}. Later ones in "
        "this column are not reported."
    )


def decode_categories(codes: Array, categories: list[Any]) -> Array:
    """Return the categories of codes.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Positions in `categories`, or NaN.
    categories : list
        The categories of `fit`.

    Returns
    -------
    values : ndarray of shape (n_rows,)
        Floats, NaN where missing, if all categories are floats or small integers; else
        objects, None where missing.
    """
    if all(_is_exact_float(c) for c in categories):
        table = np.array([*categories, np.nan])
    else:
        table = np.empty(len(categories) + 1, dtype=object)
        table[:-1] = categories
    positions = np.where(np.isnan(codes), len(categories), codes)
    values: Array = table[positions.astype(int)]
    return values


def _check_category_types(values: Array, name: Any) -> None:
    for value in values:
        if not isinstance(value, CATEGORY_TYPES):
            raise TypeError(
                f"Column {name!r} has {value!r} of type {type(value).__name__}. A "
                "category must be a string, a number or a boolean (argument must be a "
                "string or a number). Convert the column, for instance dates to days "
                "since a reference date."
            )


def _category_kind(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "boolean"
    return "number" if isinstance(value, Real) else type(value).__name__


def _as_python(value: Any) -> Any:
    """Return numpy scalars as Python objects, which compare and print alike."""
    return value.item() if isinstance(value, np.generic) else value


def _is_exact_float(value: Any) -> bool:
    """Return whether a number is a float64 without rounding."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return abs(float(value)) < LARGEST_EXACT_INTEGER
