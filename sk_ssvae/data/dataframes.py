"""Rows in data frames of pandas and polars, read and written by columns.

Columns are read with narwhals, which imports no library before the user does. Those of
pandas are read with pandas itself: narwhals refuses names that are repeated and does
not know sparse columns, it looks at the first hundred values of a column of objects
only, and it encodes a column of strings more slowly.
"""

from functools import cached_property
from typing import Any, ClassVar

import narwhals.stable.v2 as nw
import numpy as np

from sk_ssvae.data.columns import DecodedColumns
from sk_ssvae.data.rounding import are_numbers, clip_to_dtype, round_to_integers
from sk_ssvae.utils.typing import Array, Mask

__all__ = [
    "DataFrameContainer",
    "PandasContainer",
    "PolarsContainer",
    "dataframe_library",
    "declared_levels",
    "dtype_library",
]

POLARS_TEXTS = ("String", "Categorical")
"""Types of polars that hold any string."""


def dataframe_library(X: Any) -> str | None:
    """Return "pandas", "polars" or "pyarrow" for a data frame, else None."""
    if nw.dependencies.is_pandas_dataframe(X):
        return "pandas"
    if nw.dependencies.is_polars_dataframe(X):
        return "polars"
    return "pyarrow" if nw.dependencies.is_pyarrow_table(X) else None


def dtype_library(dtype: Any) -> str | None:
    """Return "pandas", "polars" or "pyarrow" for a column type that it defines.

    None for the types of numpy, and for objects that are no types.
    """
    kind = dtype if isinstance(dtype, type) else type(dtype)
    bases = {
        ("pandas", "ExtensionDtype"),
        ("polars", "DataType"),
        ("pyarrow", "DataType"),
    }
    for base in kind.__mro__:
        library = base.__module__.partition(".")[0]
        if (library, base.__name__) in bases:
            return library
    return None


def declared_levels(dtype: Any) -> list[Any]:
    """Return the categories that a column type declares, whether they occur or not.

    Parameters
    ----------
    dtype : object
        A categorical type of pandas, an Enum of polars, or the pair of a dictionary
        type of Arrow and its values. Other types declare none.

    Returns
    -------
    levels : list
    """
    levels = dtype[1] if isinstance(dtype, tuple) else None
    if dtype_library(dtype) in ("pandas", "polars"):
        levels = getattr(dtype, "categories", None)
    try:
        return [] if levels is None else list(levels)
    except TypeError:  # of a Categorical of polars: an object that holds any string
        return []


class DataFrameContainer:
    """Rows in a data frame, whose columns narwhals reads."""

    is_dataframe: ClassVar[bool] = True

    def __init__(self, X: Any) -> None:
        self.X = X

    @property
    def readable(self) -> Any:
        """The data frame with columns of types that narwhals reads."""
        return self.X

    @cached_property
    def _frame(self) -> Any:
        return nw.from_native(self.readable, eager_only=True)

    @cached_property
    def _types(self) -> list[Any]:
        return list(self._frame.schema.values())

    @property
    def rows(self) -> Any:
        """The data frame."""
        return self.X

    @property
    def names(self) -> list[Any]:
        """Column names."""
        return list(self._frame.columns)

    @cached_property
    def dtypes(self) -> list[Any]:
        """Column types."""
        return list(self.X.dtypes)

    @property
    def is_numeric(self) -> bool:
        """Whether all columns are of numbers or booleans."""
        return all(map(_is_numeric, self._types))

    @property
    def holds_singles(self) -> bool:
        """False: scikit-learn reads rows of numbers."""
        return False

    def number_columns(self) -> list[Array] | None:
        """Return None: scikit-learn reads rows of numbers."""
        return None

    def is_numeric_column(self, j: int) -> bool:
        """Return whether a column is of numbers or booleans."""
        return _is_numeric(self._types[j])

    def is_categorical_column(self, j: int) -> bool:
        """Return whether a column is of a categorical type."""
        return isinstance(self._types[j], nw.Categorical | nw.Enum)

    def values(self, j: int, *, exact: bool = False) -> Array:
        """Return a column of numbers as floats, others and `exact` ones as objects."""
        column = self._frame[:, j]
        if self._types[j].is_numeric() and not exact:
            numbers = column.cast(nw.Float64).to_numpy()
            return np.asarray(numbers, dtype=np.float64)
        return _as_objects(column.to_list())

    def factorize(self, j: int) -> tuple[Array, Array]:
        """Return the values of a column, each string once, and the rows' positions."""
        if isinstance(self._types[j], nw.String | nw.Categorical | nw.Enum):
            column = self._frame[:, j]
            distinct = column.drop_nulls().unique(maintain_order=True).to_list()
            if distinct and all(type(value) is str for value in distinct):
                codes = column.replace_strict(
                    distinct, list(range(len(distinct))), return_dtype=nw.Float64
                ).to_numpy()
                positions = np.where(np.isnan(codes), -1, codes).astype(np.intp)
                return _as_objects(distinct), positions
        values = self.values(j, exact=True)
        return values, np.arange(len(values))


class PandasContainer(DataFrameContainer):
    """Rows in a data frame of pandas."""

    kind: ClassVar[str] = "pandas"

    @property
    def names(self) -> list[Any]:
        """Column names."""
        return list(self.X.columns)

    @property
    def is_numeric(self) -> bool:
        """Whether all columns are numeric and dense.

        For sparse columns scikit-learn would warn that they become dense.
        """
        return all(
            _is_numeric_pandas(dtype) and type(dtype).__name__ != "SparseDtype"
            for dtype in self.dtypes
        )

    def is_numeric_column(self, j: int) -> bool:
        """Return whether a column is of numbers or booleans."""
        return _is_numeric_pandas(self.dtypes[j])

    def is_categorical_column(self, j: int) -> bool:
        """Return whether a column is of a categorical type."""
        return "category" in str(self.dtypes[j])

    def values(self, j: int, *, exact: bool = False) -> Array:
        """Return a numeric column as floats, others and `exact` ones as objects."""
        column = self.X.iloc[:, j]
        if _is_numeric_pandas(column.dtype) and not exact:
            numbers: Array = column.to_numpy(dtype=np.float64, na_value=np.nan)
            return numbers
        return np.asarray(column.astype(object), dtype=object)

    def factorize(self, j: int) -> tuple[Array, Array]:
        """Return the values of a column, most of them once, and the rows' positions."""
        import pandas as pd

        column = self.X.iloc[:, j]
        # Among objects of several types, pandas takes 1 and True for the same.
        safe = column.dtype != object or pd.api.types.infer_dtype(column) == "string"
        if safe and not isinstance(column.dtype, pd.SparseDtype):
            positions, distinct = pd.factorize(column)
            return np.asarray(distinct.astype(object), dtype=object), positions
        values = self.values(j, exact=True)
        return values, np.arange(len(values))

    def fill(self, columns: DecodedColumns) -> Any:
        """Return a copy of the data frame with missing values replaced."""
        frame = self.X.copy()
        for j in range(len(columns.names)):
            missing = columns.find_missing(j, self.values(j))
            if missing.any():
                values = columns.values(j)[missing]
                frame.isetitem(j, _fill_series(self.X.iloc[:, j], missing, values))
        return frame

    @staticmethod
    def restore(columns: DecodedColumns, *, exact: bool) -> Any:
        """Return a data frame with the column types of `fit`."""
        import pandas as pd

        series = []
        for j, dtype in enumerate(columns.dtypes):
            values, is_categorical = columns.values(j), columns.is_categorical(j)
            if is_categorical:
                restored = pd.Series(values, dtype=dtype)
            elif exact and dtype.kind in "iub":
                restored = _round_to_pandas(values, dtype)
            else:
                restored = pd.Series(values)
                if dtype.kind == "f":
                    restored = pd.Series(clip_to_dtype(values, dtype)).astype(dtype)
                elif exact and dtype.kind in "OU" and "category" not in str(dtype):
                    restored = restored.astype(dtype)
            series.append(restored)
        frame = pd.concat(series, axis=1) if series else pd.DataFrame()
        frame.columns = pd.Index(columns.names)
        return frame


class PolarsContainer(DataFrameContainer):
    """Rows in a data frame of polars."""

    kind: ClassVar[str] = "polars"

    def fill(self, columns: DecodedColumns) -> Any:
        """Return a copy of the data frame with missing values replaced."""
        frame = self.X.clone()
        for j in range(len(columns.names)):
            missing = columns.find_missing(j, self.values(j))
            if missing.any():
                values = columns.values(j)[missing]
                filled = _fill_polars_series(self.X[:, j], missing, values)
                frame = frame.with_columns(filled)
        return frame

    @staticmethod
    def restore(columns: DecodedColumns, *, exact: bool) -> Any:
        """Return a data frame with the column types of `fit`."""
        import polars as pl

        series = []
        for j, dtype in enumerate(columns.dtypes):
            values, is_categorical = columns.values(j), columns.is_categorical(j)
            if is_categorical and dtype == pl.Object:
                restored = pl.Series(values.tolist(), dtype=dtype)
            elif is_categorical:
                restored = pl.Series(values.tolist()).cast(dtype)
            else:
                restored = pl.Series(values).fill_nan(None)
                if dtype.is_float():
                    clipped = pl.Series(clip_to_dtype(values, dtype))
                    restored = clipped.fill_nan(None).cast(dtype)
                elif exact and str(dtype) == "Boolean":
                    restored = restored > 0.5
                elif dtype in (pl.Categorical, pl.Enum):
                    pass  # numbers that need not be among the categories
                elif exact and not dtype.is_integer():  # Decimal and String
                    restored = restored.cast(dtype, strict=False)
                elif exact:
                    integers = round_to_integers(values, str(dtype))
                    restored = pl.Series(integers).cast(dtype)
            series.append(restored.alias(str(columns.names[j])))
        return pl.DataFrame(series)


def _is_numeric_pandas(dtype: Any) -> bool:
    # A category of numbers has the kind "O", and so have most extension types.
    return getattr(dtype, "kind", "O") in "iufb" and "category" not in str(dtype)


def _is_numeric(dtype: Any) -> bool:
    """Return whether a type of narwhals or polars is of numbers or booleans."""
    return bool(dtype.is_numeric() or str(dtype) == "Boolean")


def _as_objects(values: list[Any]) -> Array:
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects


def _fill_series(series: Any, missing: Mask, values: Array) -> Any:
    """Return a copy of a pandas column with missing values replaced."""
    import pandas as pd

    filled, dtype = series.copy(), series.dtype
    if isinstance(dtype, pd.SparseDtype):
        filled, dtype = series.sparse.to_dense(), dtype.subtype
    kind = getattr(dtype, "kind", "O")
    if isinstance(dtype, pd.CategoricalDtype):
        new = [v for v in dict.fromkeys(values) if v not in dtype.categories]
        filled = filled.cat.add_categories(new)
    elif kind in "iub" and are_numbers(values):
        values = _round_to_pandas(values.astype(float), dtype).to_numpy()
    elif kind == "f" and are_numbers(values):
        numbers = clip_to_dtype(values.astype(float), dtype)
        values = pd.Series(numbers).astype(dtype).to_numpy()
    elif isinstance(dtype, pd.StringDtype) and not missing.all():
        values = values.astype(str)
    try:
        filled[missing] = values
        if isinstance(series.dtype, pd.SparseDtype):
            filled = filled.astype(series.dtype)
    except (TypeError, ValueError, NotImplementedError):
        # The type cannot hold the values of fit, e.g. an empty column of dates where
        # fit had numbers. A column without values is read whatever its type.
        filled = series.astype(object)
        filled[missing] = values
        filled = filled.infer_objects()
    return filled


def _fill_polars_series(series: Any, missing: Mask, values: Array) -> Any:
    """Return a copy of a polars column with missing values replaced."""
    import polars as pl

    dtype = series.dtype
    new = values.tolist()
    numbers = are_numbers(values)
    if numbers and dtype.is_integer():
        new = round_to_integers(values.astype(float), str(dtype)).tolist()
    elif numbers and dtype.is_decimal():
        new = pl.Series(values.astype(float)).cast(dtype, strict=False).to_list()
    elif numbers and str(dtype) == "Boolean":
        new = (values.astype(float) > 0.5).tolist()
    elif numbers and str(dtype) in POLARS_TEXTS and not missing.all():
        new, numbers = [str(v) for v in new], False
    filled = series.to_list()
    for i, value in zip(np.flatnonzero(missing), new, strict=True):
        filled[i] = value
    # A column of nulls, or of other categories, cannot hold the values of fit.
    if numbers:
        fits = _is_numeric(dtype)
    elif isinstance(dtype, pl.Enum):
        fits = set(new) <= set(dtype.categories)
    else:
        object_type = pl.Binary if isinstance(new[0], bytes) else pl.Object
        fits = str(dtype) in POLARS_TEXTS or dtype in (object_type, pl.Object)
    if not fits:
        dtype = pl.String if any(isinstance(v, str) for v in new) else None
    return pl.Series(series.name, filled, dtype=dtype, strict=False)


def _round_to_pandas(values: Array, dtype: Any) -> Any:
    """Round numbers to a pandas column of integers or booleans."""
    import pandas as pd

    missing = np.isnan(values)
    numpy_type = getattr(dtype, "subtype", dtype)  # of sparse columns
    name = str(numpy_type).lower().partition("[")[0]  # of Int64, int64[pyarrow]
    if dtype.kind == "b":
        rounded = values > 0.5
    else:
        rounded = round_to_integers(np.where(missing, 0, values), name)
    if not missing.any():
        return pd.Series(rounded).astype(dtype)
    if isinstance(dtype, np.dtype):  # cannot hold missing values
        return pd.Series(np.where(missing, np.nan, rounded))
    series = pd.Series(np.where(missing, 0, rounded)).astype(dtype)
    series[missing] = None
    return series
