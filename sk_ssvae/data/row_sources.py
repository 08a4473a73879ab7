"""Rows that are not in memory, and one interface to read them in blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from sk_ssvae.data.row_indices import row_indices
from sk_ssvae.utils.typing import IntArray

__all__ = [
    "BLOCK_CELLS",
    "RowSource",
    "RowSubset",
    "UnexpectedRowsError",
    "block_limits",
    "block_rows",
    "joined_frames",
    "most_rows",
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

    def block_of(self, rows: IntArray) -> IntArray:
        """Return the numbers of the blocks that rows are in, by their indices."""
        return np.searchsorted(self.limits, rows, "right") - 1

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
            self.limits = block_limits(
                np.bincount(source.block_of(rows)), self.shape[1]
            )
        else:
            self.limits = np.array([0, len(rows)])

    def __getitem__(self, rows: Any) -> RowSubset:
        return RowSubset(self.source, self.rows[super().__getitem__(rows).rows])

    def read(self, start: int, stop: int, columns: list[int] | None = None) -> Any:
        """See `RowSource.read`."""
        wanted = self.rows[start:stop]
        if len(wanted) == 0:
            return self.source.read(0, 0, columns)
        rows = np.sort(wanted)
        blocks, parts = self.source.block_of(rows), []
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


def most_rows(chunk: tuple[int, ...], n_columns: int) -> int:
    """Return the largest number of rows of a block of an array in chunks, at least one.

    A chunk is read as a whole, so that as many cells as it has are in memory anyway.

    Parameters
    ----------
    chunk : tuple of int
        Numbers of rows and columns of a chunk.
    n_columns : int
        Number of columns of the array.

    Returns
    -------
    n_rows : int
    """
    n_cells = int(chunk[0]) * min(int(chunk[1]), n_columns)
    return max(1, max(MAX_JOINED_BLOCKS * BLOCK_CELLS, n_cells) // max(1, n_columns))
