"""Rows and labels in Parquet files."""

import os
from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np

from sk_ssvae.data.arrow_files import index_columns
from sk_ssvae.data.markers import UNLABELED, is_number
from sk_ssvae.data.table_sources import ArrowSource
from sk_ssvae.utils.typing import Array, Mask

__all__ = ["from_parquet"]


def from_parquet(
    path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    label: str | None = None,
    *,
    columns: Iterable[str] | None = None,
    unlabeled: Any = UNLABELED,
) -> Any:
    """Read rows from Parquet files, block by block, and labels from one of the columns.

    Parameters
    ----------
    path : str, path-like or iterable of these
        A file, a folder, a pattern such as ``"rows/*.parquet"``, or a list of files.
        The files of a pattern are sorted by name. Keys in the names of folders, such as
        ``"town=Oslo"``, are columns with the types of `pyarrow.parquet.read_table`:
        those below a folder, those below the part of a pattern without wildcards, and
        all in the paths of a list.
    label : str, default=None
        Column of the labels. None returns rows only.
    columns : iterable of str, default=None
        Columns of the rows; by default all but that of the labels, and but the index
        of pandas.
    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        Marker that takes the place of nulls among the labels: the parameter
        `unlabeled` of the estimator.

    Returns
    -------
    X : RowSource of shape (n_rows, n_features)
        Rows, for all methods of the estimators that take rows but `impute`. They are
        read when they are needed, one row group after the other, so that the files
        must not change. ``X[rows]``, with a slice, indices or a mask, is the same for
        some of the rows.
    y : ndarray of shape (n_rows,)
        Labels, in memory, with `unlabeled` in the place of nulls: integers, or dtype
        object with strings, booleans and the marker. Only if `label` is given.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file has no column of a name, one of another type, or one that the first
        file has not (unless `columns` is given); if `columns` is empty, has a name
        twice, or that of the labels; or if labels have both nulls and the marker, or
        integers that int64 cannot hold.
    TypeError
        If the labels are neither integers, strings nor booleans, or a parameter is of
        another type.
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

    files, base = _files(path)
    names = None if columns is None else _as_names(columns, label)
    if isinstance(unlabeled, bool | np.bool_):
        raise TypeError(
            f"unlabeled={unlabeled} is a boolean, which cannot be distinguished from "
            "the integers 0 and 1. Use a number, a string or None."
        )
    # The types of pyarrow.parquet.read_table, which takes no keys from the path of a
    # single file.
    keys = pyarrow.dataset.HivePartitioning.discover(infer_dictionary=True)
    data = pyarrow.dataset.dataset(
        files,
        format="parquet",
        partitioning=None if isinstance(files, str) and Path(files).is_file() else keys,
        partition_base_dir=base,
    )
    if not data.files:
        raise FileNotFoundError(f"There are no files in the folder {files!r}.")
    for name in [*(names or ()), *([] if label is None else [label])]:
        if name not in data.schema.names:
            raise ValueError(
                f"The files have no column {name!r}. Their columns are "
                f"{data.schema.names}."
            )
    if names is None:
        _check_no_others(data)
        left_out = [*index_columns(data.schema), label]
        names = [name for name in data.schema.names if name not in left_out]
    X = ArrowSource(data, "Parquet data set", names)
    if label is None:
        return X
    labels = ArrowSource(data, "Parquet data set", [label])
    parts = [_as_labels(part.column(0), label) for _, part in labels.chunks()]
    if not parts:
        parts = [_as_labels(labels.read(0, 0).column(0), label)]
    values = np.concatenate([part for part, _ in parts])
    is_null = np.concatenate([nulls for _, nulls in parts])
    return X, _mark_nulls(values, is_null, label, unlabeled)


def _files(path: Any) -> tuple[str | list[str], str | None]:
    """Return files, or a folder that exists, and the folder that a pattern starts in.

    Keys of folders are read from the parts of paths below the latter.
    """
    if isinstance(path, str | os.PathLike):
        text = os.fspath(path)
        if isinstance(text, str):
            return _matches(text)
    elif isinstance(path, Iterable) and not isinstance(path, bytes | bytearray):
        entries = list(path)
        if all(isinstance(entry, str | os.PathLike) for entry in entries):
            if not entries:
                raise FileNotFoundError("The list of files is empty.")
            return [os.fspath(entry) for entry in entries], None
        path = next(e for e in entries if not isinstance(e, str | os.PathLike))
    raise TypeError(
        "path must be a str or path-like, or a list of these, but got "
        f"{path!r} of type {type(path).__name__}."
    )


def _matches(text: str) -> tuple[str | list[str], str | None]:
    """Return the files of a pattern, or a folder or file that exists."""
    if Path(text).exists():
        return text, None
    found = sorted(file for file in glob(text, recursive=True) if Path(file).is_file())
    if not found:
        raise FileNotFoundError(f"There is no file {text!r}.")
    folders = Path(text).parts[:-1]
    fixed = next((i for i, part in enumerate(folders) if has_magic(part)), len(folders))
    return found, os.path.join(*folders[:fixed]) if fixed else ""


def _as_names(columns: Any, label: str | None) -> list[str]:
    """Return the names of the columns to read as a list."""
    refused = isinstance(columns, str | bytes | set | frozenset)
    if refused or not isinstance(columns, Iterable):
        raise TypeError(
            "columns must be a list of names in the order of the features, but got "
            f"{columns!r} of type {type(columns).__name__}."
        )
    names = list(columns)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"The names in columns must be strings, but got {name!r} of type "
                f"{type(name).__name__}."
            )
    names = [str(name) for name in names]  # of numpy
    if not names:
        raise ValueError("columns is empty. Name at least one, or pass None for all.")
    repeated = list(dict.fromkeys(name for name in names if names.count(name) > 1))
    if repeated:
        raise ValueError(f"columns has the names {repeated} several times.")
    if label is not None and label in names:
        raise ValueError(
            f"columns has the column of the labels, {label!r}, which must not be a "
            "feature. Remove it."
        )
    return names


def _check_no_others(data: Any) -> None:
    """Refuse a file with a column that the first file, which gives the schema, lacks.

    Whether it was read would depend on the order of the files.
    """
    first, index = data.files[0], index_columns(data.schema)
    known = set(data.schema.names) - set(index)
    for fragment in data.get_fragments():
        found = fragment.physical_schema
        expected = {*known, *(index_columns(found) or index)}
        for name in found.names:
            if name not in expected:
                raise ValueError(
                    f"{fragment.path} has a column {name!r}, which {first} has not. "
                    "Write all files with the same columns, or name those to read by "
                    "columns=[...]."
                )


def _as_labels(column: Any, name: str) -> tuple[Array, Mask]:
    """Return a column of labels as an array, with any value for nulls, and these."""
    import pyarrow as pa

    types, dtype = pa.types, column.type
    if types.is_dictionary(dtype):
        dtype = dtype.value_type
    is_null = np.asarray(column.is_null().to_numpy(), dtype=bool)
    if types.is_integer(dtype):
        try:
            numbers = column.cast(pa.int64()).fill_null(0)
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"Labels must be integers of at most 64 bits with a sign, but the "
                f"column {name!r} is of type {column.type} and has others ({error}). "
                "Convert it to strings, and write the files again."
            ) from error
        return np.asarray(numbers.to_numpy(), dtype=np.int64), is_null
    is_text = types.is_string(dtype) or types.is_large_string(dtype)
    if not (is_text or types.is_string_view(dtype) or types.is_boolean(dtype)):
        raise TypeError(
            f"Labels must be integers, strings or booleans, but the column {name!r} is "
            f"of type {column.type}. Convert it, and write the files again."
        )
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_pylist()
    return values, is_null


def _mark_nulls(values: Array, is_null: Mask, name: str, unlabeled: Any) -> Array:
    """Return labels with a marker in the place of nulls, which must not be a label."""
    if not is_null.any():
        return values
    if is_number(unlabeled) or isinstance(unlabeled, str):
        labels = values[~is_null].tolist()
        if any(not isinstance(v, bool) and v == unlabeled for v in labels):
            raise ValueError(
                f"The column {name!r} has both nulls and the value {unlabeled!r}, "
                "which marks unlabelled rows, so that one could not be told from the "
                "other. If both mean unlabelled, write the files with one of them; if "
                f"{unlabeled!r} is a class, pass another marker to from_parquet and to "
                "the estimator: unlabeled=None."
            )
    if values.dtype != object and not isinstance(unlabeled, int | np.integer):
        values = values.astype(object)
    values[is_null] = unlabeled
    return values
