"""Process arrays in chunks of rows, so that memory use is independent of their size."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = [
    "BOUND_CELLS",
    "CELLS",
    "SparseRows",
    "dense",
    "is_sparse",
    "iter_row_chunks",
    "row_chunks",
    "tensor_sharing_memory",
]

CELLS = 2**20
"""Number of elements in the largest array of a chunk: 4 MiB in single precision, about
the cache size of one core. Larger chunks are not faster, and are several times slower
where the operating system maps fresh pages for each of them."""


BOUND_CELLS = 2**22
"""Number of elements per chunk in evaluations of the bound, whose largest array has an
element per row, class, draw and output of the decoder. Common data fit one chunk."""


def row_chunks(n_rows: int, cells_per_row: int, cells: int = CELLS) -> Iterator[slice]:
    """Yield slices of rows, each of about `cells` elements.

    Parameters
    ----------
    n_rows : int
        Total number of rows.
    cells_per_row : int
        Number of elements per row in the largest intermediate array.
    cells : int
        Maximum number of elements per chunk. A chunk has at least one row.

    Yields
    ------
    chunk : slice
        Consecutive rows. The chunks together cover all rows.
    """
    size = max(1, cells // max(1, cells_per_row))
    for start in range(0, n_rows, size):
        yield slice(start, min(n_rows, start + size))


def iter_row_chunks(
    X: Any, where: Mask | None = None
) -> Iterator[tuple[slice | IntArray, Array]]:
    """Yield the rows of an array as dense chunks.

    Parameters
    ----------
    X : ndarray, sparse array or SourceCells of shape (n_rows, n_features)
        Rows.
    where : ndarray of bool of shape (n_rows,), default=None
        Rows to include. None includes all rows; chunks of a dense array are then views.

    Yields
    ------
    rows : slice or ndarray of int64
        Indices of the rows of the chunk.
    part : ndarray of shape (n_chunk, n_features)
        These rows, dense and not empty.
    """
    for chunk in row_chunks(X.shape[0], X.shape[1]):
        if where is None:
            yield chunk, dense(X[chunk])
        elif where[chunk].any():
            rows = chunk.start + np.flatnonzero(where[chunk])
            yield rows, dense(X[rows])


def dense(X: Any) -> Array:
    """Return a dense array; an array that is already dense is not copied."""
    array: Array = X.toarray() if is_sparse(X) else X
    return array


def is_sparse(X: Any) -> bool:
    """Return whether X is a scipy sparse array or matrix."""
    return bool(sparse.issparse(X))


def tensor_sharing_memory(X: Any) -> Tensor:
    """Return a tensor that shares memory with an array.

    The tensor must not be written to. Unlike ``torch.from_numpy``, this does not warn
    about read-only arrays such as memory maps. Views that torch does not support
    (negative strides) are copied, and a sparse array is converted to a dense one.

    Parameters
    ----------
    X : ndarray or sparse array
        Array of a dtype that torch supports.

    Returns
    -------
    tensor : Tensor of the same shape and dtype
    """
    X = dense(X)
    if any(stride < 0 or stride % X.itemsize for stride in X.strides):
        X = X.copy()
    if X.flags.writeable:
        return torch.from_numpy(X)
    return torch.from_numpy(np.asarray(_WriteableArrayInterface(X)))


class _WriteableArrayInterface:
    """Array interface of a read-only array that claims that it is writeable."""

    def __init__(self, X: Array) -> None:
        self.X = X  # keeps the memory alive
        interface = X.__array_interface__
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}


class SparseRows:
    """Rows of a sparse array, converted to dense tensors one batch at a time.

    Implements the part of the tensor interface that `sk_ssvae.training.rows.Rows`
    uses.

    Parameters
    ----------
    X : sparse array of shape (n_rows, n_features)
        Rows in CSR format.
    device : torch.device
        Device of the batches.
    """

    dtype = torch.float32

    def __init__(self, X: Any, device: torch.device) -> None:
        self.X = X
        self.device = device

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def index_select(self, dim: int, which: Tensor) -> Tensor:
        """Return the rows with these indices as a dense tensor."""
        return torch.from_numpy(self.X[which.cpu().numpy()].toarray()).to(self.device)
