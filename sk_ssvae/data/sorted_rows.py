"""Sorted indices of rows in little memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sk_ssvae.utils.random import smallest_integer_type
from sk_ssvae.utils.typing import Mask

__all__ = ["SortedRows"]


class SortedRows:
    """The indices of some of the rows, in increasing order.

    Stored are these, or the others if they are fewer, in the smallest integer type:
    with few labels, neither the labelled nor the unlabelled rows take memory for each
    row of the data.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_rows,)
        The rows.
    device : torch.device, default="cpu"
        Device of the indices.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sk_ssvae.data.sorted_rows import SortedRows
    >>> rows = SortedRows(np.array([True, True, False, True]))
    >>> len(rows), rows[torch.tensor([2, 0])].tolist()
    (3, [3, 0])
    """

    def __init__(self, mask: Mask, device: torch.device | str = "cpu") -> None:
        n_rows, self._n = len(mask), int(np.count_nonzero(mask))
        self._dtype = smallest_integer_type(n_rows)
        self._lists_others = self._n > n_rows - self._n
        listed = np.flatnonzero(~mask if self._lists_others else mask)
        self._listed = torch.from_numpy(listed).to(self._dtype).to(device)
        if self._lists_others:
            # Number of the rows below each of the others.
            n_others = len(listed)
            self._below = self._listed - torch.arange(
                n_others, dtype=self._dtype, device=device
            )

    def __len__(self) -> int:
        return self._n

    @property
    def device(self) -> torch.device:
        """The device of the indices."""
        return self._listed.device

    def __getitem__(self, positions: Tensor) -> Tensor:
        """Return the rows at positions from 0 to len - 1, as int64."""
        if not self._lists_others:
            return self._listed[positions.long()].long()
        wanted = positions.to(self._dtype)
        n_skipped = torch.searchsorted(self._below, wanted, right=True)
        return positions.long() + n_skipped

    def count_below(self, rows: Tensor) -> Tensor:
        """Return how many of the rows have smaller indices than each of these."""
        n_listed = torch.searchsorted(self._listed, rows.to(self._dtype))
        return rows.long() - n_listed if self._lists_others else n_listed
