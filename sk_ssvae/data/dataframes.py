"""Data frames of pandas and polars: columns out of them, and frames of columns.

Neither library is imported before a user has.
"""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from sk_ssvae.utils.typing import Array

__all__ = [
    "as_rows",
    "column_gaps",
    "column_types",
    "column_values",
    "container_kind",
    "dtype_library",
    "fill_column",
    "is_measured",
    "is_missing",
    "is_sparse_type",
    "make_frame",
    "masked_to_nan",
]


TEXTS = ("String", "Categorical")
"""Types of polars that hold any text."""


def container_kind(X: Any) -> str:
    """Say what a user's rows are: "pandas", "polars", "sparse" or "array"."""
    if sparse.issparse(X):
        return "sparse"
    libraries = {c.__module__.partition(".")[0] for c in type(X).__mro__}
    if "polars" in libraries and hasattr(X, "collect"):
        raise TypeError(
            f"X is a {type(X).__name__}, which has no rows yet. Pass X.collect()."
        )
    for library in ("pandas", "polars"):
        if library in libraries and hasattr(X, "columns"):
            return library
    return "array"


def _kind(X: Any) -> Any:
    """Kind of an array's type, as numpy says it."""
    return getattr(getattr(X, "dtype", None), "kind", None)


def as_rows(X: Any) -> Any:
    """Return a frame or a sparse array as it is, anything else as array of objects."""
    if container_kind(X) != "array":
        return X
    rows = np.asarray(X, dtype=object)
    if rows.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {rows.ndim}D array instead: X must be rows of the "
            "same length. Reshape your data using X.reshape(1, -1) if it is a single "
            "row."
        )
    return rows


def dtype_library(dtype: Any) -> str | None:
    """Say of what library a frame's column type is, other than numpy's: None if not."""
    kind = dtype if isinstance(dtype, type) else type(dtype)
    for base in kind.__mro__:
        library = base.__module__.partition(".")[0]
        if library == "pandas" and base.__name__ == "ExtensionDtype":
            return "pandas"
        if library == "polars" and base.__name__ == "DataType":
            return "polars"
    return None


def column_types(X: Any, kind: str) -> list[Any]:
    """Types of a frame's columns; none for arrays."""
    return list(X.dtypes) if kind in ("pandas", "polars") else []


def is_measured(dtype: Any, kind: str) -> bool:
    """Whether a frame's column holds numbers or booleans."""
    if kind == "polars":
        return bool(dtype.is_numeric() or str(dtype) == "Boolean")
    numpy_kind = getattr(dtype, "kind", "O")
    # A pandas category of numbers has kind "O".
    return numpy_kind in "iufb" and "category" not in str(dtype)


def is_sparse_type(dtype: Any) -> bool:
    """Whether a frame's column is one of pandas' sparse ones."""
    return type(dtype).__name__ == "SparseDtype"


def is_missing(values: Sequence[Any] | Array) -> npt.NDArray[np.bool_]:
    """None, NaN, pandas.NA and the like: what is not equal to itself, or cannot say."""

    def missing(value: Any) -> bool:
        if value is None:
            return True
        if isinstance(value, str):
            return False
        try:
            return bool(value != value)
        except TypeError:  # pandas.NA
            return True
        except ValueError:  # an array, which cannot say with one word
            return False

    return np.fromiter((missing(v) for v in values), bool, len(values))


def column_values(X: Any, kind: str, j: int, *, exact: bool = False) -> Array:
    """Values of a column: floats of a column of numbers, else objects.

    Objects too where numbers are to be `exact`, as those of categories.
    """
    if kind == "pandas":
        column = X.iloc[:, j]
        if is_measured(column.dtype, kind) and not exact:
            numbers: Array = column.to_numpy(dtype=np.float64, na_value=np.nan)
            return numbers
        return np.asarray(column.astype(object), dtype=object)
    if kind == "polars":
        column = X[:, j]
        if column.dtype.is_numeric() and not exact:
            return np.asarray(column.cast(float).to_numpy(), dtype=np.float64)
        objects = np.empty(len(column), dtype=object)
        objects[:] = column.to_list()
        return objects
    return np.asarray(X)[:, j]


def masked_to_nan(X: Any) -> Any:
    """Return arrays with NaN where cells are masked or NA, anything else as it is.

    Tensors come back as arrays, sparse arrays without duplicates:
    parts of a cell are no counts, nor gaps.
    """
    if isinstance(X, torch.Tensor):
        return X.numpy()
    if sparse.issparse(X):
        if X.format not in ("csr", "csc") or X.has_canonical_format:
            return X
        X = X.copy()
        X.sum_duplicates()
        return X
    if isinstance(X, np.ma.MaskedArray) and X.dtype.kind not in "iufb":
        whole = X.data.astype(object)
        whole[np.ma.getmaskarray(X)] = None
        return whole
    if isinstance(X, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(X), np.nan, X.data)
    if isinstance(X, list | tuple | np.ndarray):
        given = X
        if not isinstance(X, np.ndarray) and any(
            type(v).__name__ in ("NAType", "NaTType")
            for row in X
            if isinstance(row, list | tuple) or _kind(row) == "O"
            for v in row
        ):
            given = np.array(X, dtype=object)
        if isinstance(given, np.ndarray) and given.dtype == object and given.ndim == 2:
            missing = is_missing(given.ravel()).reshape(given.shape)
            return np.where(missing, np.nan, given)
        return X
    return X


def make_frame(
    kind: str,
    columns: Sequence[tuple[Array, Any, bool]],
    names: list[Any],
    *,
    exact: bool,
) -> Any:
    """Make a frame.

    Parameters
    ----------
    kind : {"pandas", "polars"}
        Of what library.
    columns : sequence of (values, dtype, is_category)
        Values, objects if they are categories; the type that the column had.
    names : list
        Of the columns.
    exact : bool
        Whether columns of integers and booleans are rounded to such; otherwise they
        stay floats.

    Returns
    -------
    frame : DataFrame
    """
    make = _pandas if kind == "pandas" else _polars
    return make(columns, names, exact)


def _pandas(
    columns: Sequence[tuple[Array, Any, bool]], names: list[Any], exact: bool
) -> Any:
    import pandas as pd

    series = []
    for values, dtype, is_category in columns:
        if is_category:
            column = pd.Series(values, dtype=dtype)
        elif exact and dtype.kind in "iub":
            column = _whole(values, dtype, pd.Series)
        else:
            column = pd.Series(values)
            if dtype.kind == "f":
                column = pd.Series(_within(values, dtype)).astype(dtype)
            elif dtype.kind == "O":
                column = column.astype(dtype)
        series.append(column)
    frame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index(names)
    return frame


def _polars(
    columns: Sequence[tuple[Array, Any, bool]], names: list[Any], exact: bool
) -> Any:
    import polars as pl

    series = []
    for name, (values, dtype, is_category) in zip(names, columns, strict=True):
        if is_category and dtype == pl.Object:
            column = pl.Series(values.tolist(), dtype=dtype)
        elif is_category:
            column = pl.Series(values.tolist()).cast(dtype)
        else:
            column = pl.Series(values).fill_nan(None)
            if dtype.is_float():
                column = pl.Series(_within(values, dtype)).fill_nan(None).cast(dtype)
            elif exact and str(dtype) == "Boolean":
                column = column > 0.5
            elif exact and not dtype.is_integer():  # Decimal
                column = column.cast(dtype, strict=False)
            elif exact:
                column = pl.Series(_whole_numbers(values, str(dtype))).cast(dtype)
        series.append(column.alias(str(name)))
    return pl.DataFrame(series)


def column_gaps(values: Array) -> npt.NDArray[np.bool_]:
    """Tell which values of a column are missing."""
    return np.isnan(values) if values.dtype.kind == "f" else is_missing(values)


def fill_column(
    kind: str, frame: Any, j: int, missing: npt.NDArray[np.bool_], values: Array
) -> Any:
    """Return a frame in which cells of column j that are missing have these values."""
    fill = _fill_pandas if kind == "pandas" else _fill_polars
    return fill(frame, j, missing, values)


def _fill_pandas(frame: Any, j: int, missing: Array, values: Array) -> Any:
    """Fill a column in place."""
    import pandas as pd

    given = frame.iloc[:, j]
    column, dtype = given.copy(), given.dtype
    if isinstance(dtype, pd.SparseDtype):
        column, dtype = given.sparse.to_dense(), dtype.subtype
    kind = getattr(dtype, "kind", "O")
    if isinstance(dtype, pd.CategoricalDtype):
        new = [v for v in dict.fromkeys(values) if v not in dtype.categories]
        column = column.cat.add_categories(new)
    elif kind in "iub" and _are_numbers(values):
        values = _whole(values.astype(float), dtype, pd.Series).to_numpy()
    elif kind == "f" and _are_numbers(values):
        numbers = _within(values.astype(float), dtype)
        values = pd.Series(numbers).astype(dtype).to_numpy()
    elif isinstance(dtype, pd.StringDtype) and not missing.all():
        values = values.astype(str)
    try:
        column[missing] = values
        if isinstance(given.dtype, pd.SparseDtype):
            column = column.astype(given.dtype)
    except (TypeError, ValueError, NotImplementedError):
        # The type cannot hold what fit saw: gaps alone are read as anything.
        column = given.astype(object)
        column[missing] = values
        column = column.infer_objects()
    frame.isetitem(j, column)
    return frame


def _fill_polars(frame: Any, j: int, missing: Array, values: Array) -> Any:
    import polars as pl

    column = frame[:, j]
    dtype = column.dtype
    new = values.tolist()
    numbers = _are_numbers(values)
    if numbers and dtype.is_integer():
        new = _whole_numbers(values.astype(float), str(dtype)).tolist()
    elif numbers and dtype.is_decimal():
        new = pl.Series(values.astype(float)).cast(dtype, strict=False).to_list()
    elif numbers and str(dtype) == "Boolean":
        new = (values.astype(float) > 0.5).tolist()
    elif numbers and str(dtype) in TEXTS and not missing.all():
        new, numbers = [str(v) for v in new], False
    whole = column.to_list()
    for i, value in zip(np.flatnonzero(missing), new, strict=True):
        whole[i] = value
    # A column of nulls, or of other levels, cannot hold what fit saw.
    if numbers:
        can = dtype.is_numeric() or str(dtype) == "Boolean"
    elif isinstance(dtype, pl.Enum):
        can = set(new) <= set(dtype.categories)
    else:
        holder = pl.Binary if isinstance(new[0], bytes) else pl.Object
        can = str(dtype) in TEXTS or dtype in (holder, pl.Object)
    if not can:
        dtype = pl.String if any(isinstance(v, str) for v in new) else None
    filled = pl.Series(column.name, whole, dtype=dtype, strict=False)
    return frame.with_columns(filled)


def _within(values: Array, dtype: Any) -> Array:
    """Return numbers no larger than a type of floats can hold."""
    own = str(getattr(dtype, "subtype", dtype)).lower().partition("[")[0]
    arrow = {"halffloat": "float16", "float": "float32", "double": "float64"}
    largest = float(np.finfo(arrow.get(own, own)).max)
    return np.asarray(np.clip(values, -largest, largest))


def _are_numbers(values: Array) -> bool:
    return values.dtype.kind in "iufb" or all(isinstance(v, Real) for v in values)


def _whole_numbers(values: Array, name: str) -> Array:
    """Round to integers, as far as the type of that name goes."""
    # numpy has no larger ones.
    limits = np.iinfo(name.lower().replace("128", "64"))
    # The largest float that is no more than the limit.
    high = np.nextafter(float(limits.max), 0) if limits.bits == 64 else limits.max
    whole: Array = np.clip(np.round(values), limits.min, high).astype(limits.dtype)
    return whole


def _whole(values: Array, dtype: Any, series: Any) -> Any:
    """Round to whole numbers, as far as the type goes; or to booleans."""
    missing = np.isnan(values)
    own = getattr(dtype, "subtype", dtype)  # of sparse columns
    name = str(own).lower().partition("[")[0]  # of Int64, int64[pyarrow]
    if dtype.kind == "b":
        whole = values > 0.5
    else:
        whole = _whole_numbers(np.where(missing, 0, values), name)
    if not missing.any():
        return series(whole).astype(dtype)
    if isinstance(dtype, np.dtype):  # has no room for a gap
        return series(np.where(missing, np.nan, whole))
    column = series(np.where(missing, 0, whole)).astype(dtype)
    column[missing] = None
    return column
