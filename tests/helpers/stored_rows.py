"""Rows in files and lazy containers, which the estimators read in blocks."""

import numpy as np
import pytest

from sk_ssvae.data.sources import ArraySource

ARRAYS = ("memmap", "h5py", "h5py chunks", "zarr", "dask")
"""Kinds of arrays that `stored` makes."""

TABLES = ("parquet", "arrow", "dask frame")
"""Kinds of tables that `stored` makes of a data frame."""


class CountingSource(ArraySource):
    """An array that counts what is read of it."""

    def __init__(self, X, rows_per_block):
        super().__init__(X, "counting source")
        starts = np.arange(0, len(X), rows_per_block)
        self.limits = np.append(starts, len(X)).astype(np.int64)
        self.largest = 0
        self.reads = []

    def read(self, start, stop, columns=None):
        self.largest = max(self.largest, stop - start)
        self.reads.append(start)
        return np.asarray(self.X[start:stop])


def stored(kind, X, folder):
    """Return rows in a container that is not in memory.

    Parameters
    ----------
    kind : str
        One of `ARRAYS` for an array, one of `TABLES` for a data frame of pandas.
    X : ndarray or DataFrame
        Rows.
    folder : Path
        Where files are written.
    """
    if kind == "memmap":
        np.save(folder / "rows.npy", X)
        return np.load(folder / "rows.npy", mmap_mode="r")
    if kind.startswith("h5py"):
        h5py = pytest.importorskip("h5py")
        chunks = (70, 2) if kind.endswith("chunks") else None
        with h5py.File(folder / "rows.h5", "w") as file:
            file.create_dataset("rows", data=X, chunks=chunks)
        return h5py.File(folder / "rows.h5")["rows"]
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        rows = zarr.create_array(
            folder / "rows.zarr", shape=X.shape, chunks=(60, 2), dtype=X.dtype
        )
        rows[:] = X
        return rows
    if kind == "dask":
        array = pytest.importorskip("dask.array")
        return array.from_array(X, chunks=(90, 2))
    if kind == "dask frame":
        frames = pytest.importorskip("dask.dataframe")
        return frames.from_pandas(X, npartitions=4)
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pandas(X, preserve_index=False)
    if kind == "arrow":
        return pytest.importorskip("pyarrow.dataset").dataset(table)
    pq = pytest.importorskip("pyarrow.parquet")
    half = len(X) // 2
    for i, part in enumerate((table.slice(0, half), table.slice(half))):
        pq.write_table(part, folder / f"rows-{i}.parquet", row_group_size=30)
    from sk_ssvae.data import from_parquet

    return from_parquet(folder / "rows-*.parquet")
