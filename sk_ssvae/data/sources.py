"""Rows that are not in memory, and one interface to read them in blocks."""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from sk_ssvae.data.row_indices import row_indices
from sk_ssvae.utils.typing import Array, IntArray

__all__ = [
    "BLOCK_CELLS",
    "ArraySource",
    "DaskArraySource",
    "HDF5Source",
    "MappedSource",
    "RowSource",
    "RowSubset",
    "UnexpectedRowsError",
    "block_limits",
    "block_rows",
    "joined_frames",
    "mapped_file",
]

BLOCK_CELLS = 2**18
"""Number of cells up to which consecutive blocks of a storage are read together."""

MAX_JOINED_BLOCKS = 64
"""Number of times `BLOCK_CELLS` up to which the rows of a chunk are one block, if the
array is divided along columns, too: 64 MiB in single precision."""


class UnexpectedRowsError(ValueError):
    """Rows that were read are not those that were announced."""


class RowSource(ABC):
    """Rows that are read in blocks, as slices of consecutive rows.

    Indexing by a slice, indices or a mask of rows returns a `RowSubset`, so that the
    splitters and searches of scikit-learn can be used.

    Attributes
    ----------
    name : str
        Library and class of the object, for error messages.
    shape : tuple of int
        Numbers of rows and columns.
    names : list
        Names of the columns; positions in an array.
    limits : ndarray of int64 of shape (n_blocks + 1,)
        Positions at which blocks begin, and the number of rows. The rows of a block are
        stored together, so that it is best read as a whole.
    dtype : dtype or None
        That of an array; None for a table.
    takes_rows : bool
        Whether single rows are read as fast as blocks.
    in_memory : str
        Expression that loads X, the object that is read, for messages.
    """

    name: str
    shape: tuple[int, int]
    names: list[Any]
    limits: IntArray
    dtype: np.dtype[Any] | None = None
    takes_rows: bool = False
    in_memory: str = "X.read(0, len(X))"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of dimensions, 2."""
        return 2

    def __getitem__(self, rows: Any) -> RowSubset:
        """Return some of the rows, which are read when they are needed.

        Parameters
        ----------
        rows : slice, array-like of int, or of bool of shape (n_rows,)
            Rows. Indices may be in any order, and negative.

        Returns
        -------
        subset : RowSubset

        Raises
        ------
        TypeError
            If columns are indexed, or a single row.
        IndexError
            If an index is out of range.
        """
        if isinstance(rows, tuple) and len(rows) == 2 and rows[1] is Ellipsis:
            rows = rows[0]  # as scikit-learn indexes arrays
        is_slice = isinstance(rows, slice)
        if isinstance(rows, tuple) or (np.ndim(rows) == 0 and not is_slice):
            raise TypeError(
                f"X is a {self.name}, which is read in blocks: index it by a slice, an "
                f"array or a mask of rows, as X[:10], got X[{rows!r}]."
            )
        return RowSubset(self, row_indices(rows, len(self)))

    @abstractmethod
    def read(self, start: int, stop: int, columns: list[int] | None = None) -> Any:
        """Return consecutive rows as an array or a table in memory.

        Parameters
        ----------
        start, stop : int
            First row, and the one after the last.
        columns : list of int, default=None
            Columns of a table to read; all by default.

        Returns
        -------
        rows : ndarray, or table of pandas or Arrow
        """

    def take(self, rows: IntArray) -> Any:
        """Return rows by their indices, if `takes_rows`.

        Parameters
        ----------
        rows : ndarray of int64
            Indices, in any order.

        Returns
        -------
        rows : ndarray of shape (n, n_features)
        """
        raise NotImplementedError(f"{self.name} is read in blocks.")

    def chunks(self) -> Iterator[tuple[slice, Any]]:
        """Yield all rows, block by block.

        Yields
        ------
        where : slice
            Positions of the rows.
        rows : ndarray, or table of pandas or Arrow
            The rows.
        """
        for start, stop in pairwise(self.limits.tolist()):
            yield slice(start, stop), self.read(start, stop)


class RowSubset(RowSource):
    """Some of the rows of a source, read when they are needed.

    Parameters
    ----------
    source : RowSource
        All rows.
    rows : ndarray of int64 of shape (n_rows,)
        Indices of the rows.

    Attributes
    ----------
    is_sorted : bool
        Whether the indices increase. If not, the rows are one block, because those of
        smaller ones would lie in all blocks of the source.
    """

    def __init__(self, source: RowSource, rows: IntArray) -> None:
        self.source = source
        self.rows = rows
        self.name, self.names, self.dtype = source.name, source.names, source.dtype
        self.shape = (len(rows), source.shape[1])
        self.is_sorted = bool((np.diff(rows) >= 0).all())
        if self.is_sorted:
            self.limits = block_limits(np.bincount(self._blocks(rows)), self.shape[1])
        else:
            self.limits = np.array([0, len(rows)])

    def _blocks(self, rows: IntArray) -> IntArray:
        """Return the blocks of the source that rows are in."""
        return np.searchsorted(self.source.limits, rows, "right") - 1

    def __getitem__(self, rows: Any) -> RowSubset:
        return RowSubset(self.source, self.rows[super().__getitem__(rows).rows])

    def read(self, start: int, stop: int, columns: list[int] | None = None) -> Any:
        """See `RowSource.read`."""
        wanted = self.rows[start:stop]
        if len(wanted) == 0:
            return self.source.read(0, 0, columns)
        rows = np.sort(wanted)
        blocks, parts = self._blocks(rows), []
        for i in np.unique(blocks):
            low, high = self.source.limits[i : i + 2].tolist()
            part = self.source.read(low, high, columns)
            parts.append(_taken(part, rows[blocks == i] - low))
        joined = parts[0] if len(parts) == 1 else _joined(parts)
        if (rows == wanted).all():
            return joined
        position = np.empty(len(rows), dtype=np.int64)
        position[np.argsort(wanted, kind="stable")] = np.arange(len(rows))
        return _taken(joined, position)


def _taken(rows: Any, indices: IntArray) -> Any:
    """Return rows of an array, or of a table of pandas or Arrow."""
    if isinstance(rows, np.ndarray):
        return rows[indices]
    return rows.iloc[indices] if hasattr(rows, "iloc") else rows.take(indices)


def _joined(parts: list[Any]) -> Any:
    """Join arrays, or tables of pandas or Arrow."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    if hasattr(parts[0], "iloc"):
        return joined_frames(parts)
    import pyarrow as pa

    return pa.concat_tables(parts)


def joined_frames(frames: list[Any]) -> Any:
    """Join data frames of pandas, whose columns may have different categories."""
    import pandas as pd
    from pandas.api.types import union_categoricals

    joined = pd.concat(frames, ignore_index=True)
    for j, dtype in enumerate(frames[0].dtypes):
        if isinstance(dtype, pd.CategoricalDtype) and joined.dtypes.iloc[j] != dtype:
            parts = [frame.iloc[:, j] for frame in frames]
            joined.isetitem(j, pd.Series(union_categoricals(parts)))
    return joined


def block_rows(n_columns: int) -> int:
    """Return the number of rows of about `BLOCK_CELLS` cells, at least one."""
    return max(1, BLOCK_CELLS // max(1, n_columns))


def block_limits(sizes: Any, n_columns: int) -> IntArray:
    """Join blocks of a storage to blocks of about `BLOCK_CELLS` cells.

    Parameters
    ----------
    sizes : array-like of int of shape (n_blocks,)
        Numbers of rows of the blocks of the storage, which are never split.
    n_columns : int
        Number of columns.

    Returns
    -------
    limits : ndarray of int64 of shape (n_joined + 1,)
        Positions at which the joined blocks begin, and the number of rows.
    """
    limits, n_rows = [0], 0
    for size in sizes:
        if n_rows > limits[-1] and (n_rows - limits[-1] + size) * n_columns > (
            BLOCK_CELLS
        ):
            limits.append(n_rows)
        n_rows += int(size)
    if n_rows > limits[-1]:
        limits.append(n_rows)
    return np.array(limits, dtype=np.int64)


def _most_rows(chunk: tuple[int, ...], n_columns: int) -> int:
    """Return the largest number of rows of a block, at least one.

    A chunk is read as a whole, so that as many cells as it has are in memory anyway.
    """
    n_cells = int(chunk[0]) * min(int(chunk[1]), n_columns)
    return max(1, max(MAX_JOINED_BLOCKS * BLOCK_CELLS, n_cells) // max(1, n_columns))


class ArraySource(RowSource):
    """An array in a file: a data set of HDF5, an array of zarr, or one like these.

    Parameters
    ----------
    X : object of shape (n_rows, n_features)
        Has `shape`, `dtype`, `chunks`, and is read by slices of rows.
    name : str
        Library and class of the object.

    Raises
    ------
    ValueError
        If X has not two dimensions.
    TypeError
        If it does not hold numbers.
    """

    in_memory = "X[:]"

    def __init__(self, X: Any, name: str) -> None:
        self.X = X
        self.name = name
        self.dtype = _number_type(X, name)
        self.shape = (int(X.shape[0]), int(X.shape[1]))
        self.names = list(range(self.shape[1]))
        self.limits = self._limits()

    def _limits(self) -> IntArray:
        n_rows, n_columns = self.shape
        chunks = getattr(self.X, "chunks", None)
        size = block_rows(n_columns)
        if chunks is not None and not isinstance(chunks[0], int | np.integer):
            width = max(chunks[1], default=0)
            parts = [
                min(most, n - start)
                for n in chunks[0]
                for most in [_most_rows((n, width), n_columns)]
                for start in range(0, n, most)
            ]
            return block_limits(parts, n_columns)
        if chunks is not None:
            # An array of zarr may have shards of several chunks, which are a file each.
            n = (getattr(self.X, "shards", None) or chunks)[0]
            most = _most_rows(chunks, n_columns)
            if n > most:
                n = max(1, most // chunks[0]) * min(chunks[0], most)
            size = max(1, size // n) * n
        return np.append(np.arange(0, n_rows, size), n_rows).astype(np.int64)

    def read(self, start: int, stop: int, columns: list[int] | None = None) -> Any:
        """See `RowSource.read`."""
        return np.asarray(self.X[start:stop])


class HDF5Source(ArraySource):
    """A data set of h5py.

    Raises
    ------
    ValueError
        If its file is closed.
    """

    def __init__(self, X: Any, name: str) -> None:
        if not X:
            raise ValueError(
                f"X is a {name} of a file that is closed. Open the file, and keep it "
                "open during the call."
            )
        super().__init__(X, name)

    def read(self, start: int, stop: int, columns: list[int] | None = None) -> Any:
        """See `RowSource.read`.

        Raises
        ------
        UnexpectedRowsError
            If the file has become shorter: HDF5 would read zeros.
        """
        file = self.X.file
        # What is written may not be in the file yet.
        if file.mode == "r" and os.path.isfile(file.filename):
            needed, found = file.id.get_filesize(), os.path.getsize(file.filename)
            if found < needed:
                raise UnexpectedRowsError(
                    f"X is a {self.name} of a file that was cut short: "
                    f"{file.filename} has {found} bytes instead of {needed}. Write the "
                    "file again, and open it again."
                )
        return super().read(start, stop)


class DaskArraySource(ArraySource):
    """An array of Dask, of which chunks are computed when they are read.

    Raises
    ------
    ValueError
        If the number of rows is unknown.
    """

    in_memory = "X.compute()"

    def __init__(self, X: Any, name: str) -> None:
        if any(np.isnan(size) for size in X.shape):
            raise ValueError(
                f"X is a {name} whose number of rows is unknown: {X.shape}. Pass "
                "X.compute_chunk_sizes()."
            )
        super().__init__(X, name)

    def read(self, start: int, stop: int, columns: list[int] | None = None) -> Any:
        """See `RowSource.read`."""
        return self.X[start:stop].compute()


class MappedSource(ArraySource):
    """A memory map of numpy, whose rows are read in any order."""

    takes_rows = True

    def __init__(self, X: Any, name: str) -> None:
        super().__init__(X, name)
        self._array = np.asarray(X)

    @property
    def array(self) -> Array:
        """The array, whose file was found to be complete."""
        self.check()
        return self._array

    def check(self) -> None:
        """Raise an error if the file has become shorter.

        The process would end with a bus error on reading rows that are no longer there.

        Raises
        ------
        UnexpectedRowsError
        """
        mapped = mapped_file(self.X)
        if mapped is None:
            return
        first = self.X.offset - self.X.offset % mmap.ALLOCATIONGRANULARITY
        needed, found = first + len(mapped), mapped.size()
        if found < needed:
            raise UnexpectedRowsError(
                f"X is a {self.name} of a file that was cut short: "
                f"{self.X.filename} has {found} bytes, but {needed} were mapped. Write "
                "the file again, and map it again."
            )

    def read(self, start: int, stop: int, columns: list[int] | None = None) -> Any:
        """See `RowSource.read`."""
        return self.array[start:stop]

    def take(self, rows: IntArray) -> Any:
        """See `RowSource.take`."""
        return self.array[rows]


def mapped_file(X: Any) -> mmap.mmap | None:
    """Return the map that an array is a view of, None if it is in memory."""
    base = X
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _number_type(X: Any, name: str) -> np.dtype[Any]:
    """Return the type of an array of numbers with two dimensions."""
    if len(X.shape) != 2:
        raise ValueError(
            f"Expected 2D array, got {len(X.shape)}D array instead: X is a {name} of "
            f"shape {tuple(X.shape)}. Reshape it to (n_samples, n_features)."
        )
    dtype: np.dtype[Any] = np.dtype(X.dtype)
    if dtype.kind not in "biuf":
        raise TypeError(
            f"X is a {name} of dtype {dtype}, but rows that are read in blocks must be "
            "numbers. Convert it to numbers, or pass a table with typed columns."
        )
    return dtype
