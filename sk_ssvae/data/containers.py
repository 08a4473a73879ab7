"""One interface for the containers of rows: arrays, sparse arrays and data frames."""

from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy import sparse

from sk_ssvae.data.arrow import ArrowContainer
from sk_ssvae.data.columns import DecodedColumns
from sk_ssvae.data.dataframes import PandasContainer, PolarsContainer, dataframe_library
from sk_ssvae.data.loading import load_rows
from sk_ssvae.utils.typing import Array

__all__ = ["CONTAINERS", "Container", "as_container", "as_table"]


class Container(Protocol):
    """Rows in the container that the user passed, read and written by columns."""

    kind: ClassVar[str]
    """Name of the container, as it is stored in files."""

    is_dataframe: ClassVar[bool]
    """Whether each column has its own type."""

    X: Any
    """The rows as they were passed."""

    def __init__(self, X: Any) -> None: ...

    @property
    def rows(self) -> Any:
        """Rows of shape (n_rows, n_features); lists as an array of objects."""

    @property
    def names(self) -> list[Any]:
        """Column names of a data frame, else positions."""

    @property
    def dtypes(self) -> list[Any]:
        """Column types of a data frame; empty for arrays."""

    @property
    def is_numeric(self) -> bool:
        """Whether scikit-learn reads the rows as a single array of numbers."""

    @property
    def holds_singles(self) -> bool:
        """Whether numbers that scikit-learn does not read fit into float32."""

    def number_columns(self) -> list[Array] | None:
        """Return all columns as they are in memory, None unless all are numbers.

        Integers have at most 32 bits, and missing values are NaN.
        """

    def is_numeric_column(self, j: int) -> bool:
        """Return whether the type of a column is numeric or boolean."""

    def is_categorical_column(self, j: int) -> bool:
        """Return whether the type of a column declares that it holds categories."""

    def values(self, j: int, *, exact: bool = False) -> Array:
        """Return the values of a column.

        Floats if the column type is numeric, else objects; objects in any case with
        `exact`, because floats cannot hold all integers.
        """

    def factorize(self, j: int) -> tuple[Array, Array]:
        """Return the values of a column as objects, and each row's position in them.

        Values of the usual types occur once, and missing values, of position -1, not at
        all. Otherwise the values are those of the rows, missing ones included.
        """

    def fill(self, columns: DecodedColumns) -> Any:
        """Return a copy of the rows with missing values replaced."""

    @staticmethod
    def restore(columns: DecodedColumns, *, exact: bool) -> Any:
        """Return new rows of this kind.

        With `exact`, columns of integers and booleans are rounded; without they are
        floats, as means are.
        """


class ArrayContainer:
    """Rows in a numpy array, or in anything that numpy converts to one."""

    kind: ClassVar[str] = "array"
    is_dataframe: ClassVar[bool] = False

    def __init__(self, X: Any) -> None:
        self.X = X

    @cached_property
    def rows(self) -> Any:
        """The rows as an array of objects."""
        rows = np.asarray(self.X, dtype=object)
        if rows.ndim != 2:
            raise ValueError(
                f"Expected 2D array, got {rows.ndim}D array instead: X must be rows of "
                "the same length. Reshape your data using X.reshape(1, -1) if it is a "
                "single row."
            )
        return rows

    @property
    def names(self) -> list[Any]:
        """Positions of the columns."""
        return list(range(self.rows.shape[1]))

    @property
    def dtypes(self) -> list[Any]:
        """Empty: all columns have the same type."""
        return []

    @property
    def is_numeric(self) -> bool:
        """True: an array that is not of numbers is an error."""
        return True

    @property
    def holds_singles(self) -> bool:
        """False: scikit-learn reads rows of numbers."""
        return False

    def number_columns(self) -> list[Array] | None:
        """Return None: scikit-learn reads rows of numbers."""
        return None

    def is_numeric_column(self, j: int) -> bool:
        """Return True: columns that are not declared as categorical hold numbers."""
        return True

    def is_categorical_column(self, j: int) -> bool:
        """Return False: no type of an array declares categories."""
        return False

    def values(self, j: int, *, exact: bool = False) -> Array:
        """Return a column as objects."""
        values: Array = self.rows[:, j]
        return values

    def factorize(self, j: int) -> tuple[Array, Array]:
        """Return the values of a column and all positions."""
        values = self.values(j, exact=True)
        return values, np.arange(len(values))

    def fill(self, columns: DecodedColumns) -> Any:
        """Return an array with missing values replaced; of objects if not of floats."""
        array = np.asarray(self.X)
        if array.dtype.kind in "iub":
            return array.copy()
        filled: Array = (array if array.dtype.kind == "f" else self.rows).copy()
        for j in range(filled.shape[1]):
            missing = columns.find_missing(j, filled[:, j])
            filled[missing, j] = columns.values(j)[missing]
        return filled

    @staticmethod
    def restore(columns: DecodedColumns, *, exact: bool) -> Any:
        """Return an array of numbers, or of objects if categories are not numbers."""
        if not columns.any_categorical:
            return columns.cells
        values = [columns.values(j) for j in range(len(columns.names))]
        if any(v.dtype.kind not in "iuf" for v in values):
            values = [v.astype(object) for v in values]
        return np.stack(values, axis=1)


class SparseContainer(ArrayContainer):
    """Rows in a sparse array or matrix of scipy."""

    kind: ClassVar[str] = "sparse"

    @property
    def rows(self) -> Any:
        """The sparse array."""
        return self.X

    @cached_property
    def _dense(self) -> Array:
        array: Array = self.X.toarray()
        return array

    def values(self, j: int, *, exact: bool = False) -> Array:
        """Return a column as numbers."""
        return self._dense[:, j]

    def fill(self, columns: DecodedColumns) -> Any:
        """Return a CSR array with the explicit NaN entries replaced."""
        filled = self.X.tocsr(copy=True)
        row_of = np.repeat(np.arange(filled.shape[0]), np.diff(filled.indptr))
        missing = np.isnan(filled.data)
        values = columns.numbers()
        filled.data[missing] = values[row_of[missing], filled.indices[missing]]
        return filled

    @staticmethod
    def restore(columns: DecodedColumns, *, exact: bool) -> Any:
        """Return a CSR array."""
        return sparse.csr_array(columns.numbers())


CONTAINERS: dict[str, type[Container]] = {
    container.kind: container
    for container in (
        ArrayContainer,
        SparseContainer,
        PandasContainer,
        PolarsContainer,
        ArrowContainer,
    )
}
"""Containers by the names that files have for them."""


def as_container(X: Any) -> Container:
    """Wrap rows in the interface of their container.

    Parameters
    ----------
    X : object
        Rows as the user passed them.

    Returns
    -------
    container : Container

    Raises
    ------
    TypeError
        If X is a query, a data set or a stream that is not in memory.
    """
    X = load_rows(X)
    if sparse.issparse(X):
        return SparseContainer(X)
    library = dataframe_library(X)
    return ArrayContainer(X) if library is None else CONTAINERS[library](X)


def as_table(X: Any) -> Any:
    """Return data frames unchanged, and other rows as a dense array of shape 2-D.

    Raises
    ------
    ValueError
        If X has not two dimensions.
    """
    rows = as_container(X).rows
    return rows.toarray() if sparse.issparse(rows) else rows
