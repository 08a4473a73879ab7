"""Rows in data frames of pandas and polars, read and written by columns.

Neither library is imported before the user does.
"""

from functools import cached_property
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from sk_ssvae.data.columns import DecodedColumns
from sk_ssvae.utils.typing import Array, Mask

__all__ = ["PandasContainer", "PolarsContainer", "dataframe_library", "dtype_library"]

POLARS_TEXTS = ("String", "Categorical")
"""Types of polars that hold any string."""


def dataframe_library(X: Any) -> str | None:
    """Return "pandas" or "polars" for a data frame, None for anything else.

    Raises
    ------
    TypeError
        If X is a lazy frame of polars.
    """
    libraries = {c.__module__.partition(".")[0] for c in type(X).__mro__}
    if "polars" in libraries and hasattr(X, "collect"):
        raise TypeError(
            f"X is a {type(X).__name__}, which is not evaluated yet. Pass X.collect()."
        )
    for library in ("pandas", "polars"):
        if library in libraries and hasattr(X, "columns"):
            return library
    return None


def dtype_library(dtype: Any) -> str | None:
    """Return "pandas" or "polars" for a column type that one of them defines.

    None for the types of numpy, and for objects that are no types.
    """
    kind = dtype if isinstance(dtype, type) else type(dtype)
    for base in kind.__mro__:
        library = base.__module__.partition(".")[0]
        if library == "pandas" and base.__name__ == "ExtensionDtype":
            return "pandas"
        if library == "polars" and base.__name__ == "DataType":
            return "polars"
    return None


class DataFrameContainer:
    """Rows in a data frame."""

    is_dataframe: ClassVar[bool] = True

    def __init__(self, X: Any) -> None:
        self.X = X

    @property
    def rows(self) -> Any:
        """The data frame."""
        return self.X

    @property
    def names(self) -> list[Any]:
        """Column names."""
        return list(self.X.columns)

    @cached_property
    def dtypes(self) -> list[Any]:
        """Column types."""
        return list(self.X.dtypes)


class PandasContainer(DataFrameContainer):
    """Rows in a data frame of pandas."""

    kind: ClassVar[str] = "pandas"

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
                    restored = pd.Series(_clip_to_dtype(values, dtype)).astype(dtype)
                elif dtype.kind == "O":
                    restored = restored.astype(dtype)
            series.append(restored)
        frame = pd.concat(series, axis=1) if series else pd.DataFrame()
        frame.columns = pd.Index(columns.names)
        return frame


class PolarsContainer(DataFrameContainer):
    """Rows in a data frame of polars."""

    kind: ClassVar[str] = "polars"

    @property
    def is_numeric(self) -> bool:
        """Whether all columns are of numbers or booleans."""
        return all(_is_numeric_polars(dtype) for dtype in self.dtypes)

    def is_numeric_column(self, j: int) -> bool:
        """Return whether a column is of numbers or booleans."""
        return _is_numeric_polars(self.dtypes[j])

    def is_categorical_column(self, j: int) -> bool:
        """Return whether a column is of a categorical type."""
        return str(self.dtypes[j]).startswith(("Categorical", "Enum"))

    def values(self, j: int, *, exact: bool = False) -> Array:
        """Return a column of numbers as floats, others and `exact` ones as objects."""
        column = self.X[:, j]
        if column.dtype.is_numeric() and not exact:
            return np.asarray(column.cast(float).to_numpy(), dtype=np.float64)
        objects = np.empty(len(column), dtype=object)
        objects[:] = column.to_list()
        return objects

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
                    clipped = pl.Series(_clip_to_dtype(values, dtype))
                    restored = clipped.fill_nan(None).cast(dtype)
                elif exact and str(dtype) == "Boolean":
                    restored = restored > 0.5
                elif exact and not dtype.is_integer():  # Decimal
                    restored = restored.cast(dtype, strict=False)
                elif exact:
                    integers = _round_to_integers(values, str(dtype))
                    restored = pl.Series(integers).cast(dtype)
            series.append(restored.alias(str(columns.names[j])))
        return pl.DataFrame(series)


def _is_numeric_pandas(dtype: Any) -> bool:
    # A category of numbers has the kind "O", and so have most extension types.
    return getattr(dtype, "kind", "O") in "iufb" and "category" not in str(dtype)


def _is_numeric_polars(dtype: Any) -> bool:
    return bool(dtype.is_numeric() or str(dtype) == "Boolean")


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
    elif kind in "iub" and _are_numbers(values):
        values = _round_to_pandas(values.astype(float), dtype).to_numpy()
    elif kind == "f" and _are_numbers(values):
        numbers = _clip_to_dtype(values.astype(float), dtype)
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
    numbers = _are_numbers(values)
    if numbers and dtype.is_integer():
        new = _round_to_integers(values.astype(float), str(dtype)).tolist()
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
        fits = _is_numeric_polars(dtype)
    elif isinstance(dtype, pl.Enum):
        fits = set(new) <= set(dtype.categories)
    else:
        object_type = pl.Binary if isinstance(new[0], bytes) else pl.Object
        fits = str(dtype) in POLARS_TEXTS or dtype in (object_type, pl.Object)
    if not fits:
        dtype = pl.String if any(isinstance(v, str) for v in new) else None
    return pl.Series(series.name, filled, dtype=dtype, strict=False)


def _are_numbers(values: Array) -> bool:
    return values.dtype.kind in "iufb" or all(isinstance(v, Real) for v in values)


def _clip_to_dtype(values: Array, dtype: Any) -> Array:
    """Clip numbers to the range of a type of floats."""
    name = str(getattr(dtype, "subtype", dtype)).lower().partition("[")[0]
    arrow = {"halffloat": "float16", "float": "float32", "double": "float64"}
    largest = float(np.finfo(arrow.get(name, name)).max)
    return np.asarray(np.clip(values, -largest, largest))


def _round_to_integers(values: Array, name: str) -> Array:
    """Round numbers to integers within the range of the type of that name."""
    # numpy has no integers of 128 bits.
    limits = np.iinfo(name.lower().replace("128", "64"))
    # The largest float that is no more than the limit.
    high = np.nextafter(float(limits.max), 0) if limits.bits == 64 else limits.max
    rounded = np.clip(np.round(values), limits.min, high)
    integers: Array = rounded.astype(limits.dtype)
    return integers


def _round_to_pandas(values: Array, dtype: Any) -> Any:
    """Round numbers to a pandas column of integers or booleans."""
    import pandas as pd

    missing = np.isnan(values)
    numpy_type = getattr(dtype, "subtype", dtype)  # of sparse columns
    name = str(numpy_type).lower().partition("[")[0]  # of Int64, int64[pyarrow]
    if dtype.kind == "b":
        rounded = values > 0.5
    else:
        rounded = _round_to_integers(np.where(missing, 0, values), name)
    if not missing.any():
        return pd.Series(rounded).astype(dtype)
    if isinstance(dtype, np.dtype):  # cannot hold missing values
        return pd.Series(np.where(missing, np.nan, rounded))
    series = pd.Series(np.where(missing, 0, rounded)).astype(dtype)
    series[missing] = None
    return series
