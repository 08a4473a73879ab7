"""Batches of named columns: those of an estimator are taken, those of results added."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import narwhals.stable.v2 as nw
import numpy as np

from sk_ssvae.utils.typing import Array

__all__ = ["FrameLibrary", "add_columns", "column_names", "select_columns"]

FrameLibrary: TypeAlias = Literal["pandas", "polars", "pyarrow"]
"""Libraries of data frames."""

_MAX_NAMES = 10
"""Number of names in an error message."""


def column_names(batch: Any) -> list[Any]:
    """Return the names of the columns of a batch.

    Parameters
    ----------
    batch : mapping of str to array-like, data frame, or record batch of Arrow
        Columns of equal length.

    Returns
    -------
    names : list

    Raises
    ------
    TypeError
        If the batch has no named columns.
    """
    names: list[Any] = list(batch if _is_mapping(batch) else _as_frame(batch).columns)
    return names


def select_columns(
    batch: Any, names: list[str], *, owner: str, library: FrameLibrary
) -> Any:
    """Return columns of a batch as a data frame.

    Parameters
    ----------
    batch : mapping of str to array-like, data frame, or record batch of Arrow
        As for `column_names`.
    names : list of str
        The columns, in the order of the result.
    owner : str
        Class of the estimator that needs them, for the error message.
    library : {"pandas", "polars", "pyarrow"}
        Library of the frame that is made of a mapping.

    Returns
    -------
    X : data frame or table of shape (n_rows, n_names)

    Raises
    ------
    TypeError
        If the batch has no named columns.
    ValueError
        If columns are missing, or a column of a mapping has several dimensions.
    """
    given = column_names(batch)
    missing = [name for name in names if name not in set(given)]
    if missing:
        raise ValueError(
            f"The batch lacks the columns {_shortened(missing)}, with which {owner} "
            f"was fitted. Its columns are {_shortened(given)}."
        )
    if not _is_mapping(batch):
        return _as_frame(batch).select(names).to_native()
    columns = {name: np.asarray(batch[name]) for name in names}
    for name, values in columns.items():
        if values.ndim != 1:
            raise ValueError(
                f"The column {name!r} of the batch has the shape {values.shape}. "
                "Columns must have one dimension."
            )
    return nw.from_dict(columns, backend=library).to_native()


def add_columns(batch: Any, columns: Mapping[str, Array]) -> Any:
    """Return a batch with further columns.

    Parameters
    ----------
    batch : mapping of str to array-like, data frame, or record batch of Arrow
        As for `column_names`.
    columns : mapping of str to ndarray of shape (n_rows,)
        The new columns. They must not be arrays of objects, whose type is unknown if
        there are no rows.

    Returns
    -------
    batch : dict, data frame, or record batch of Arrow
        Of the same kind, with the same rows and the same index.
    """
    if _is_mapping(batch):
        return {**batch, **columns}
    frame = _as_frame(batch)
    backend = frame.implementation
    added = frame.with_columns(
        *(nw.new_series(name, v, backend=backend) for name, v in columns.items())
    ).to_native()
    if not _is_record_batch(batch):
        return added
    import pyarrow as pa

    arrays = [column.combine_chunks() for column in added.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=added.schema)


def _as_frame(batch: Any) -> Any:
    """Return a frame of narwhals."""
    if _is_record_batch(batch):
        return nw.from_arrow(batch, backend="pyarrow")
    if not nw.dependencies.is_into_dataframe(batch):
        raise TypeError(
            "A batch must be a dict of arrays, a data frame, or a table or record "
            f"batch of Arrow, got an object of type {type(batch).__name__}."
        )
    return nw.from_native(batch, eager_only=True)


def _is_mapping(batch: Any) -> bool:
    return isinstance(batch, Mapping)


def _is_record_batch(batch: Any) -> bool:
    pyarrow = nw.dependencies.get_pyarrow()  # None unless it is imported
    return pyarrow is not None and isinstance(batch, pyarrow.RecordBatch)


def _shortened(names: list[Any]) -> str:
    listed = ", ".join(map(repr, names[:_MAX_NAMES]))
    return f"[{listed}{', ...' if len(names) > _MAX_NAMES else ''}]"
