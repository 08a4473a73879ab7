"""Training rows with their weights and targets, and the choice of held-out rows."""

import copy
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sk_ssvae.data.source_cells import SourceRows
from sk_ssvae.utils.chunks import SparseRows
from sk_ssvae.utils.random import Stream, shuffled_passes, stream_seed

__all__ = ["Batch", "Rows", "choose_held_out"]

Batch = tuple[dict[str, Tensor], Tensor]
"""A minibatch for skorch: inputs by name, and the classes of the labelled rows."""


class Rows(Dataset[Batch]):
    """Training rows on one device, the labelled ones first.

    Parameters
    ----------
    x : ndarray, Tensor, SparseRows or SourceRows of shape (n_all, n_features)
        Rows, in any order; a tensor stays on its device.
    codes : ndarray of int64 of shape (n_all,)
        Classes 0 ... n_classes - 1, or -1.
    weight : ndarray of shape (n_all,), default=None
        Positive weights of the rows; only their ratios matter. 1 by default.
    soft_targets : ndarray of shape (n_all, n_classes), default=None
        The teacher's probabilities for the unlabelled rows; other rows are ignored.
    confidence : ndarray of shape (n_all,), default=None
        Weights of the soft targets, from 0 to 1; 1 by default.
    which : ndarray of int64 of shape (n_rows,), default=None
        Indices of the rows to train on; all by default.
    encode : callable, default=None
        Converts rows of `x` to inputs of the networks, one batch at a time.

    Attributes
    ----------
    order : Tensor of int64 of shape (n_rows,)
        Indices of the rows in `x`, the labelled ones first. The other attributes are in
        this order.
    codes : Tensor of int64 of shape (n_labelled,)
        Classes of the labelled rows.
    soft_targets : Tensor of shape (n_rows - n_labelled, n_classes) or None
        Soft targets of the unlabelled rows, times their confidence.
    bound_weight : Tensor of shape (n_rows,)
        Weights of the mean over all rows, with sum 1.
    target_weight : Tensor of shape (n_rows,)
        Weights of the mean over the labelled rows and of that over the unlabelled rows,
        each with sum 1.
    """

    def __init__(
        self,
        x: npt.NDArray[Any] | Tensor | SparseRows | SourceRows,
        codes: npt.NDArray[np.int64],
        *,
        weight: npt.NDArray[Any] | None = None,
        soft_targets: npt.NDArray[Any] | None = None,
        confidence: npt.NDArray[Any] | None = None,
        which: npt.NDArray[np.int64] | None = None,
        encode: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.x = torch.from_numpy(x) if isinstance(x, np.ndarray) else x
        self.encode = encode
        self._kept: dict[tuple[int, ...], Tensor] = {}
        if which is None:
            which = np.arange(len(x))
        labelled = codes[which] >= 0
        order = np.concatenate([which[labelled], which[~labelled]])
        n = self.n_labelled = int(labelled.sum())
        w = np.ones(len(order)) if weight is None else weight[order].astype(np.float64)
        target_weight = np.concatenate([_normalized(w[:n]), _normalized(w[n:])])
        self.soft_targets = None
        if soft_targets is not None:
            factor = 1 if confidence is None else confidence[order[n:], None]
            self.soft_targets = self._tensor(soft_targets[order[n:]] * factor)
        self.order = torch.from_numpy(order).to(self.x.device)
        self.codes = torch.from_numpy(codes[order[:n]]).to(self.x.device)
        self.bound_weight = self._tensor(_normalized(w))
        self.target_weight = self._tensor(target_weight)

    def _tensor(self, a: npt.NDArray[Any]) -> Tensor:
        """Return a tensor of the dtype and on the device of the rows."""
        return torch.from_numpy(a).to(self.x.dtype).to(self.x.device)

    def __len__(self) -> int:
        return len(self.order)

    def labelled(self) -> Self:
        """Return the labelled rows; their data are not copied."""
        twin, n = copy.copy(self), self.n_labelled
        twin.order, twin.soft_targets = self.order[:n], None
        twin.bound_weight = self.bound_weight[:n]
        twin.target_weight = self.target_weight[:n]
        return twin

    def encoded(self, which: Tensor) -> Tensor:
        """Return rows of `x` as inputs of the networks."""
        rows = self.x.index_select(0, which)
        return rows if self.encode is None else self.encode(rows)

    def encoded_once(self, which: Tensor) -> Tensor:
        """Return a few rows that every epoch needs, as `encoded` does.

        Rows that are read in blocks are read at the first call only.
        """
        if not isinstance(self.x, SourceRows):
            return self.encoded(which)
        key = tuple(which.tolist())
        if key not in self._kept:
            self._kept[key] = self.encoded(which)
        return self._kept[key]

    def shuffled(
        self, first: int, n: int, total: int, generator: torch.Generator
    ) -> Tensor:
        """Shuffle consecutive rows, as often as needed for a number of rows.

        Parameters
        ----------
        first : int
            Position of the first row in `order`.
        n : int
            Number of rows.
        total : int
            Number of rows to return.
        generator : torch.Generator
            Source of the permutations, on the CPU.

        Returns
        -------
        positions : Tensor of int64 of shape (total,)
            Positions relative to the first row. Of rows that are read in blocks, those
            of one block are near each other (`SourceRows.shuffled`).
        """
        if isinstance(self.x, SourceRows):
            return self.x.shuffled(self.order[first : first + n], total, generator)
        return shuffled_passes(n, total, generator)

    def __getitem__(self, index: int) -> Batch:
        """Return a row and its class, -1 if unlabelled."""
        x = self.encoded(self.order[index : index + 1])[0]
        code = self.codes[index] if index < self.n_labelled else torch.tensor(-1)
        return {"x": x}, code


def _normalized(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Divide positive weights by their sum, without overflow."""
    if len(weight) == 0:
        return weight
    relative = weight / weight.max()
    normalized: npt.NDArray[np.float64] = relative / relative.sum()
    return normalized


def choose_held_out(
    codes: npt.NDArray[np.int64],
    fraction: float,
    seed: int,
    labelled_fraction: float = 0.0,
) -> npt.NDArray[np.bool_]:
    """Choose rows to hold out.

    Parameters
    ----------
    codes : ndarray of int64 of shape (n_rows,)
        Classes, -1 where unlabelled.
    fraction : float in [0, 1)
        Fraction of the unlabelled rows; 0 chooses none.
    seed : int
        Seed of the choice.
    labelled_fraction : float in [0, 1)
        Fraction of the labelled rows of each class: at least one row if it is positive,
        and at most all but one.

    Returns
    -------
    held_out : ndarray of bool of shape (n_rows,)
        True for the chosen rows.

    Raises
    ------
    ValueError
        If a positive fraction rounds to no row, or to all rows.
    """
    held_out = np.zeros(len(codes), dtype=bool)
    rng = np.random.default_rng(stream_seed(seed, Stream.HOLD_OUT))
    if fraction > 0:
        unlabelled = np.flatnonzero(codes < 0)
        n = round(fraction * len(unlabelled))
        if n in (0, len(codes)):
            raise ValueError(
                f"validation_fraction={fraction} of the {len(unlabelled)} unlabelled "
                f"rows (of {len(codes)} in all) leaves no row to validate or none to "
                "train on. Set it to 0, or pass more unlabelled rows."
            )
        held_out[rng.choice(unlabelled, n, replace=False)] = True
    if labelled_fraction > 0:
        classes, counts = np.unique(codes[codes >= 0], return_counts=True)
        for code, count in zip(classes, counts, strict=True):
            n = min(max(1, round(labelled_fraction * count)), count - 1)
            rows = np.flatnonzero(codes == code)
            held_out[rng.choice(rows, n, replace=False)] = True
        if not held_out[codes >= 0].any():
            raise ValueError(
                f"labeled_validation_fraction={labelled_fraction} needs a class with "
                "two labels, but each class has one. Set it to 0, or pass more labels."
            )
    return held_out
