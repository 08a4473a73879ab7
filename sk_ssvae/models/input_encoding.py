"""Encode cells as network inputs: one-hot categories, filled and flagged gaps."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sk_ssvae.data.layout import COUNTS, Layout

__all__ = ["InputEncoder"]


class InputEncoder(nn.Module):
    """Map cells to network inputs.

    The inputs are, in this order: the numeric columns, with missing cells filled,
    counts as standardised logarithms, and measurements that share a unit in that unit,
    up to a common factor; a one-hot vector for each categorical column, all
    zeros where the cell is missing; an indicator of missing cells for each column that
    has some in the training data.

    Parameters
    ----------
    layout : Layout
        The columns.

    Attributes
    ----------
    n_outputs : int
        Number of network inputs.
    has_gaps : bool
        Whether the training data have missing cells.
    shares_unit : bool
        Whether measurements share a unit.
    movable : Tensor of shape (n_cells,)
        For the columns that adversarial perturbations change, the change of a cell that
        changes the network input by 1; 0 for categories and counts.
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
    input_scale: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.is_plain = layout.is_plain
        kinds = np.empty(layout.n_cells, dtype=object)
        # Column and code of each entry of the one-hot vectors.
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
        movable = (~np.isin(kinds.astype(str), ("categorical", *COUNTS))).astype(float)
        self.shares_unit = layout.input_scale is not None
        if layout.input_scale is not None:
            movable /= layout.input_scale
            input_scale = torch.from_numpy(layout.input_scale[numbers]).float()
            # Not in the state: the layout has it.
            self.register_buffer("input_scale", input_scale, persistent=False)
        self._register("fill", layout.fill.astype(np.float32))
        self._register("numbers", numbers)
        self._register("is_count", is_count)
        self._register("count_shift", shift[numbers].astype(np.float32))
        self._register("count_scale", scale[numbers].astype(np.float32))
        self._register("owner", np.concatenate([np.empty(0, np.int64), *owner]))
        self._register("code", np.concatenate([np.empty(0), *code]).astype(np.float32))
        self._register("gaps", layout.gaps)
        self._register("movable", movable.astype(np.float32))
        self.has_counts = bool(is_count.any())
        self.only_counts = bool(is_count.all())
        self.only_numbers = len(numbers) == layout.n_cells
        self.has_gaps = layout.has_gaps
        self.n_outputs = len(numbers) + len(self.owner) + len(self.gaps)

    def _register(self, name: str, values: npt.NDArray[Any]) -> None:
        self.register_buffer(name, torch.from_numpy(values))

    def forward(self, cells: Tensor) -> Tensor:
        """Map cells (..., n_cells) to inputs (..., n_outputs).

        In training mode missing cells are handled only if the training data have some.
        """
        filled = cells
        if self.has_gaps or not self.training:
            filled = torch.where(cells.isnan(), self.fill, cells)
        if self.is_plain:
            return filled * self.input_scale if self.shares_unit else filled
        numbers = filled if self.only_numbers else filled[..., self.numbers]
        if self.has_counts:
            logs = numbers.clamp_min(0).log1p() - self.count_shift
            logs = logs * self.count_scale
            if self.only_counts:
                numbers = logs
            else:
                numbers = torch.where(self.is_count, logs, numbers)
        if self.shares_unit:
            numbers = numbers * self.input_scale
        parts = [numbers]
        if len(self.owner):
            # From the cells before filling: NaN is equal to no code.
            one_hot = cells.index_select(-1, self.owner) == self.code
            parts.append(one_hot.to(numbers.dtype))
        if self.has_gaps:
            missing = cells.index_select(-1, self.gaps).isnan()
            parts.append(missing.to(numbers.dtype))
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)
