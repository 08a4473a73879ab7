"""Rows that cannot be read as they are: lazy tables, and containers to convert."""

from collections import Counter
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse

from sk_ssvae.data.row_sources import RowSource
from sk_ssvae.utils.warnings import warn_user

__all__ = ["has_chunks", "load_rows", "name_of", "warn_of_loading"]

_ARROW_SOURCES = {
    "Dataset": "X.to_table()",
    "Scanner": "X.to_table()",
    "RecordBatchReader": "X.read_all()",
}
"""Expressions that read the sources of pyarrow, by the names of their base classes."""

_QUERIES = {
    "polars": "X.collect()",
    "ibis": "X.to_pyarrow()",
    "duckdb": "X.to_arrow_table()",
    "pyspark": "X.toPandas()",
    "sqlframe": "X.toPandas()",
}
"""Expressions that evaluate the queries of a library."""

_STORED = ("h5py", "zarr")
"""Libraries of arrays in files; not all of these arrays have chunks."""


def load_rows(X: Any) -> Any:
    """Return rows in a container that can be read, in memory.

    No library is imported before the user does.

    Parameters
    ----------
    X : object
        Rows as the user passed them.

    Returns
    -------
    X : object
        Arrays and data frames of Dask are evaluated, and arrays of zarr, h5py and
        other libraries that store them in chunks are read, with a warning that names
        their size. A DOK array becomes a CSR array, a record batch of Arrow a table,
        a frame of Modin or cuDF a pandas frame. Everything else is returned unchanged,
        memory-mapped arrays of numpy included.

    Raises
    ------
    ValueError
        If X is a table of Arrow in which names of columns are repeated.
    TypeError
        If X is a query that is not evaluated yet (a lazy frame of polars, a table of
        Ibis, a relation of DuckDB, a frame of Spark), or a data set or a stream of
        pyarrow. Their rows have no fixed order, or can be read only once.
    """
    if isinstance(X, RowSource):
        raise TypeError(
            f"X is a {X.name}, which is not in memory. Pass its blocks one after the "
            "other: for _, rows in X.chunks()."
        )
    if sparse.issparse(X):
        return X.tocsr() if X.format == "dok" else X
    if isinstance(X, np.ndarray | list | tuple):
        return X
    libraries = {c.__module__.partition(".")[0] for c in type(X).__mro__}
    if "pyarrow" in libraries:
        return _load_arrow(X)
    if libraries & {"dask", "dask_expr"}:
        return _load_dask(X)
    if libraries & set(_STORED) or has_chunks(X):
        array = np.asarray(X[...])
        warn_of_loading(name_of(X), array.nbytes, "X[:]")
        return array
    _refuse_queries(X, libraries)
    if nw.dependencies.is_modin_dataframe(X) or nw.dependencies.is_cudf_dataframe(X):
        return nw.from_native(X, eager_only=True).to_pandas()
    return X


def _load_arrow(X: Any) -> Any:
    for base in type(X).__mro__:
        if base.__name__ in _ARROW_SOURCES:
            raise TypeError(
                f"X is a {name_of(X)}, which is not in memory yet. Pass "
                f"{_ARROW_SOURCES[base.__name__]}."
            )
    if hasattr(X, "schema"):
        counts = Counter(X.schema.names)
        repeated = [name for name, count in counts.items() if count > 1]
        if repeated:
            raise ValueError(
                f"X has several columns of the same name: {repeated}. Column names "
                "must be unique."
            )
    if type(X).__name__ == "RecordBatch":
        return nw.from_arrow(X, backend="pyarrow").to_native()
    return X


def _load_dask(X: Any) -> Any:
    if type(X).__name__ not in ("Array", "DataFrame"):
        return X
    rows = X.compute()
    if hasattr(rows, "memory_usage"):
        n_bytes = rows.memory_usage(deep=True).sum()
    else:
        n_bytes = getattr(rows, "nbytes", 0)
    warn_of_loading(name_of(X), n_bytes, "X.compute()")
    return rows


def has_chunks(X: Any) -> bool:
    """Return whether an array of any library is stored in chunks."""
    is_array = hasattr(X, "shape") and hasattr(X, "dtype")
    return is_array and getattr(X, "chunks", None) is not None


def warn_of_loading(name: str, n_bytes: float, remedy: str) -> None:
    """Warn of rows that are loaded into memory.

    Parameters
    ----------
    name : str
        Library and class of the object that holds the rows.
    n_bytes : float
        Their size.
    remedy : str
        Expression that loads them.

    Warns
    -----
    UserWarning
    """
    warn_user(
        f"X ({name}) is loaded into memory as a whole: {n_bytes / 1e6:.1f} MB. "
        f"To load it once for several calls, pass {remedy}."
    )


def _refuse_queries(X: Any, libraries: set[str]) -> None:
    """Refuse tables whose rows are not known before a query is run."""
    if nw.dependencies.is_into_dataframe(X):
        return
    for library, expression in _QUERIES.items():
        if library in libraries and hasattr(type(X), "columns"):
            what = type(X).__name__ if library == "polars" else name_of(X)
            raise TypeError(
                f"X is a {what}, which is not evaluated yet. Pass {expression}."
            )


def name_of(X: Any) -> str:
    """Return the names of a library and of one of its classes."""
    return f"{type(X).__module__.partition('.')[0]} {type(X).__name__}"
