"""Sources of tables: data frames of Dask, and data sets and tables of pyarrow."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from sk_ssvae.data.arrow_files import (
    Stamp,
    changed,
    check_unchanged,
    index_columns,
    local_path,
    stamp,
)
from sk_ssvae.data.row_sources import (
    RowSource,
    UnexpectedRowsError,
    block_limits,
    block_rows,
    joined_frames,
)
from sk_ssvae.utils.typing import IntArray

__all__ = ["ArrowSource", "DaskFrameSource", "TableSource"]


class _PartitionedSource(RowSource):
    """A table in parts, each of which is read as a whole or not at all.

    Parameters
    ----------
    name : str
        Library and class of the object.
    names : list
        Names of the columns.
    sizes : ndarray of int64 of shape (n_parts,)
        Numbers of rows of the parts.
    """

    def __init__(self, name: str, names: list[Any], sizes: IntArray) -> None:
        self.name = name
        self.names = names
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.shape = (int(self.starts[-1]), len(names))
        self.limits = block_limits(sizes, len(names))

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, slice]]:
        """Yield the parts that consecutive rows are in, and which of their rows."""
        if start == stop:
            return
        first, last = np.searchsorted(self.starts, [start, stop - 1], "right")
        for i in range(first - 1, last):
            low, high = self.starts[i : i + 2].tolist()
            if high > low:
                yield i, slice(max(start - low, 0), min(stop, high) - low)


class DaskFrameSource(_PartitionedSource):
    """A data frame of Dask, whose partitions are computed when they are read.

    Parameters
    ----------
    X : dask.dataframe.DataFrame
        Its partitions are counted first, which computes each of them once.
    name : str
        Library and class of the object.
    """

    in_memory = "X.compute()"

    def __init__(self, X: Any, name: str) -> None:
        sizes = X.map_partitions(len).compute()
        super().__init__(name, list(X.columns), np.asarray(sizes, dtype=np.int64))
        self.X = X

    def read(self, start: int, stop: int, columns: list[int] | None = None) -> Any:
        """See `RowSource.read`."""
        import pandas as pd

        expected = self.X.dtypes
        frames = []
        for i, rows in self.parts(start, stop):
            frame = self.X.get_partition(i).compute()
            if list(frame.columns) != self.names:
                raise UnexpectedRowsError(
                    f"Partition {i} of X ({self.name}) has the columns "
                    f"{list(frame.columns)} instead of {self.names}. All partitions "
                    "must have the columns of X."
                )
            for j, (found, dtype) in enumerate(
                zip(frame.dtypes, expected, strict=True)
            ):
                # The categories of a partition may be unknown to Dask.
                if found != dtype and str(found) != str(dtype):
                    raise UnexpectedRowsError(
                        f"Partition {i} of X ({self.name}) has the type {found} in "
                        f"column {self.names[j]!r}, but X announces {dtype}. Convert "
                        f"all partitions, for instance by X.astype({str(dtype)!r})."
                    )
            frames.append(frame.iloc[rows])
        if not frames:
            frames = [self.X.get_partition(0).compute().iloc[:0]]
        frame = frames[0] if len(frames) == 1 else joined_frames(frames)
        assert isinstance(frame, pd.DataFrame)
        return frame if columns is None else frame.iloc[:, columns]


class TableSource(_PartitionedSource):
    """Tables of pyarrow, which may be maps of files, in blocks of rows.

    Parameters
    ----------
    X : pyarrow.dataset.InMemoryDataset
        Rows.
    name : str
        Library and class of the object.

    Raises
    ------
    ValueError
        If names of columns are repeated.
    """

    in_memory = "X.to_table()"

    def __init__(self, X: Any, name: str) -> None:
        _check_unique(X.schema.names)
        table = X.to_table()
        size = block_rows(table.num_columns)
        starts = np.append(np.arange(0, table.num_rows, size), table.num_rows)
        super().__init__(name, table.column_names, np.diff(starts))
        self.table = table

    def read(self, start: int, stop: int, columns: list[int] | None = None) -> Any:
        """See `RowSource.read`."""
        table = self.table if columns is None else self.table.select(columns)
        return table.slice(start, stop - start)


class ArrowSource(_PartitionedSource):
    """A data set of pyarrow, such as a folder of Parquet files.

    The parts are the row groups of Parquet files, and whole files of other formats.

    Parameters
    ----------
    X : pyarrow.dataset.Dataset
        Rows.
    name : str
        Library and class of the object.
    columns : list of str, default=None
        Names of the columns to read; by default all but the index of pandas.

    Raises
    ------
    ValueError
        If names of columns are repeated, a file has no column of a name, or one of
        another type, or a file has changed since X was made.
    TypeError
        If the data set has a filter.
    """

    in_memory = "X.to_table()"

    def __init__(self, X: Any, name: str, columns: list[str] | None = None) -> None:
        names = columns
        if names is None:
            index = index_columns(X.schema)
            names = [name for name in X.schema.names if name not in index]
        _check_unique(names)
        self.schema = X.schema
        self.groups: list[Any] = []
        self.files: list[tuple[str, Stamp] | None] = []
        sizes: list[int] = []
        for fragment in _files_of(X, name):
            path = local_path(fragment)
            file = None if path is None else (path, stamp(path))
            check_unchanged(fragment, name)
            _check_columns(fragment, X.schema, names)
            for part, size in _row_groups(fragment):
                self.groups.append(part)
                self.files.append(file)
                sizes.append(size)
        super().__init__(name, list(names), np.array(sizes, dtype=np.int64))

    def read(self, start: int, stop: int, columns: list[int] | None = None) -> Any:
        """See `RowSource.read`.

        Raises
        ------
        UnexpectedRowsError
            If a file has changed: pyarrow would read it at the positions it had.
        """
        import pyarrow as pa

        names = self.names if columns is None else [self.names[j] for j in columns]
        tables = []
        for i, rows in self.parts(start, stop):
            file = self.files[i]
            if file is not None and stamp(file[0]) != file[1]:
                raise changed(file[0], self.name)
            options = {} if file is None else _read_directly(self.groups[i])
            part = self.groups[i].to_table(schema=self.schema, columns=names, **options)
            tables.append(part.slice(rows.start, rows.stop - rows.start))
        if not tables:
            return self.schema.empty_table().select(names)
        return tables[0] if len(tables) == 1 else pa.concat_tables(tables)


def _read_directly(part: Any) -> dict[str, Any]:
    """Return the options to decode a row group from a local file as it is read.

    By default pyarrow copies its bytes to a buffer first, for remote files: that takes
    as much time as decoding them.
    """
    from pyarrow.dataset import ParquetFragmentScanOptions

    if not hasattr(part, "row_groups"):
        return {}
    return {"fragment_scan_options": ParquetFragmentScanOptions(pre_buffer=False)}


def _check_unique(names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"X has several columns of the same name: {repeated}. Column names must be "
            "unique."
        )


def _files_of(X: Any, name: str) -> list[Any]:
    """Return the files of a data set, which must not have a filter."""
    try:
        return list(X.get_fragments())
    except ValueError as error:
        raise TypeError(
            f"X is a {name} with a filter, whose rows cannot be read in blocks "
            f"({error}). Write the rows to files, or pass X.to_table() if they fit "
            "into memory."
        ) from error


def _row_groups(fragment: Any) -> Iterator[tuple[Any, int]]:
    """Yield the parts of a file that are read as a whole, and their sizes."""
    if not hasattr(fragment, "row_groups"):
        yield fragment, fragment.count_rows()
        return
    for group in fragment.row_groups:
        if group.num_rows:
            yield fragment.subset(row_group_ids=[group.id]), group.num_rows


def _check_columns(fragment: Any, schema: Any, names: list[str]) -> None:
    """Refuse a file without a column, or with one of another type."""
    import pyarrow as pa
    from pyarrow.dataset import get_partition_keys

    in_path = get_partition_keys(fragment.partition_expression)
    found = fragment.physical_schema
    path = getattr(fragment, "path", "a fragment")
    for name in names:
        if name in in_path:
            continue
        position = found.get_field_index(name)
        if position < 0:
            raise ValueError(
                f"{path} has no column {name!r}, which the data set has. Its columns "
                f"are {found.names}."
            )
        if found.field(position).type not in (schema.field(name).type, pa.null()):
            raise ValueError(
                f"{path} has a column {name!r} of type {found.field(position).type}, "
                f"but the data set announces {schema.field(name).type}. Write all "
                "files with the same types."
            )
