"""Files of data sets of pyarrow: the index of pandas in them, and changed files."""

import json
import os
from typing import Any

from sk_ssvae.data.row_sources import UnexpectedRowsError

__all__ = [
    "Stamp",
    "changed",
    "check_unchanged",
    "index_columns",
    "local_path",
    "stamp",
]

Stamp = tuple[int, int, int]
"""Time of the last change in ns, size in bytes, and inode of a file."""


def index_columns(schema: Any) -> list[str]:
    """Return the names of the columns in which pandas stored its index.

    Parameters
    ----------
    schema : pyarrow.Schema
        Schema, whose metadata are those that `pandas.DataFrame.to_parquet` writes.

    Returns
    -------
    names : list of str
        Empty if there are no such metadata, or the index is a range.
    """
    stored = (schema.metadata or {}).get(b"pandas")
    if stored is None:
        return []
    try:
        index = json.loads(stored)["index_columns"]
        # A range is described by a dict, and is no column.
        return [name for name in index if isinstance(name, str)]
    except (ValueError, KeyError, TypeError):
        return []  # not written by pandas


def stamp(path: str) -> Stamp:
    """Return what differs after a file was written again.

    Parameters
    ----------
    path : str
        A file.

    Returns
    -------
    stamp : Stamp
    """
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


def local_path(fragment: Any) -> str | None:
    """Return the path of a file of this machine, None for anything else.

    Parameters
    ----------
    fragment : pyarrow.dataset.Fragment
        Part of a data set.

    Returns
    -------
    path : str or None
        Path of the file, as pyarrow opens it.
    """
    import pyarrow.fs

    filesystem = getattr(fragment, "filesystem", None)
    path = str(getattr(fragment, "path", ""))
    while isinstance(filesystem, pyarrow.fs.SubTreeFileSystem):
        path = os.path.join(filesystem.base_path, path)
        filesystem = filesystem.base_fs
    return path if isinstance(filesystem, pyarrow.fs.LocalFileSystem) else None


def check_unchanged(fragment: Any, name: str) -> None:
    """Refuse a Parquet file that was written again after its footer was read.

    A data set keeps the footers of its files, also between calls of the estimators.

    Parameters
    ----------
    fragment : pyarrow.dataset.Fragment
        A file; passed if it is not a Parquet file of this machine.
    name : str
        Library and class of the data set.

    Raises
    ------
    UnexpectedRowsError
        If the file has another footer.
    """
    path = local_path(fragment)
    if path is None or not hasattr(fragment, "row_groups"):
        return
    anew = fragment.format.make_fragment(fragment.path, fragment.filesystem)
    if not _are_same(anew.metadata, fragment.metadata):
        raise changed(path, name)


def _are_same(first: Any, second: Any) -> bool:
    """Return whether two footers of Parquet describe the same content."""
    if first.equals(second):
        return True
    # Those from a file _metadata also have the paths of the files.
    groups, columns = range(first.num_row_groups), range(first.num_columns)
    return bool(
        first.num_row_groups == second.num_row_groups
        and first.schema.equals(second.schema)
        and all(
            first.row_group(i).column(j).equals(second.row_group(i).column(j))
            for i in groups
            for j in columns
        )
    )


def changed(path: str, name: str) -> UnexpectedRowsError:
    """Return the error of a file that was written again.

    Parameters
    ----------
    path : str
        The file.
    name : str
        Library and class of the data set.

    Returns
    -------
    error : UnexpectedRowsError
    """
    return UnexpectedRowsError(
        f"X is a {name} of a file that has changed since X was made: {path}. Call "
        "from_parquet, or pyarrow.dataset.dataset, again."
    )
