"""Arrays by chunks of rows: what memory a computation takes does not grow with them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["CELLS", "row_chunks", "row_parts", "shared_tensor"]

CELLS = 2**20
"""Numbers in the largest array of a chunk: 4 MiB in single precision, near what the
cache of a core holds. Larger chunks are no faster, and several times slower where the
system hands out fresh pages for each."""


def row_chunks(n_rows: int, cells_per_row: int, cells: int = CELLS) -> Iterator[slice]:
    """Slices of rows that keep a computation on them near `cells` numbers.

    Parameters
    ----------
    n_rows : int
        Number of rows in all.
    cells_per_row : int
        Numbers that one row takes in the largest intermediate result.
    cells : int
        Budget of a chunk.

    Yields
    ------
    chunk : slice
        Consecutive, together all rows.
    """
    size = max(1, cells // max(1, cells_per_row))
    for start in range(0, n_rows, size):
        yield slice(start, min(n_rows, start + size))


def row_parts(
    X: npt.NDArray[Any], where: npt.NDArray[np.bool_] | None = None
) -> Iterator[tuple[slice | npt.NDArray[np.int64], npt.NDArray[Any]]]:
    """Chunks of the rows that count, views where all of them do.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Rows.
    where : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Yields
    ------
    rows : slice or ndarray of int64
        Which rows.
    part : ndarray of shape (<= chunk, n_features)
        Those rows; never empty.
    """
    for chunk in row_chunks(len(X), X.shape[1]):
        if where is None:
            yield chunk, X[chunk]
        elif where[chunk].any():
            rows = chunk.start + np.flatnonzero(where[chunk])
            yield rows, X[rows]


def shared_tensor(X: npt.NDArray[Any]) -> Tensor:
    """Tensor on the memory of an array that nobody is going to write to.

    Like ``torch.from_numpy``, which warns of arrays that are read-only, such as memory
    maps, and refuses some views; the latter are copied.
    """
    if any(stride < 0 or stride % X.itemsize for stride in X.strides):
        X = X.copy()
    if X.flags.writeable:
        return torch.from_numpy(X)
    return torch.from_numpy(np.asarray(_Writeable(X)))


class _Writeable:
    """An array's memory under numpy's array interface, not marked as read-only."""

    def __init__(self, X: npt.NDArray[Any]) -> None:
        self.X = X  # keeps the memory alive
        interface = X.__array_interface__
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}
