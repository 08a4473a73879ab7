"""Training rows with their weights and targets, and the choice of held-out rows."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sk_ssvae.data.sorted_rows import SortedRows
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
    codes : ndarray of int of shape (n_all,)
        Classes 0 ... n_classes - 1, or -1.
    weight : ndarray of shape (n_all,), default=None
        Positive weights of the rows; only their ratios matter. 1 by default.
    soft_targets : ndarray of shape (n_all, n_classes), default=None
        The teacher's probabilities for the unlabelled rows; other rows are ignored.
    confidence : ndarray of shape (n_all,), default=None
        Weights of the soft targets, from 0 to 1; 1 by default.
    which : ndarray of bool of shape (n_all,), default=None
        The rows to train on; all by default.
    encode : callable, default=None
        Converts rows of `x` to inputs of the networks, one batch at a time.

    Attributes
    ----------
    labelled_rows, unlabelled_rows : SortedRows
        Indices of the rows in `x`. The other attributes are in this order, with the
        labelled ones first.
    codes : Tensor of int64 of shape (n_labelled,)
        Classes of the labelled rows.
    soft_targets : Tensor of shape (n_rows - n_labelled, n_classes) or None
        Soft targets of the unlabelled rows, times their confidence.
    bound_weight : Tensor of shape (n_rows,)
        Weights of the mean over all rows, with sum 1.
    labelled_weight : Tensor of shape (n_labelled,)
        Weights of the mean over the labelled rows, with sum 1.
    unlabelled_weight : Tensor of shape (n_rows - n_labelled,)
        Weights of the mean over the unlabelled rows, with sum 1.
    """

    def __init__(
        self,
        x: npt.NDArray[Any] | Tensor | SparseRows | SourceRows,
        codes: npt.NDArray[np.signedinteger[Any]],
        *,
        weight: npt.NDArray[Any] | None = None,
        soft_targets: npt.NDArray[Any] | None = None,
        confidence: npt.NDArray[Any] | None = None,
        which: npt.NDArray[np.bool_] | None = None,
        encode: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.x = torch.from_numpy(x) if isinstance(x, np.ndarray) else x
        self.encode = encode
        self._kept: dict[tuple[int, ...], Tensor] = {}
        labelled, unlabelled = codes >= 0, codes < 0
        if which is not None:
            labelled &= which
            unlabelled &= which
        device = self.x.device
        self.labelled_rows = SortedRows(labelled, device)
        self.unlabelled_rows = SortedRows(unlabelled, device)
        self.codes = torch.from_numpy(codes[labelled].astype(np.int64)).to(device)
        self.soft_targets = None
        if soft_targets is not None:
            factor = 1 if confidence is None else confidence[unlabelled, None]
            self.soft_targets = self._tensor(soft_targets[unlabelled] * factor)
        n = self.n_labelled = len(self.labelled_rows)
        if weight is None:
            self.bound_weight = self._equal_weights(n + len(self.unlabelled_rows))
            self.labelled_weight = self._equal_weights(n)
            self.unlabelled_weight = self._equal_weights(len(self.unlabelled_rows))
            return
        w = [weight[part].astype(np.float64) for part in (labelled, unlabelled)]
        self.bound_weight = self._tensor(_normalized(np.concatenate(w)))
        self.labelled_weight, self.unlabelled_weight = (
            self._tensor(_normalized(part)) for part in w
        )

    def _equal_weights(self, n: int) -> Tensor:
        """Return equal weights with sum 1, in the memory of one of them."""
        return self._tensor(np.array([1 / max(n, 1)])).expand(n)

    def _tensor(self, a: npt.NDArray[Any]) -> Tensor:
        """Return a tensor of the dtype and on the device of the rows."""
        return torch.from_numpy(a).to(self.x.dtype).to(self.x.device)

    def __len__(self) -> int:
        return self.n_labelled + len(self.unlabelled_rows)

    @property
    def device(self) -> torch.device:
        """The device of the rows."""
        return self.x.device

    @property
    def target_weight(self) -> Tensor:
        """Weights of the labelled rows, followed by those of the unlabelled ones."""
        return torch.cat([self.labelled_weight, self.unlabelled_weight])

    @property
    def order(self) -> Tensor:
        """Indices of all rows in `x`, the labelled ones first, as int64."""
        return self.indices(torch.arange(len(self), device=self.device))

    def indices(self, positions: Tensor) -> Tensor:
        """Return indices in `x` for positions among the rows, the labelled ones first.

        Parameters
        ----------
        positions : Tensor of int64
            From 0 to n_rows - 1.

        Returns
        -------
        indices : Tensor of int64 of the same shape
        """
        n, n_unlabelled = self.n_labelled, len(self.unlabelled_rows)
        if n == 0:
            return self.unlabelled_rows[positions]
        labelled = self.labelled_rows[positions.clamp(max=n - 1)]
        if n_unlabelled == 0:
            return labelled
        unlabelled = self.unlabelled_rows[(positions - n).clamp(min=0)]
        return torch.where(positions < n, labelled, unlabelled)

    def labelled(self) -> Self:
        """Return the labelled rows; their data are not copied."""
        twin, n = copy.copy(self), self.n_labelled
        none = np.zeros(0, dtype=bool)
        twin.unlabelled_rows = SortedRows(none, self.device)
        twin.bound_weight = self.bound_weight[:n]
        twin.unlabelled_weight = self.unlabelled_weight[:0]
        twin.soft_targets = None
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
        self, rows: SortedRows, total: int, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Shuffle the labelled or the unlabelled rows, as often as needed.

        Parameters
        ----------
        rows : SortedRows
            `labelled_rows` or `unlabelled_rows`.
        total : int
            Number of rows to return.
        generator : torch.Generator
            Source of the permutations, on the CPU.

        Yields
        ------
        positions : Tensor of integers
            Positions in `rows`, `total` in all. Of rows that are read in blocks, those
            of one block are near each other (`SourceRows.shuffled`).
        """
        if isinstance(self.x, SourceRows):
            yield from self.x.shuffled(rows, total, generator)
        else:
            yield shuffled_passes(len(rows), total, generator)

    def __getitem__(self, index: int) -> Batch:
        """Return a row and its class, -1 if unlabelled."""
        which = torch.tensor([index], device=self.device)
        x = self.encoded(self.indices(which))[0]
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
    codes: npt.NDArray[np.signedinteger[Any]],
    fraction: float,
    seed: int,
    labelled_fraction: float = 0.0,
) -> npt.NDArray[np.bool_]:
    """Choose rows to hold out.

    Parameters
    ----------
    codes : ndarray of int of shape (n_rows,)
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
