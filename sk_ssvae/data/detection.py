"""Which objects hold rows that are read in blocks."""

from typing import Any

import numpy as np
from scipy import sparse

from sk_ssvae.data.loading import has_chunks, name_of
from sk_ssvae.data.row_sources import RowSource, RowSubset
from sk_ssvae.data.source_cells import fits_buffer
from sk_ssvae.data.sources import (
    ArraySource,
    DaskArraySource,
    HDF5Source,
    MappedSource,
    mapped_file,
)
from sk_ssvae.data.table_sources import ArrowSource, DaskFrameSource, TableSource

__all__ = ["as_source"]


def as_source(X: Any) -> RowSource | None:
    """Return rows that are not in memory as a source.

    Objects are recognised by the module of their class: no library is imported before
    the user does.

    Parameters
    ----------
    X : object
        Rows as the user passed them.

    Returns
    -------
    source : RowSource or None
        Of a source itself, a memory map of numpy, a data set of h5py, an array of zarr
        or another one that is stored in chunks, an array or a data frame of Dask, and a
        data set of pyarrow. None for everything else, and for arrays that do not hold
        numbers, which can only be read as a whole.

    Raises
    ------
    ValueError
        If it has not two dimensions, the number of its rows is unknown, its file is
        closed or was cut short, files have other columns than the data set, or X is a
        subset of many rows of a source in another order.
    TypeError
        If it is a file or a group of arrays, or a data set with a filter.
    """
    if isinstance(X, RowSubset) and not X.is_sorted and not fits_buffer(X):
        raise ValueError(
            f"X has {len(X)} rows of a {X.name} in an order of its own, so that every "
            "block would be read many times. Sort their indices, also with "
            "train_test_split(..., shuffle=False), or keep the files of the test rows "
            'apart: X_test, y_test = from_parquet("test-*.parquet", label=...).'
        )
    if isinstance(X, RowSource):
        return X
    if isinstance(X, np.memmap):
        is_rows = X.ndim == 2 and _holds_numbers(X) and mapped_file(X) is not None
        return MappedSource(X, "numpy memmap") if is_rows else None
    if isinstance(X, np.ndarray | list | tuple) or sparse.issparse(X):
        return None
    bases = {(c.__module__.partition(".")[0], c.__name__) for c in type(X).__mro__}
    libraries = {library for library, _ in bases}
    if libraries & {"dask", "dask_expr"}:
        if type(X).__name__ == "DataFrame":
            return DaskFrameSource(X, name_of(X))
        is_array = type(X).__name__ == "Array" and _holds_numbers(X)
        return DaskArraySource(X, name_of(X)) if is_array else None
    if ("pyarrow", "InMemoryDataset") in bases:
        return TableSource(X, name_of(X))
    if ("pyarrow", "Dataset") in bases:
        return ArrowSource(X, name_of(X))
    if ("h5py", "Dataset") in bases:
        # A data set of a closed file, which is an error, has no type.
        return HDF5Source(X, name_of(X)) if not X or _holds_numbers(X) else None
    if ("zarr", "Array") in bases or has_chunks(X):
        return ArraySource(X, name_of(X)) if _holds_numbers(X) else None
    if libraries & {"h5py", "zarr"}:
        raise TypeError(
            f"X is a {name_of(X)}, which holds arrays and other groups. Pass one of "
            "its arrays: X['name']."
        )
    return None


def _holds_numbers(X: Any) -> bool:
    """Return whether the type of an array is one of real numbers or booleans."""
    return np.dtype(X.dtype).kind in "biuf"
