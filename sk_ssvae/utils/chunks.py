"""Arrays by chunks of rows: what memory a computation takes does not grow with them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

__all__ = [
    "CELLS",
    "SparseRows",
    "dense",
    "is_sparse",
    "iter_row_chunks",
    "row_chunks",
    "tensor_sharing_memory",
]

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


def iter_row_chunks(
    X: npt.NDArray[Any], where: npt.NDArray[np.bool_] | None = None
) -> Iterator[tuple[slice | npt.NDArray[np.int64], npt.NDArray[Any]]]:
    """Chunks of the rows that count, views where all of them do.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Rows.
    where : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Yields
    ------
    rows : slice or ndarray of int64
        Which rows.
    part : ndarray of shape (<= chunk, n_features)
        Those rows, dense; never empty.
    """
    for chunk in row_chunks(X.shape[0], X.shape[1]):
        if where is None:
            yield chunk, dense(X[chunk])
        elif where[chunk].any():
            rows = chunk.start + np.flatnonzero(where[chunk])
            yield rows, dense(X[rows])


def dense(X: Any) -> npt.NDArray[Any]:
    """Return an array of what may be a sparse one."""
    array: npt.NDArray[Any] = X.toarray() if is_sparse(X) else X
    return array


def is_sparse(X: Any) -> bool:
    """Whether rows are a sparse array or matrix of scipy's."""
    return bool(sparse.issparse(X))


def tensor_sharing_memory(X: Any) -> Tensor:
    """Tensor on the memory of an array that nobody is going to write to.

    Like ``torch.from_numpy``, which warns of arrays that are read-only, such as memory
    maps, and refuses some views; the latter are copied. Of a sparse array a dense one.
    """
    X = dense(X)
    if any(stride < 0 or stride % X.itemsize for stride in X.strides):
        X = X.copy()
    if X.flags.writeable:
        return torch.from_numpy(X)
    return torch.from_numpy(np.asarray(_Writeable(X)))


class SparseRows:
    """Rows of a sparse array that become dense a batch at a time.

    As much of a tensor as `sk_ssvae.training.batches.Rows` needs.

    Parameters
    ----------
    X : sparse array of shape (n_rows, n_features)
        In rows (CSR).
    device : torch.device
        Where the batches go.
    """

    dtype = torch.float32

    def __init__(self, X: Any, device: torch.device) -> None:
        self.X = X
        self.device = device

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def index_select(self, dim: int, which: Tensor) -> Tensor:
        """Rows by number, dense."""
        return torch.from_numpy(self.X[which.cpu().numpy()].toarray()).to(self.device)


class _Writeable:
    """An array's memory under numpy's array interface, not marked as read-only."""

    def __init__(self, X: npt.NDArray[Any]) -> None:
        self.X = X  # keeps the memory alive
        interface = X.__array_interface__
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}
