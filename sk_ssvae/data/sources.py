"""Sources of arrays: memory maps, h5py, zarr, Dask, and other arrays in chunks."""

import mmap
import os
from typing import Any

import numpy as np

from sk_ssvae.data.row_sources import (
    RowSource,
    UnexpectedRowsError,
    block_limits,
    block_rows,
    most_rows,
)
from sk_ssvae.utils.typing import Array, IntArray

__all__ = [
    "ArraySource",
    "DaskArraySource",
    "HDF5Source",
    "MappedSource",
    "mapped_file",
]


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
                for most in [most_rows((n, width), n_columns)]
                for start in range(0, n, most)
            ]
            return block_limits(parts, n_columns)
        if chunks is not None:
            # An array of zarr may have shards of several chunks, which are a file each.
            n = (getattr(self.X, "shards", None) or chunks)[0]
            most = most_rows(chunks, n_columns)
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
