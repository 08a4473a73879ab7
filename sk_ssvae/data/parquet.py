"""Rows and labels in Parquet files."""

import os
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.data.table_sources import ArrowSource
from sk_ssvae.utils.typing import Array

__all__ = ["from_parquet"]


def from_parquet(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    label: str | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> Any:
    """Read rows from Parquet files, block by block, and labels from one of the columns.

    Parameters
    ----------
    path : str, path-like or sequence of these
        A file, a folder, a pattern such as ``"rows/*.parquet"``, or a list of files.
        The files of a pattern are sorted by name.
    label : str, default=None
        Column of the labels. None returns rows only.
    columns : sequence of str, default=None
        Columns of the rows; by default all but that of the labels.

    Returns
    -------
    X : RowSource of shape (n_rows, n_features)
        Rows, for all methods of the estimators that take rows but `impute`. They are
        read when they are needed, one row group after the other. ``X[rows]``, with a
        slice, indices or a mask, is the same for some of the rows.
    y : ndarray of shape (n_rows,)
        Labels, in memory, with -1 in the place of nulls: numbers, or dtype object with
        strings or booleans and the integer -1. Only if `label` is given.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file has no column of a name, or one of another type, a label is too large
        for int64, or there are no rows.
    TypeError
        If the labels are neither integers, strings nor booleans.
    ImportError
        If pyarrow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pyarrow as pa
    >>> import pyarrow.parquet as pq
    >>> from sk_ssvae.data import from_parquet
    >>> folder = Path(tempfile.mkdtemp())
    >>> table = pa.table({"a": [0.5, 1.5], "b": [1.0, 2.0], "kind": ["x", None]})
    >>> pq.write_table(table, folder / "rows.parquet")
    >>> X, y = from_parquet(folder / "*.parquet", label="kind")
    >>> X.shape, X.names, y
    ((2, 2), ['a', 'b'], array(['x', -1], dtype=object))
    """
    import pyarrow.dataset

    data = pyarrow.dataset.dataset(_files(path), format="parquet")
    for name in [*(columns or ()), *([] if label is None else [label])]:
        if name not in data.schema.names:
            raise ValueError(
                f"The files have no column {name!r}. Their columns are "
                f"{data.schema.names}."
            )
    if columns is None:
        columns = [name for name in data.schema.names if name != label]
    X = ArrowSource(data, "Parquet data set", list(columns))
    if len(X) == 0:
        raise ValueError(
            f"There are no rows in {path!r}. Pass files with at least one row."
        )
    if label is None:
        return X
    labels = ArrowSource(data, "Parquet data set", [label])
    parts = [_as_labels(part.column(0), label) for _, part in labels.chunks()]
    return X, np.concatenate(parts)


def _files(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> str | list[str]:
    """Return the files of a pattern, or a folder or file that exists."""
    if not isinstance(path, str | os.PathLike):
        return [os.fspath(file) for file in path]
    text = os.fspath(path)
    if Path(text).exists():
        return text
    found = sorted(file for file in glob(text, recursive=True) if Path(file).is_file())
    if not found:
        raise FileNotFoundError(f"There is no file {text!r}.")
    return found


def _as_labels(column: Any, name: str) -> Array:
    """Return a column of labels as an array with -1 in the place of nulls."""
    import pyarrow as pa

    types, dtype = pa.types, column.type
    if types.is_dictionary(dtype):
        dtype = dtype.value_type
    if types.is_integer(dtype):
        try:
            numbers = column.cast(pa.int64()).fill_null(UNLABELED)
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"Labels must lie within int64, but the column {name!r} is of type "
                f"{column.type} and has larger values ({error}). Convert them to "
                "strings, and write the files again."
            ) from error
        return np.asarray(numbers.to_numpy(), dtype=np.int64)
    is_text = types.is_string(dtype) or types.is_large_string(dtype)
    if not (is_text or types.is_string_view(dtype) or types.is_boolean(dtype)):
        raise TypeError(
            f"Labels must be integers, strings or booleans, but the column {name!r} is "
            f"of type {column.type}. Convert it, and write the files again."
        )
    values = np.empty(len(column), dtype=object)
    values[:] = [UNLABELED if v is None else v for v in column.to_pylist()]
    return values
