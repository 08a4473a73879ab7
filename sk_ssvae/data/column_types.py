"""The type of each column: which likelihood it has, and the values it allows."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils._indexing import _get_column_indices

from sk_ssvae.data.layout import (
    COUNTS,
    LIKELIHOOD_NAMES,
    MAX_COUNT,
    ColumnGroup,
    Layout,
)
from sk_ssvae.data.scaling import ColumnScaling
from sk_ssvae.utils.chunks import is_sparse, iter_row_chunks
from sk_ssvae.utils.typing import Array, Mask

__all__ = [
    "check_likelihood",
    "check_support",
    "choose_kinds",
    "choose_likelihood",
    "likelihood_pairs",
    "make_layout",
    "named_columns",
]


def choose_likelihood(
    X: npt.NDArray[Any], where: npt.NDArray[np.bool_] | None = None
) -> str:
    """Choose "bernoulli" or "gaussian" from the data, as ``likelihood="auto"`` does.

    Bernoulli is chosen only if every value lies in [0, 1] and at least a third of all
    cells are exactly 0 or 1: all of them in binary data, the background and the
    saturated pixels in images scaled to [0, 1]. Measurements that merely were scaled
    to [0, 1] touch the ends once a column or so, and get the Gaussian.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Finite numbers, or NaN where they are missing.
    where : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Returns
    -------
    name : {"bernoulli", "gaussian"}

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.data.column_types import choose_likelihood
    >>> choose_likelihood(np.array([[0.0, 1.0], [0.3, 0.0]]))
    'bernoulli'
    >>> choose_likelihood(np.array([[0.1, 0.9], [0.3, 1.0]]))
    'gaussian'
    """
    n_cells = n_at_ends = 0
    for _, part in iter_row_chunks(X, where):
        if np.fmin.reduce(part, axis=None) < 0 or np.fmax.reduce(part, axis=None) > 1:
            return "gaussian"
        n_cells += part.size - int(np.isnan(part).sum())
        n_at_ends += int(((part == 0) | (part == 1)).sum())
    return "bernoulli" if n_at_ends >= n_cells / 3 else "gaussian"


def check_support(
    X: Any,
    kinds: npt.NDArray[Any],
    rows: npt.NDArray[np.bool_] | None = None,
    columns: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Refuse values that have no probability.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Finite numbers, or NaN.
    kinds : ndarray of object of shape (n_features,)
        Names of likelihoods: of "bernoulli" values in [0, 1], of "poisson" and
        "negative_binomial" whole numbers from 0 on.
    rows : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.
    columns : ndarray of bool of shape (n_features,), default=None
        The columns that count; all by default.

    Raises
    ------
    ValueError
        If there is another value; names the column and the value.
    """
    counts = columns if columns is not None else np.ones(len(kinds), dtype=bool)
    unit = counts & (kinds == "bernoulli")
    whole = counts & np.isin(kinds.astype(str), COUNTS)
    if not unit.any() and not whole.any():
        return
    for where, part in iter_row_chunks(X, rows):
        bad = unit & ((part < 0) | (part > 1))
        if whole.any():
            strange = (part < 0) | (part > MAX_COUNT) | (part != np.floor(part))
            bad |= whole & strange & ~np.isnan(part)
        if bad.any():
            at, column = np.argwhere(bad)[0]
            row = np.arange(X.shape[0])[where][at]
            remedy = (
                "Rescale X (e.g. MinMaxScaler(clip=True)) or use likelihood='gaussian'."
                if unit[column]
                else "Use likelihood='gaussian' for what is not counted."
            )
            needs = (
                "values in [0, 1]" if unit[column] else "whole numbers from 0 to 1e9"
            )
            raise ValueError(
                f"likelihood={kinds[column]!r} needs {needs}, but X has "
                f"{part[at, column]:.6g} in row {row}, column {column}. {remedy}"
            )


LEAST = 1e-6
"""Shares and means are no smaller, where their logarithms are taken."""


def check_likelihood(likelihood: Any) -> None:
    """Refuse what is neither a name nor pairs of names and columns.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If a name is not known.
    """
    names = ["auto", *LIKELIHOOD_NAMES]
    if isinstance(likelihood, str):
        given = [likelihood]
    elif isinstance(likelihood, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in likelihood
    ):
        given = [name for name, _ in likelihood]
        names.remove("auto")
    else:
        raise TypeError(
            f"likelihood must be one of {names} or a list of pairs (name, columns), "
            f"got {likelihood!r}."
        )
    for name in given:
        if not isinstance(name, str) or name not in names:
            raise ValueError(f"likelihood must be one of {names}, got {name!r}.")


def named_columns(likelihood: Any, X: Any, n_features: int) -> Array:
    """Names of the kinds that a user gives to columns, "" where none.

    Parameters
    ----------
    likelihood : str or list of (name, columns)
        As checked by `check_likelihood`.
    X : array-like or frame
        Rows, for names and for callables.
    n_features : int
        Number of columns.

    Returns
    -------
    kinds : ndarray of object of shape (n_features,)

    Raises
    ------
    ValueError
        If a column has two, or columns are named that are not there.
    """
    kinds = np.full(n_features, "", dtype=object)
    if isinstance(likelihood, str):
        if likelihood != "auto":
            kinds[:] = likelihood
        return kinds
    for name, columns in likelihood:
        chosen = columns(X) if callable(columns) else columns
        length = _length_of_mask(chosen)
        if length not in (None, n_features):
            raise ValueError(
                f"likelihood gives {name!r} a mask of {length} columns, but X has "
                f"{n_features}."
            )
        try:
            places = np.asarray(_get_column_indices(X, chosen), dtype=int)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"likelihood gives {name!r} to columns {chosen!r}, which X has not: "
                f"{error}"
            ) from error
        taken = places[kinds[places] != ""]
        if len(taken):
            raise ValueError(
                f"likelihood gives column {taken[0]} both to {kinds[taken[0]]!r} and "
                f"to {name!r}."
            )
        kinds[places] = name
    return kinds


def _length_of_mask(columns: Any) -> int | None:
    """Say how many columns a mask is of; None if it is not a mask."""
    if isinstance(columns, str | slice) or not hasattr(columns, "__len__"):
        return None
    is_mask = len(columns) > 0 and all(isinstance(v, bool | np.bool_) for v in columns)
    return len(columns) if is_mask else None


def choose_kinds(
    X: Any, given: Array, categorical: Mask, used: Mask | None = None
) -> Array:
    """Choose the kind of every column that has none.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Cells.
    given : ndarray of object of shape (n_features,)
        Kinds, "" where they are to be chosen.
    categorical : ndarray of bool of shape (n_features,)
        Columns whose cells are codes.
    used : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Returns
    -------
    kinds : ndarray of object of shape (n_features,)
        "categorical" for codes. Beside categories, "bernoulli" for columns of zeros and
        ones and "gaussian" for all others. Without any, one kind for all: of a sparse
        array of counts "negative_binomial", else what `choose_likelihood` says.
    """
    kinds = given.copy()
    kinds[categorical] = "categorical"
    chosen = kinds == ""
    if not chosen.any():
        return kinds
    if chosen.all():
        kinds[:] = _of_all(X, used)
        return kinds
    # Both must occur: a constant column says nothing of rows to come.
    binary, zero, one = np.ones(X.shape[1], dtype=bool), False, False
    for _, part in iter_row_chunks(X, used):
        binary &= ((part == 0) | (part == 1) | np.isnan(part)).all(axis=0)
        zero, one = zero | (part == 0).any(axis=0), one | (part == 1).any(axis=0)
    binary &= zero & one
    kinds[chosen & binary] = "bernoulli"
    kinds[chosen & ~binary] = "gaussian"
    return kinds


def _of_all(X: Any, used: Mask | None) -> str:
    if is_sparse(X) and X.nnz:
        values = X.data if used is None else X[used].data
        values = values[~np.isnan(values)]
        whole = (values >= 0).all() and (values == np.floor(values)).all()
        if whole and values.max(initial=0) > 1:
            return "negative_binomial"
    return choose_likelihood(X, used)


def likelihood_pairs(kinds: Array, names: list[Any]) -> str | list[tuple[str, Any]]:
    """Kinds as a parameter would say them: a name, or pairs."""
    distinct = list(dict.fromkeys(kinds.tolist()))
    if len(distinct) == 1:
        return str(distinct[0])
    return [
        (kind, [name for name, k in zip(names, kinds, strict=True) if k == kind])
        for kind in distinct
    ]


def make_layout(
    X: Any,
    kinds: Array,
    sizes: npt.NDArray[np.int64],
    columns: ColumnScaling,
    used: Mask | None = None,
    weight: Array | None = None,
) -> Layout:
    """Tell the networks of the columns that they see.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Cells.
    kinds : ndarray of object of shape (n_features,)
        Their kinds.
    sizes : ndarray of int64 of shape (n_features,)
        Numbers of categories.
    columns : Columns
        Which of them are kept, how they are scaled, and which have gaps.
    used : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.
    weight : ndarray of shape (n_rows,), default=None
        How much they count in means and shares.

    Returns
    -------
    layout : Layout
    """
    kept = np.flatnonzero(columns.kept)
    gaps = np.flatnonzero(columns.gaps[kept])
    present = list(dict.fromkeys(kinds[kept].tolist()))
    if present == ["gaussian"]:
        group = ColumnGroup("gaussian", np.arange(len(kept)))
        return Layout((group,), np.zeros(len(kept)), gaps)
    weights = np.ones(X.shape[0]) if weight is None else weight
    # Of measurements, which are standardised, zeros: they may be too large for sums.
    counted = kinds[kept] != "gaussian"
    fill, log_means, squares = _moments(X, kept, counted, weights, used)
    # Where most counts are zero they stay zero.
    variance = squares - log_means**2
    shift = np.where(log_means**2 > variance, log_means, 0.0)
    spread = np.where(shift > 0, variance, squares)
    # How much a constant column will vary in later rows is not known.
    spread = np.where(columns.varies[kept], np.maximum(spread, LEAST), 1.0)
    scale = 1 / np.sqrt(spread)
    groups = []
    for kind in present:
        places = np.flatnonzero(kinds[kept] == kind)
        if kind == "categorical":
            own = kept[places]
            offset = np.concatenate(
                [_log_shares(X[:, j], sizes[j], weights, used) for j in own]
            )
            groups.append(ColumnGroup(kind, places, tuple(sizes[own].tolist()), offset))
        elif kind in COUNTS:
            offset = np.log(np.maximum(fill[places], LEAST))
            groups.append(ColumnGroup(kind, places, (), offset))
        else:
            groups.append(ColumnGroup(kind, places))
    return Layout(tuple(groups), fill, gaps, shift, scale)


def _moments(
    X: Any, kept: Array, counted: Mask, weight: Array, used: Mask | None
) -> tuple[Array, Array, Array]:
    """Means of columns, means and mean squares of log(1 + x), of what was observed.

    Zeros for those of the columns `kept` that are not `counted`.
    """
    total, log_total, squares, n = np.zeros((4, len(kept)))
    for rows, part in iter_row_chunks(X, used):
        there = ~np.isnan(part[:, kept])
        cells = np.where(there & counted, part[:, kept], 0.0)
        n += weight[rows] @ there
        total += weight[rows] @ cells
        logs = np.log1p(np.maximum(cells, 0))
        log_total += weight[rows] @ logs
        squares += weight[rows] @ logs**2
    return total / n, log_total / n, squares / n


def _log_shares(codes: Array, size: int, weight: Array, used: Mask | None) -> Array:
    """Logarithms of the shares of a column's categories."""
    there = ~np.isnan(codes) if used is None else used & ~np.isnan(codes)
    mass = np.bincount(codes[there].astype(int), weight[there], minlength=size)
    # A category of hardly any weight is rare, not impossible.
    logs: Array = np.log(np.maximum(mass, 0.5) / mass.sum())
    return logs
