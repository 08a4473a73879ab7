"""From cells to what the networks are shown: codes as unit vectors, gaps as such."""

import numpy as np
import torch
from torch import Tensor, nn

from sk_ssvae.data.layout import COUNTS, Layout

__all__ = ["InputEncoder"]


class InputEncoder(nn.Module):
    """Make network inputs of cells.

    In their order: numbers, the missing ones filled and counts as their logarithms;
    a unit vector for each category, zeros where it is missing; ones where cells are
    missing, for columns that have such cells in training.

    Parameters
    ----------
    layout : Layout
        The columns.

    Attributes
    ----------
    n_outputs : int
        Number of inputs of a network.
    """

    fill: Tensor
    numbers: Tensor
    is_count: Tensor
    count_shift: Tensor
    count_scale: Tensor
    owner: Tensor
    code: Tensor
    gaps: Tensor
    movable: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.is_plain = layout.is_plain
        kinds = np.empty(layout.n_cells, dtype=object)
        owner, code = [], []
        for group in layout.groups:
            kinds[group.columns] = group.kind
            for column, size in zip(group.columns, group.sizes, strict=False):
                owner.append(np.full(size, column))
                code.append(np.arange(size))
        numbers = np.flatnonzero(kinds != "categorical")
        is_count = np.isin(kinds[numbers].astype(str), COUNTS)
        shift, scale = np.zeros(layout.n_cells), np.ones(layout.n_cells)
        if layout.count_scale is not None:
            shift, scale = layout.count_shift, layout.count_scale
        self._put("fill", layout.fill.astype(np.float32))
        self._put("numbers", numbers)
        self._put("is_count", is_count)
        self._put("count_shift", shift[numbers].astype(np.float32))
        self._put("count_scale", scale[numbers].astype(np.float32))
        self._put("owner", np.concatenate([np.empty(0, np.int64), *owner]))
        self._put("code", np.concatenate([np.empty(0), *code]).astype(np.float32))
        self._put("gaps", layout.gaps)
        # What an adversary may move a little: not codes, nor counts.
        movable = ~np.isin(kinds.astype(str), ("categorical", *COUNTS))
        self._put("movable", movable.astype(np.float32))
        self.some_counts, self.all_counts = bool(is_count.any()), bool(is_count.all())
        self.all_numbers = len(numbers) == layout.n_cells
        self.has_gaps = layout.has_gaps
        self.n_outputs = len(numbers) + len(self.owner) + len(self.gaps)

    def _put(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(values))

    def forward(self, cells: Tensor) -> Tensor:
        """Map cells (..., n_cells) to inputs (..., n_outputs).

        Where no cell was missing in training, none is looked for while training.
        """
        filled = cells
        if self.has_gaps or not self.training:
            filled = torch.where(cells.isnan(), self.fill, cells)
        if self.is_plain:
            return filled
        numbers = filled if self.all_numbers else filled[..., self.numbers]
        if self.some_counts:
            logs = numbers.clamp_min(0).log1p() - self.count_shift
            logs = logs * self.count_scale
            numbers = logs if self.all_counts else self._chosen(logs, numbers)
        parts = [numbers]
        if len(self.owner):
            # Of the cells as they are: NaN equals no code.
            one_hot = cells.index_select(-1, self.owner) == self.code
            parts.append(one_hot.to(numbers.dtype))
        if self.has_gaps:
            missing = cells.index_select(-1, self.gaps).isnan()
            parts.append(missing.to(numbers.dtype))
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def _chosen(self, logs: Tensor, numbers: Tensor) -> Tensor:
        return torch.where(self.is_count, logs, numbers)
