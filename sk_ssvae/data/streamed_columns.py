"""Likelihoods, scaling, layout and support of columns that were read in one pass."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sk_ssvae.data.column_types import (
    assembled_types,
    check_support,
    likelihood_in_unit_interval,
)
from sk_ssvae.data.containers import as_container
from sk_ssvae.data.layout import (
    COUNTS,
    MAX_COUNT,
    UNIT_INTERVAL,
    Layout,
    column_layout,
)
from sk_ssvae.data.missing import is_missing, masked_to_nan
from sk_ssvae.data.row_sources import RowSource
from sk_ssvae.data.scaling import MAX_DEVIATIONS, ColumnScaling, column_scaling
from sk_ssvae.data.schema import ColumnValues, column_values
from sk_ssvae.data.source_cells import SourceCells, read_rows
from sk_ssvae.data.statistics import ColumnStatistics, collect_statistics
from sk_ssvae.data.support import Support, support_of
from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = ["MAX_VALUES", "StreamedColumns", "fit_streamed_columns", "values_of_columns"]

MAX_VALUES = 100_000
"""Largest number of different values of a column that is not numeric: they are held in
memory."""


class StreamedColumns(NamedTuple):
    """What follows from the cells of all columns.

    Attributes
    ----------
    column_types : ndarray of object of shape (n_features,)
        Likelihoods.
    scaling : ColumnScaling
        Location and scale of the columns.
    layout : Layout
        Column groups.
    support : Support
        Values that decoded cells are restricted to.
    """

    column_types: Array
    scaling: ColumnScaling
    layout: Layout
    support: Support


def fit_streamed_columns(
    X: SourceCells,
    assigned: Array,
    sizes: IntArray,
    used: Mask | None = None,
    sample_weight: Array | None = None,
    *,
    keep_constant: bool = False,
    names: Sequence[Any] | None = None,
) -> StreamedColumns:
    """Choose likelihood and scaling of every column, in one pass over the rows.

    Parameters
    ----------
    X : SourceCells of shape (n_rows, n_features)
        Cells.
    assigned : ndarray of object of shape (n_features,)
        Likelihoods, "" where they are to be chosen.
    sizes : ndarray of int64 of shape (n_features,)
        Numbers of categories.
    used, sample_weight, keep_constant
        As for `sk_ssvae.data.preprocessor.Preprocessor.fit`.
    names : sequence, default=None
        Names of the columns, for error messages.

    Returns
    -------
    columns : StreamedColumns

    Raises
    ------
    ValueError
        As for `sk_ssvae.data.preprocessor.Preprocessor.fit`.
    """
    summed = ~np.isin(assigned.astype(str), ("", "gaussian"))
    statistics = collect_statistics(X, sizes, summed, used, sample_weight)
    column_types = _types(statistics, assigned, sizes > 0)
    _check_support(statistics, X, column_types, used)
    has_counts = np.isin(column_types.astype(str), COUNTS).any()
    is_gaussian = column_types == "gaussian"
    scaling = column_scaling(
        (statistics.low, statistics.high),
        statistics.gaps,
        statistics.moments,
        n_rows=statistics.n_rows,
        dtype=statistics.dtype,
        standardize=is_gaussian,
        keep_constant=keep_constant,
        names=names,
        limit=MAX_COUNT if has_counts else MAX_DEVIATIONS,
    )
    layout = _layout(statistics, column_types, scaling)
    support = _support(statistics, is_gaussian & (assigned == ""))
    return StreamedColumns(column_types, scaling, layout, support)


def _types(statistics: ColumnStatistics, assigned: Array, categorical: Mask) -> Array:
    """Choose the likelihoods of columns, as `choose_column_types` does."""
    n_ends = statistics.n_zeros + statistics.n_ones

    def one_likelihood() -> str:
        if statistics.low.min() < 0 or statistics.high.max() > 1:
            return "gaussian"
        return likelihood_in_unit_interval(n_ends.sum(), statistics.n_observed.sum())

    def binary_columns(at_least: int) -> Mask:
        binary: Mask = (
            (n_ends == statistics.n_observed)
            & (statistics.n_zeros >= at_least)
            & (statistics.n_ones >= at_least)
        )
        return binary

    return assembled_types(
        assigned, categorical, lambda: False, one_likelihood, binary_columns
    )


def _check_support(
    statistics: ColumnStatistics, X: Any, column_types: Array, used: Mask | None
) -> None:
    """Refuse values that likelihoods do not allow, as `check_support` does.

    The rows are read again only to name the first of these values.
    """
    low, high = statistics.low, statistics.high
    is_unit = np.isin(column_types.astype(str), UNIT_INTERVAL)
    is_count = np.isin(column_types.astype(str), COUNTS)
    wrong = is_unit & ((low < 0) | (high > 1) & np.isfinite(high))
    wrong |= is_count & ((low < 0) | (high > MAX_COUNT) | ~statistics.whole)
    if wrong.any():
        check_support(X, column_types, rows=used)


def _layout(
    statistics: ColumnStatistics, column_types: Array, scaling: ColumnScaling
) -> Layout:
    """Group columns by likelihood, as `fit_layout` does."""
    kept = scaling.kept

    def moments() -> tuple[Array, Array, Array, Array]:
        n = statistics.mass[kept]
        # Sums of the other columns stop where a cell is outside of [0, 1].
        used = column_types[kept] != "gaussian"
        sums = np.where(used, statistics.sums[:, kept], 0.0)
        mean, squares, log_mean, log_squares = sums / n
        return mean, squares - mean**2, log_mean, log_squares

    return column_layout(
        column_types,
        statistics.sizes,
        scaling,
        moments,
        lambda j: statistics.masses[j],
    )


def _support(statistics: ColumnStatistics, columns: Mask) -> Support:
    """Find the support of columns, as `fit_support` does."""
    return support_of(
        (statistics.low[columns], statistics.n_low[columns]),
        (statistics.high[columns], statistics.n_high[columns]),
        statistics.n_observed[columns],
        statistics.whole[columns],
        columns,
    )


def values_of_columns(
    source: RowSource, columns: Sequence[int], used: Mask | None = None
) -> tuple[dict[int, ColumnValues], dict[int, Any]]:
    """Collect the values of columns that are not numeric, in one pass over them.

    Parameters
    ----------
    source : RowSource
        Rows.
    columns : sequence of int
        Positions of the columns.
    used : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Returns
    -------
    values : dict of int to ColumnValues
    dtypes : dict of int to object
        Types of the columns of a table, with the categories of all blocks.

    Raises
    ------
    ValueError
        If a column has more than `MAX_VALUES` different values.
    """
    found: dict[int, dict[Hashable, list[Any]]] = {j: {} for j in columns}
    dtypes: dict[int, Any] = {}
    for start, stop in zip(source.limits[:-1], source.limits[1:], strict=True):
        rows = read_rows(source, int(start), int(stop), list(columns))
        part = as_container(masked_to_nan(rows))
        in_table = source.dtype is None
        of_used = (
            used[start:stop] if used is not None and len(used) == len(source) else None
        )
        for k, j in enumerate(columns):
            if in_table:
                dtypes[j] = _joined_type(dtypes.get(j), part.dtypes[k])
            _add_values(found[j], column_values(part, k if in_table else j, of_used))
            if len(found[j]) > MAX_VALUES:
                raise ValueError(
                    f"Column {source.names[j]!r} has more than {MAX_VALUES} different "
                    "values, so that it can hardly hold categories. Leave it out, or "
                    "convert it to numbers."
                )
    return {j: _as_column_values(entries) for j, entries in found.items()}, dtypes


def _add_values(entries: dict[Hashable, list[Any]], column: ColumnValues) -> None:
    """Add the values of further rows, by type and value, for 1 and True are equal."""
    missing = is_missing(column.values)
    for i in np.flatnonzero(~missing & (column.counts > 0)):
        value = column.values[i]
        hashable = isinstance(value, Hashable)
        key = (type(value), value) if hashable else (type(value), id(value))
        entry = entries.setdefault(key, [value, 0, False])
        entry[1] += int(column.counts[i])
        entry[2] |= bool(column.counted[i])


def _as_column_values(entries: dict[Hashable, list[Any]]) -> ColumnValues:
    values = np.empty(len(entries), dtype=object)
    values[:] = [value for value, _, _ in entries.values()]
    return ColumnValues(
        values,
        np.array([count for _, count, _ in entries.values()], dtype=np.int64),
        np.array([counted for _, _, counted in entries.values()], dtype=bool),
    )


def _joined_type(so_far: Any, dtype: Any) -> Any:
    """Return a column type that declares the categories of both."""
    if so_far is None or so_far is dtype:
        return dtype
    if isinstance(dtype, tuple) and isinstance(so_far, tuple):  # dictionaries of Arrow
        return so_far[0], list(dict.fromkeys([*so_far[1], *dtype[1]]))
    categories = getattr(dtype, "categories", None)
    if categories is None or dtype == so_far:
        return so_far
    joined = list(dict.fromkeys([*so_far.categories, *categories]))
    return type(dtype)(joined, dtype.ordered)
