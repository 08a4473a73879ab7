"""Cells of rows that are read in blocks, in the place of an array of all cells."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_ssvae.data.row_indices import row_indices
from sk_ssvae.data.row_sources import RowSource, UnexpectedRowsError
from sk_ssvae.data.scaling import ColumnScaling, RowEncoder
from sk_ssvae.data.sorted_rows import SortedRows
from sk_ssvae.data.sources import MappedSource
from sk_ssvae.utils.chunks import row_chunks, tensor_sharing_memory
from sk_ssvae.utils.random import shuffled_passes
from sk_ssvae.utils.typing import Array, IntArray

__all__ = [
    "BUFFER_CELLS",
    "PERMUTED_CELLS",
    "SourceCells",
    "SourceRows",
    "SourceSubset",
    "fits_buffer",
    "read_rows",
]

BUFFER_CELLS = 2**26
"""Number of cells of the blocks that are kept in memory: 256 MiB in float32."""

PERMUTED_CELLS = 2**29
"""Largest number of cells of a memory map of which an epoch is a permutation of all
rows, as in memory: 2 GiB in float32. Where memory does not hold the pages of a larger
file, each would be read many times."""

N_GROUPS = 4
"""Number of groups of blocks that the buffer holds. Rows are shuffled within groups.
Minibatches take labelled and unlabelled rows, each from at most two groups."""


class SourceCells:
    """Cells of a source, of which the needed rows are read and converted.

    It has the part of the interface of arrays that code for many rows uses: `shape`,
    `dtype`, `len` and indexing by rows. The blocks that were read last are kept in
    memory, up to `BUFFER_CELLS` cells.

    Parameters
    ----------
    source : RowSource
        The rows.
    convert : callable
        Maps rows as the source returns them to cells, an array of shape
        (n, n_features).
    dtype : dtype
        float32 or float64, that of all cells.
    """

    ndim = 2

    def __init__(
        self, source: RowSource, convert: Callable[[Any], Array], dtype: Any
    ) -> None:
        self.source = source
        self.convert = convert
        self.dtype = np.dtype(dtype)
        self.shape = source.shape
        self._blocks: OrderedDict[int, Array] = OrderedDict()

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def fits_buffer(self) -> bool:
        """Whether all blocks are kept in memory."""
        return fits_buffer(self.source)

    def __getitem__(self, rows: Any) -> Array:
        """Return the cells of a slice, an index, indices or a mask of rows.

        With a pair (slice, column) those of a column.

        Raises
        ------
        IndexError
            As for an array.
        """
        if isinstance(rows, tuple):
            return self._column(*rows)
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step != 1:
                return self[np.arange(start, stop, step)]
            return self._between(start, max(start, stop))
        indices = row_indices(rows, len(self))
        if indices.ndim == 0:
            row: Array = self[indices[None]][0]
            return row
        if self.source.takes_rows:
            return self.convert(self.source.take(indices))
        return self._gathered(indices)

    def subset(self, rows: IntArray) -> SourceSubset:
        """Return some of the rows, which are read when they are needed."""
        return SourceSubset(self, rows)

    def _column(self, rows: slice, j: int) -> Array:
        parts = [self[chunk][:, j] for chunk in row_chunks(*self.shape)]
        column: Array = np.concatenate(parts)[rows]
        return column

    def _between(self, start: int, stop: int) -> Array:
        if start == stop:
            return np.empty((0, self.shape[1]), dtype=self.dtype)
        if self.source.takes_rows:
            return self.convert(read_rows(self.source, start, stop))
        first, last = self.source.block_of(np.array([start, stop - 1]))
        parts = []
        for i in range(first, last + 1):
            low, high = self.source.limits[i : i + 2]
            block = self._block(i)
            parts.append(block[max(start - low, 0) : min(stop, high) - low])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _gathered(self, indices: IntArray) -> Array:
        cells = np.empty((len(indices), self.shape[1]), dtype=self.dtype)
        blocks = self.source.block_of(indices)
        for i in np.unique(blocks):
            here = blocks == i
            cells[here] = self._block(i)[indices[here] - self.source.limits[i]]
        return cells

    def _block(self, i: int) -> Array:
        """Return a block, and keep it among those that were read last."""
        if i in self._blocks:
            self._blocks.move_to_end(i)
            return self._blocks[i]
        start, stop = self.source.limits[i : i + 2].tolist()
        n_kept = sum(map(np.size, self._blocks.values()))
        while self._blocks and n_kept + (stop - start) * self.shape[1] > BUFFER_CELLS:
            n_kept -= self._blocks.popitem(last=False)[1].size
        block = self._blocks[i] = self.convert(read_rows(self.source, start, stop))
        return block


class SourceSubset:
    """Some of the rows of a source, read when they are needed.

    Parameters
    ----------
    cells : SourceCells
        All rows.
    rows : ndarray of int64 of shape (n_rows,)
        Indices of the rows.
    """

    ndim = 2

    def __init__(self, cells: SourceCells, rows: IntArray) -> None:
        self.cells = cells
        self.rows = rows
        self.dtype = cells.dtype
        self.shape = (len(rows), cells.shape[1])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> Array:
        return self.cells[self.rows[rows]]


def fits_buffer(source: RowSource) -> bool:
    """Return whether the cells of all rows are kept in memory."""
    return source.shape[0] * source.shape[1] <= BUFFER_CELLS


def read_rows(
    source: RowSource, start: int, stop: int, columns: list[int] | None = None
) -> Any:
    """Read consecutive rows of a source, and check that they are those announced.

    Parameters
    ----------
    source : RowSource
        Rows.
    start, stop : int
        First row, and the one after the last.
    columns : list of int, default=None
        Columns of a table to read; all by default.

    Returns
    -------
    rows : ndarray, or table of pandas or Arrow

    Raises
    ------
    ValueError
        If the rows cannot be read, or are fewer or other ones than announced.
    TypeError
        If those of an array are no array.
    """
    try:
        rows = source.read(start, stop, columns)
    except (UnexpectedRowsError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"Rows {start} to {stop - 1} of X ({source.name}) cannot be read "
            f"({type(error).__name__}: {str(error)[:300]}). Check that the file is "
            "complete, and open and unchanged during the call."
        ) from error
    n_columns = source.shape[1]
    if columns is not None and source.dtype is None:
        n_columns = len(columns)
    _check_rows(source, rows, start, stop, n_columns)
    return rows


def _check_rows(
    source: RowSource, rows: Any, start: int, stop: int, n_columns: int
) -> None:
    where = f"Rows {start} to {stop - 1} of X ({source.name})"
    expected = (stop - start, n_columns)
    found = getattr(rows, "shape", None)
    if found != expected:
        raise UnexpectedRowsError(
            f"{where} have the shape {found} instead of {expected}. All blocks must "
            "have the columns of X, and the numbers of rows that X announces."
        )
    if source.dtype is None:
        return
    if not isinstance(rows, np.ndarray):
        raise TypeError(
            f"{where} are a {type(rows).__name__}. The blocks of an array must be "
            "arrays of numpy."
        )
    if rows.dtype != source.dtype:
        raise UnexpectedRowsError(
            f"{where} have the dtype {rows.dtype}, but X announces {source.dtype}. "
            f"Convert all blocks, for instance by X.astype({str(rows.dtype)!r})."
        )


class SourceRows:
    """Training rows of a source, read and encoded one batch at a time.

    Implements the part of the tensor interface that `sk_ssvae.training.rows.Rows`
    uses.

    Parameters
    ----------
    cells : SourceCells
        Cells of all rows.
    scaling : ColumnScaling
        Scaling of the columns.
    device : torch.device
        Device of the batches.
    kept : ndarray of int64, default=None
        Sorted indices of rows that are needed again and again, the labelled ones. They
        are kept in memory, beside the buffer, unless they have more cells than it.
    """

    dtype = torch.float32

    def __init__(
        self,
        cells: SourceCells,
        scaling: ColumnScaling,
        device: torch.device,
        kept: IntArray | None = None,
    ) -> None:
        self.cells = cells
        self.device = device
        self._encode = RowEncoder(scaling)
        n_columns = cells.shape[1]
        self._in_any_order = (
            cells.source.takes_rows and len(cells) * n_columns <= PERMUTED_CELLS
        )
        self._tensor = _mapped_tensor(cells) if scaling.fits_single else None
        self._kept = np.empty(0, dtype=np.int64) if kept is None else kept
        if self._in_any_order or len(self._kept) * n_columns > BUFFER_CELLS:
            self._kept = self._kept[:0]
        self._kept_cells = None
        # Rows of a tensor are read in place, so that no copy of them is needed.
        if len(self._kept) and self._tensor is None:
            self._kept_cells = cells[self._kept]

    def __len__(self) -> int:
        return len(self.cells)

    def index_select(self, dim: int, which: Tensor) -> Tensor:
        """Return the rows with these indices, encoded, as a dense tensor."""
        return self._encode(self._rows(which.cpu())).to(self.device)

    def _rows(self, which: Tensor) -> Tensor:
        if self._tensor is not None:
            assert isinstance(self.cells.source, MappedSource)
            self.cells.source.check()
            return self._tensor.index_select(0, which)
        indices = which.numpy()
        if self._kept_cells is None:
            return torch.from_numpy(self.cells[indices])
        at = np.searchsorted(self._kept, indices).clip(max=len(self._kept) - 1)
        is_kept = self._kept[at] == indices
        cells = np.empty((len(indices), self.cells.shape[1]), self.cells.dtype)
        cells[is_kept] = self._kept_cells[at[is_kept]]
        cells[~is_kept] = self.cells[indices[~is_kept]]
        return torch.from_numpy(cells)

    def shuffled(
        self, rows: SortedRows, total: int, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Shuffle rows, as often as needed, so that they are read block by block.

        The blocks are shuffled and divided into groups of a quarter of the buffer, and
        the rows of each group are shuffled. Of several passes over the rows, those over
        a group follow each other. Where all rows fit into the buffer, or up to
        `PERMUTED_CELLS` cells can be read in any order, each pass is a random
        permutation of the rows.

        Parameters
        ----------
        rows : SortedRows
            Indices of the rows.
        total : int
            Number of rows to return.
        generator : torch.Generator
            Source of the permutations, on the CPU.

        Yields
        ------
        positions : Tensor of integers
            Positions in `rows`, `total` in all. Each occurs in every complete pass, and
            at random in the remainder. Those of a group are drawn when the group is
            reached, so that none but these are in memory.
        """
        if self._in_any_order or self.cells.fits_buffer or self._are_kept(rows):
            yield shuffled_passes(len(rows), total, generator)
            return
        n_passes, n_more = divmod(total, len(rows))
        if n_passes:
            yield from self._shuffled_groups(rows, n_passes, generator)
        if n_more == 0:
            return
        for positions in self._shuffled_groups(rows, 1, generator):
            yield positions[:n_more]
            n_more -= len(positions)
            if n_more <= 0:
                return

    def _are_kept(self, rows: SortedRows) -> bool:
        """Return whether all of the rows are kept in memory."""
        if len(rows) > len(self._kept):
            return False
        indices = rows[torch.arange(len(rows), device=rows.device)]
        return bool(np.isin(indices.cpu().numpy(), self._kept).all())

    def _shuffled_groups(
        self, rows: SortedRows, n_passes: int, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Shuffle rows within groups of blocks, once or several times."""
        limits = torch.from_numpy(self.cells.source.limits)
        # The rows of a block follow each other.
        starts = rows.count_below(limits.to(rows.device)).cpu()
        blocks = torch.randperm(len(limits) - 1, generator=generator, device="cpu")
        n_cells = limits.diff()[blocks] * self.cells.shape[1]
        group = (n_cells.cumsum(0) - n_cells) // (BUFFER_CELLS // N_GROUPS)
        sizes = torch.unique_consecutive(group, return_counts=True)[1]
        for of_group in torch.split(blocks, sizes.tolist()):
            positions = torch.cat(
                [
                    torch.arange(start, stop, device="cpu")
                    for start, stop in zip(
                        starts[of_group].tolist(),
                        starts[of_group + 1].tolist(),
                        strict=True,
                    )
                ]
            )
            for _ in range(n_passes if len(positions) else 0):
                order = shuffled_passes(len(positions), len(positions), generator)
                yield positions[order.long()]


def _mapped_tensor(cells: SourceCells) -> Tensor | None:
    """Return a memory map of single precision in C order as a tensor."""
    source = cells.source
    if not isinstance(source, MappedSource):
        return None
    array = source.array
    if array.dtype != np.float32 or not array.flags.c_contiguous:
        return None
    return tensor_sharing_memory(array)
