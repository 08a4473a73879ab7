"""Column types: the likelihood of each column, and its support."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sk_ssvae.data.layout import COUNTS, LIKELIHOOD_NAMES, MAX_COUNT, UNIT_INTERVAL
from sk_ssvae.utils.chunks import is_sparse, iter_row_chunks
from sk_ssvae.utils.sklearn_private import get_column_indices
from sk_ssvae.utils.typing import Array, Mask

__all__ = [
    "assembled_types",
    "assign_column_types",
    "check_likelihood",
    "check_support",
    "choose_column_types",
    "choose_likelihood",
    "likelihood_in_unit_interval",
    "likelihood_pairs",
]

MIN_BINARY = 10
"""Number of zeros and of ones from which a column without other values is binary though
other columns are grey."""


def check_likelihood(likelihood: Any) -> None:
    """Validate the parameter `likelihood`.

    Parameters
    ----------
    likelihood : object
        "auto", the name of a likelihood, or a list of pairs (name, columns).

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If there is no likelihood of that name.
    """
    names = ["auto", *LIKELIHOOD_NAMES]
    if isinstance(likelihood, str):
        used = [likelihood]
    elif isinstance(likelihood, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in likelihood
    ):
        used = [name for name, _ in likelihood]
        names.remove("auto")
    else:
        raise TypeError(
            f"likelihood must be one of {names} or a list of pairs (name, columns), "
            f"got {likelihood!r}."
        )
    for name in used:
        if not isinstance(name, str) or name not in names:
            raise ValueError(f"likelihood must be one of {names}, got {name!r}.")


def assign_column_types(likelihood: Any, X: Any, n_features: int) -> Array:
    """Return the column types that the parameter `likelihood` assigns.

    Parameters
    ----------
    likelihood : str or list of (name, columns)
        As checked by `check_likelihood`. Columns are positions, names, a mask, a slice
        or a callable, as for ColumnTransformer.
    X : array-like or data frame
        Rows, to resolve names and callables.
    n_features : int
        Number of columns.

    Returns
    -------
    column_types : ndarray of object of shape (n_features,)
        Names of likelihoods, "" where none is assigned.

    Raises
    ------
    ValueError
        If a column has two likelihoods, or X does not have a column.
    """
    column_types = np.full(n_features, "", dtype=object)
    if isinstance(likelihood, str):
        if likelihood != "auto":
            column_types[:] = likelihood
        return column_types
    for name, columns in likelihood:
        selected = columns(X) if callable(columns) else columns
        length = _mask_length(selected)
        if length not in (None, n_features):
            raise ValueError(
                f"likelihood assigns {name!r} by a mask of {length} columns, but X has "
                f"{n_features}."
            )
        try:
            positions = np.asarray(get_column_indices(X, selected), dtype=int)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"likelihood assigns {name!r} to columns {selected!r}, which X does "
                f"not have: {error}"
            ) from error
        assigned = positions[column_types[positions] != ""]
        if len(assigned):
            raise ValueError(
                f"likelihood assigns column {assigned[0]} to both "
                f"{column_types[assigned[0]]!r} and {name!r}."
            )
        column_types[positions] = name
    return column_types


def _mask_length(columns: Any) -> int | None:
    """Return the length of a mask of columns, None for any other selection."""
    if isinstance(columns, str | slice) or not hasattr(columns, "__len__"):
        return None
    is_mask = len(columns) > 0 and all(isinstance(v, bool | np.bool_) for v in columns)
    return len(columns) if is_mask else None


def choose_column_types(
    X: Any, assigned: Array, categorical: Mask, used: Mask | None = None
) -> Array:
    """Choose the types of the columns that have none assigned.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Cells.
    assigned : ndarray of object of shape (n_features,)
        Column types, "" where they are to be chosen.
    categorical : ndarray of bool of shape (n_features,)
        Columns whose cells are codes of categories.
    used : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Returns
    -------
    column_types : ndarray of object of shape (n_features,)
        "categorical" for codes. If some columns are assigned or categorical, the others
        are "bernoulli" where they hold zeros and ones, else "gaussian". If none is, all
        columns have the same type: "negative_binomial" for a sparse array of counts,
        else the result of `choose_likelihood`; but among grey columns, those of zeros
        and ones are "bernoulli" if both occur `MIN_BINARY` times.
    """
    return assembled_types(
        assigned,
        categorical,
        lambda: is_sparse(X) and _holds_counts(X, used),
        lambda: choose_likelihood(X, used),
        lambda at_least: _binary_columns(X, used, at_least),
    )


def assembled_types(
    assigned: Array,
    categorical: Mask,
    holds_counts: Callable[[], bool],
    one_likelihood: Callable[[], str],
    binary_columns: Callable[[int], Mask],
) -> Array:
    """Choose column types, given what is known of the cells.

    Parameters
    ----------
    assigned, categorical
        As for `choose_column_types`.
    holds_counts : callable
        Returns whether the rows are a sparse array of counts.
    one_likelihood : callable
        Returns the likelihood of all columns together, as `choose_likelihood`.
    binary_columns : callable
        Returns the columns of zeros and ones that have each at least so many times.

    Returns
    -------
    column_types : ndarray of object of shape (n_features,)
    """
    column_types = assigned.copy()
    column_types[categorical] = "categorical"
    open_columns = column_types == ""
    if not open_columns.any():
        return column_types
    if open_columns.all():
        column_types[:] = "negative_binomial" if holds_counts() else one_likelihood()
        if column_types[0] == "censored_logistic":
            # In a few rows of images, a pixel may happen to have no grey values.
            column_types[binary_columns(MIN_BINARY)] = "bernoulli"
        return column_types
    # Both must occur: later rows of a constant column may hold any value.
    binary = binary_columns(1)
    column_types[open_columns & binary] = "bernoulli"
    column_types[open_columns & ~binary] = "gaussian"
    return column_types


def _binary_columns(X: Any, used: Mask | None, at_least: int) -> Mask:
    """Return which columns hold zeros and ones only, both `at_least` so many times."""
    other = np.zeros(X.shape[1], dtype=bool)
    n_zeros, n_ones = np.zeros((2, X.shape[1]))
    for _, part in iter_row_chunks(X, used):
        zero, one = part == 0, part == 1
        other |= ~(zero | one | np.isnan(part)).all(axis=0)
        n_zeros += zero.sum(axis=0)
        n_ones += one.sum(axis=0)
    binary: Mask = ~other & (n_zeros >= at_least) & (n_ones >= at_least)
    return binary


def _holds_counts(X: Any, used: Mask | None) -> bool:
    """Return whether a sparse array holds whole numbers, some greater than one."""
    if not X.nnz:
        return False
    values = X.data if used is None else X[used].data
    values = values[~np.isnan(values)]
    whole = (values >= 0).all() and (values == np.floor(values)).all()
    return bool(whole and values.max(initial=0) > 1)


def choose_likelihood(X: Array, where: Mask | None = None) -> str:
    """Choose one likelihood for all columns, as ``likelihood="auto"`` does.

    The Gaussian is chosen unless every value lies in [0, 1] and at least a third of all
    cells are exactly 0 or 1: all of them in binary data, the background and the
    saturated pixels in images scaled to [0, 1]. Measurements that were scaled to
    [0, 1] reach the ends about once per column. Zeros and ones get the Bernoulli
    distribution, grey values the censored logistic one.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Finite numbers, or NaN where they are missing.
    where : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Returns
    -------
    name : {"bernoulli", "censored_logistic", "gaussian"}

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.data.column_types import choose_likelihood
    >>> choose_likelihood(np.array([[0.0, 1.0], [1.0, 0.0]]))
    'bernoulli'
    >>> choose_likelihood(np.array([[0.0, 1.0], [0.3, 0.0]]))
    'censored_logistic'
    >>> choose_likelihood(np.array([[0.1, 0.9], [0.3, 1.0]]))
    'gaussian'
    """
    n_cells = n_at_ends = 0
    for _, part in iter_row_chunks(X, where):
        if np.fmin.reduce(part, axis=None) < 0 or np.fmax.reduce(part, axis=None) > 1:
            return "gaussian"
        n_cells += part.size - int(np.isnan(part).sum())
        n_at_ends += int(((part == 0) | (part == 1)).sum())
    return likelihood_in_unit_interval(n_at_ends, n_cells)


def likelihood_in_unit_interval(n_at_ends: float, n_cells: float) -> str:
    """Choose one likelihood for columns with all values in [0, 1].

    Parameters
    ----------
    n_at_ends : float
        Number of cells that are 0 or 1.
    n_cells : float
        Number of observed cells.

    Returns
    -------
    name : {"bernoulli", "censored_logistic", "gaussian"}
    """
    if n_at_ends == n_cells:
        return "bernoulli"
    return "censored_logistic" if n_at_ends >= n_cells / 3 else "gaussian"


def likelihood_pairs(
    column_types: Array, names: list[Any]
) -> str | list[tuple[str, Any]]:
    """Return column types in the form of the parameter `likelihood`.

    Parameters
    ----------
    column_types : ndarray of object of shape (n_features,)
        Names of likelihoods.
    names : list
        Names of the columns, or positions.

    Returns
    -------
    likelihood : str or list of (str, list)
        One name if all columns have the same likelihood, else pairs of a likelihood and
        the names of its columns.
    """
    distinct = list(dict.fromkeys(column_types.tolist()))
    if len(distinct) == 1:
        return str(distinct[0])
    return [
        (
            likelihood,
            [n for n, t in zip(names, column_types, strict=True) if t == likelihood],
        )
        for likelihood in distinct
    ]


def check_support(
    X: Any,
    column_types: Array,
    rows: Mask | None = None,
    columns: Mask | None = None,
) -> None:
    """Refuse values outside the support of their column's likelihood.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Finite numbers, or NaN.
    column_types : ndarray of object of shape (n_features,)
        Names of likelihoods. The support of "bernoulli" and "censored_logistic" is
        [0, 1], that of "poisson" and "negative_binomial" the whole numbers from 0 to
        `MAX_COUNT`.
    rows : ndarray of bool of shape (n_rows,), default=None
        The rows to check; all by default.
    columns : ndarray of bool of shape (n_features,), default=None
        The columns to check; all by default.

    Raises
    ------
    ValueError
        If there is another value; names the row, the column and the value.
    """
    checked = columns if columns is not None else np.ones(len(column_types), dtype=bool)
    unit = checked & np.isin(column_types.astype(str), UNIT_INTERVAL)
    counts = checked & np.isin(column_types.astype(str), COUNTS)
    if not unit.any() and not counts.any():
        return
    for where, part in iter_row_chunks(X, rows):
        bad = unit & ((part < 0) | (part > 1))
        if counts.any():
            not_counts = (part < 0) | (part > MAX_COUNT) | (part != np.floor(part))
            bad |= counts & not_counts & ~np.isnan(part)
        if bad.any():
            at, column = np.argwhere(bad)[0]
            row = np.arange(X.shape[0])[where][at]
            remedy = (
                "Rescale X (e.g. MinMaxScaler(clip=True)) or use likelihood='gaussian'."
                if unit[column]
                else "Use likelihood='gaussian' for columns that are not counts."
            )
            support = (
                "values in [0, 1]" if unit[column] else "whole numbers from 0 to 1e9"
            )
            raise ValueError(
                f"likelihood={column_types[column]!r} needs {support}, but X has "
                f"{part[at, column]:.6g} in row {row}, column {column}. {remedy}"
            )
