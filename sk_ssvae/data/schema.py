"""Schema of the rows of `fit`: their container, column types and categories."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sk_ssvae.data.categories import (
    collect_categories,
    contains_text,
    encode_categories,
    find_unknown,
    refuse_mixed_types,
    warn_of_unknown,
)
from sk_ssvae.data.columns import DecodedColumns, read_numbers
from sk_ssvae.data.containers import CONTAINERS, Container, as_container
from sk_ssvae.data.dataframes import declared_levels
from sk_ssvae.data.missing import is_missing, masked_to_nan
from sk_ssvae.data.numeric_text import TextReader
from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = ["ColumnValues", "Schema", "column_values", "infer_schema"]


@dataclass(frozen=True)
class Schema:
    """Container, column names and categories of the rows of `fit`.

    Attributes
    ----------
    kind : {"array", "sparse", "pandas", "polars", "pyarrow"}
        The container.
    names : list
        Names of the columns; positions in an array.
    dtypes : list
        Types of the columns of a data frame; empty for arrays.
    categories : tuple of (list or None)
        Categories of each column, in the order of their codes; None for numbers.
    n_objects : int
        Number of columns that an array of floats cannot hold.
    numbers_in_text : tuple of int
        Positions of the columns of text that are read as numbers, which the user has
        been told.
    """

    kind: str
    names: list[Any]
    dtypes: list[Any]
    categories: tuple[list[Any] | None, ...]
    n_objects: int = 0
    numbers_in_text: tuple[int, ...] = ()

    @property
    def sizes(self) -> Array:
        """Number of categories of each column, 0 for numbers."""
        return np.array([0 if c is None else len(c) for c in self.categories])

    @property
    def is_plain(self) -> bool:
        """Whether all columns hold numbers, so that an array of floats holds them."""
        return self.n_objects == 0 and not any(self.sizes)

    def cells(
        self,
        rows: Container,
        *,
        reported: set[int] | None = None,
        texts: TextReader | None = None,
    ) -> Array:
        """Convert rows to cells.

        Parameters
        ----------
        rows : Container of shape (n_rows, n_features)
            Rows with the columns of `fit`.
        reported : set of int, default=None
            Columns whose unknown categories have been reported. Those of others are
            reported by a warning, and the columns are added. Words that are read as
            missing numbers in columns that had none in `fit` are reported, too. None
            reports nothing.
        texts : TextReader, default=None
            Keeps the words, which the caller reports. By default they are reported
            here.

        Returns
        -------
        cells : ndarray of shape (n_rows, n_features)
            float64, or float32 if the rows hold no wider numbers and no categories; NaN
            for missing values and unknown categories.

        Raises
        ------
        TypeError
            If a value is neither a number nor a category; names the column.
        """
        single = rows.holds_singles and self.is_plain
        shape = (rows.rows.shape[0], len(self.categories))
        cells = np.empty(shape, dtype=np.float32 if single else np.float64)
        columns = rows.number_columns() if self.is_plain else None
        if columns:
            return np.stack(columns, axis=1, out=cells, casting="same_kind")
        words = TextReader() if texts is None else texts
        for j, categories in enumerate(self.categories):
            if categories is None:
                values = rows.values(j)
                cells[:, j] = read_numbers(values, self.names[j])
                if values.dtype.kind == "O" and j not in self.numbers_in_text:
                    words.add_words(values, self.names[j])
                continue
            values, positions = rows.factorize(j)
            codes = encode_categories(values, categories, self.names[j])
            if reported is not None and j not in reported:
                unknown = find_unknown(values, codes, self._declared(j))
                if unknown:
                    reported.add(j)
                    warn_of_unknown(unknown, self.names[j])
            cells[:, j] = np.append(codes, np.nan)[positions]
        if reported is not None and texts is None:
            words.warn()
        return cells

    def _declared(self, j: int) -> list[Any]:
        """Return the categories that the type of a column declares."""
        return declared_levels(self.dtypes[j]) if self.dtypes else []

    def restore(self, cells: Array, *, exact: bool = True) -> Any:
        """Convert cells to rows of the container of `fit`.

        Parameters
        ----------
        cells : ndarray of shape (n_rows, n_features)
            Values in the user's units, and codes of categories; NaN where missing.
        exact : bool, default=True
            Round columns of integers and booleans; otherwise they are floats, as means
            are.

        Returns
        -------
        X : array, sparse array or data frame of shape (n_rows, n_features)
        """
        return CONTAINERS[self.kind].restore(self._decoded(cells), exact=exact)

    def fill(self, X: Any, cells: Array) -> Any:
        """Replace missing values of rows; the other values stay unchanged.

        Parameters
        ----------
        X : data frame, array-like or sparse array of shape (n_rows, n_features)
            Rows with missing values.
        cells : ndarray of shape (n_rows, n_features)
            Values in the user's units, and codes of categories, for missing values.

        Returns
        -------
        X : array, sparse array or data frame
            A copy in the same kind of container.
        """
        return as_container(masked_to_nan(X)).fill(self._decoded(cells))

    def _decoded(self, cells: Array) -> DecodedColumns:
        return DecodedColumns(cells, self.names, self.dtypes, self.categories)


class ColumnValues(NamedTuple):
    """Values of a column that is not numeric.

    Attributes
    ----------
    values : ndarray of object of shape (n_values,)
        Its values, most of them once.
    counts : ndarray of int64 of shape (n_values,)
        Numbers of their cells.
    counted : ndarray of bool of shape (n_values,)
        Whether a row that counts has the value, and it is not missing.
    """

    values: Array
    counts: IntArray
    counted: Mask


def column_values(rows: Container, j: int, used: Mask | None = None) -> ColumnValues:
    """Collect the values of a column.

    Parameters
    ----------
    rows : Container of shape (n_rows, n_features)
        Rows.
    j : int
        Position of the column.
    used : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Returns
    -------
    values : ColumnValues
    """
    values, positions = rows.factorize(j)
    counts = np.bincount(positions[positions >= 0], minlength=len(values))
    # Weights of the wrong length are refused later.
    has_weights = used is not None and len(used) == rows.rows.shape[0]
    of_used = positions[used] if has_weights else positions
    counted = np.zeros(len(values), dtype=bool)
    counted[of_used[of_used >= 0]] = True
    return ColumnValues(values, counts, counted & ~is_missing(values))


def infer_schema(
    rows: Container,
    categorical: Mask,
    *,
    from_dtype: bool,
    used: Mask | None = None,
    columns: Mapping[int, ColumnValues] | None = None,
) -> Schema:
    """Infer the schema of rows.

    Parameters
    ----------
    rows : Container of shape (n_rows, n_features)
        Rows.
    categorical : ndarray of bool of shape (n_features,)
        Columns that are categorical whatever their type.
    from_dtype : bool
        Whether columns of a data frame that hold categories, strings or other objects
        are categorical, too.
    used : ndarray of bool of shape (n_rows,), default=None
        The rows whose categories count; all by default.
    columns : mapping of int to ColumnValues, default=None
        Values of the columns that are not numeric, if `rows` are only the first ones.

    Returns
    -------
    schema : Schema

    Raises
    ------
    ValueError
        If a category is infinite.
    TypeError
        If a category is not a string, number or boolean, or a column of objects has
        several of these kinds.

    Warns
    -----
    UserWarning
        If columns of text are read as numbers, and if columns of text that are read as
        categories look like dates, amounts, spoilt numbers or keys.
    """
    categories: list[list[Any] | None] = [None] * len(rows.names)
    n_objects = 0
    texts, numbers_in_text = TextReader(rows.kind, only_numbers=not from_dtype), []
    for j, name in enumerate(rows.names):
        numeric = rows.is_numeric_column(j)
        if numeric and not categorical[j]:
            continue
        n_objects += not numeric
        values, counts, counted = (
            columns[j] if columns else column_values(rows, j, used)
        )
        declared = rows.is_categorical_column(j)
        is_declared = categorical[j] or (from_dtype and declared)
        is_text = not is_declared and contains_text(values)
        if is_text and texts.holds_numbers(values, name, counts):
            numbers_in_text.append(j)
        elif is_declared or is_text:
            if not declared:
                refuse_mixed_types(values, name)
            categories[j] = collect_categories(values[counted], name)
    texts.warn()
    return Schema(
        rows.kind,
        rows.names,
        rows.dtypes,
        tuple(categories),
        n_objects,
        tuple(numbers_in_text),
    )
