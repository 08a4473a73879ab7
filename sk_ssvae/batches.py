"""Minibatches that mix labelled and unlabelled rows without biasing the loss.

With ten labels among thousands of rows a plain random minibatch rarely holds a label.
Here every minibatch holds some of both kinds, and each row's weight says how many rows
of its kind it stands for, so that the expected loss of a minibatch is the loss of all
the data (a stratified Horvitz-Thompson estimate).
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sk_ssvae.randomness import Stream, stream_generator, stream_seed

__all__ = [
    "Batch",
    "MixedBatches",
    "OrderedBatches",
    "Rows",
    "choose_held_out",
    "row_chunks",
]

Batch = tuple[dict[str, Tensor], Tensor]
"""What skorch takes for a minibatch: inputs by name, and the labels' codes."""


class Rows(Dataset[Batch]):
    """Training rows on one device, the labelled ones first.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features)
        Rows, in any order.
    codes : ndarray of int64 of shape (n_rows,)
        Classes 0 ... n_classes - 1, or -1.
    n_classes : int
        Number of classes.
    weight : ndarray of shape (n_rows,), default=None
        Positive weights of the rows, of any size; 1 by default.
    guess : ndarray of shape (n_rows, n_classes), default=None
        A teacher's probabilities for the unlabelled rows; ignored elsewhere.
    trust : ndarray of shape (n_rows,), default=None
        How much each guess counts, from 0 (not at all) to 1.
    device : torch.device or str
        Where the tensors go. Their dtype is that of `x`.

    Attributes
    ----------
    target : Tensor of shape (n_rows, n_classes)
        One-hot classes of the labelled rows, guesses for the others.
    bound_weight : Tensor of shape (n_rows,)
        Share of a row in the mean bound over all rows; sums to 1.
    target_weight : Tensor of shape (n_rows,)
        Share of a row in the mean cross-entropy of its kind, times its trust; sums to
        1 over the labelled rows.
    """

    def __init__(
        self,
        x: npt.NDArray[Any],
        codes: npt.NDArray[np.int64],
        n_classes: int,
        *,
        weight: npt.NDArray[Any] | None = None,
        guess: npt.NDArray[Any] | None = None,
        trust: npt.NDArray[Any] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        order = np.argsort(codes < 0, kind="stable")
        codes = codes[order]
        n = self.n_labelled = int((codes >= 0).sum())
        # Shares in double precision, relative to the largest of each kind: weights may
        # be of any size.
        w = np.ones(len(x)) if weight is None else weight[order].astype(np.float64)
        target, target_weight = np.zeros((len(x), n_classes)), np.zeros(len(x))
        target[np.arange(n), codes[:n]] = 1
        target_weight[:n] = _shares(w[:n])
        if guess is not None:
            target[n:] = guess[order[n:]]
            counts = 1 if trust is None else trust[order[n:]]
            target_weight[n:] = _shares(w[n:]) * counts

        def tensor(a: npt.NDArray[Any]) -> Tensor:
            return torch.from_numpy(a.astype(x.dtype)).to(device)

        self.x = tensor(x[order])
        self.codes = torch.from_numpy(codes).to(device)
        self.target = tensor(target)
        self.bound_weight = tensor(_shares(w))
        self.target_weight = tensor(target_weight)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int | Tensor) -> Batch:
        return {"x": self.x[index]}, self.codes[index]


def _shares(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Positive weights over their sum, without overflow."""
    if len(weight) == 0:
        return weight
    relative = weight / weight.max()
    shares: npt.NDArray[np.float64] = relative / relative.sum()
    return shares


class MixedBatches:
    """One epoch: the rows in minibatches that mix labelled and unlabelled ones.

    Iterating yields ``ceil(n_rows / batch_size)`` minibatches. Each has its share of
    the unlabelled rows, so that every one of them is seen in every epoch, and its share
    of the labelled rows, but at least a quarter of `batch_size` of them (or all there
    are). Both kinds are dealt from shuffled passes over their rows, as many as needed.

    Parameters
    ----------
    rows : Rows
        The training data.
    batch_size : int
        Rows in a minibatch, before labelled ones are added to make up the quarter.
    seed : int
        Seed of the shuffling.
    epoch : int
        Number of the first epoch; each epoch has a shuffling of its own, whichever
        epochs came before it.
    """

    def __init__(
        self, rows: Rows, batch_size: int, *, seed: int, epoch: int = 0
    ) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = epoch
        size = min(batch_size, len(rows))
        self.n_batches = math.ceil(len(rows) / size)
        share = math.ceil(rows.n_labelled / self.n_batches)
        self.labelled_size = min(rows.n_labelled, max(share, math.ceil(size / 4)))
        n_unlabelled = len(rows) - rows.n_labelled
        self.unlabelled_size = math.ceil(n_unlabelled / self.n_batches)

    def __len__(self) -> int:
        return self.n_batches

    def _deal(self, first: int, n: int, size: int, g: torch.Generator) -> Tensor:
        """Deal indices (n_batches, size) from shuffled passes over `n` rows."""
        if size == 0:
            return torch.empty(self.n_batches, 0, dtype=torch.int64, device="cpu")
        n_passes = math.ceil(self.n_batches * size / n)
        deck = torch.cat(
            [torch.randperm(n, generator=g, device="cpu") for _ in range(n_passes)]
        )
        return first + deck[: self.n_batches * size].view(self.n_batches, size)

    def __iter__(self) -> Iterator[Batch]:
        rows, n = self.rows, self.rows.n_labelled
        generator = stream_generator(self.seed, Stream.BATCHES, self.epoch)
        self.epoch += 1
        labelled = self._deal(0, n, self.labelled_size, generator)
        unlabelled = self._deal(n, len(rows) - n, self.unlabelled_size, generator)
        device = rows.x.device
        index = torch.cat([labelled, unlabelled], dim=1).to(device)
        # Each row stands for this many rows of its kind.
        factor = torch.ones(index.shape[1], dtype=rows.x.dtype, device=device)
        factor[: self.labelled_size] *= n / max(1, self.labelled_size)
        factor[self.labelled_size :] *= (len(rows) - n) / max(1, self.unlabelled_size)
        for i in index:
            yield (
                {
                    "x": rows.x[i],
                    "target": rows.target[i],
                    "bound_weight": rows.bound_weight[i] * factor,
                    "target_weight": rows.target_weight[i] * factor,
                },
                rows.codes[i[: self.labelled_size]],
            )


class OrderedBatches:
    """All rows in their order, for validation.

    A minibatch holds ``x`` and ``bound_weight``, the latter such that the mean over its
    rows of weight times value, averaged over minibatches by their size, is the weighted
    mean over all rows: skorch averages validation losses that way.

    Parameters
    ----------
    rows : Rows
        The rows.
    batch_size : int
        Rows in a minibatch; the last may have fewer.
    """

    def __init__(self, rows: Rows, batch_size: int) -> None:
        self.rows = rows
        self.batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        rows = self.rows
        for chunk in row_chunks(len(rows), 1, self.batch_size):
            weight = rows.bound_weight[chunk] * len(rows)
            yield {"x": rows.x[chunk], "bound_weight": weight}, rows.codes[chunk]


def choose_held_out(
    codes: npt.NDArray[np.int64], fraction: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Choose unlabelled rows that training does not see.

    Parameters
    ----------
    codes : ndarray of int64 of shape (n_rows,)
        Classes, -1 where unlabelled.
    fraction : float in [0, 1)
        Share of the unlabelled rows; 0 chooses none.
    seed : int
        Seed of the choice.

    Returns
    -------
    held_out : ndarray of bool of shape (n_rows,)
        True for the chosen rows.

    Raises
    ------
    ValueError
        If a positive share is no row, or all rows.
    """
    held_out = np.zeros(len(codes), dtype=bool)
    if fraction == 0:
        return held_out
    unlabelled = np.flatnonzero(codes < 0)
    n = round(fraction * len(unlabelled))
    if n in (0, len(codes)):
        raise ValueError(
            f"validation_fraction={fraction} of the {len(unlabelled)} unlabelled rows "
            f"(of {len(codes)} in all) leaves no row to validate or none to train on. "
            "Set it to 0 or give more unlabelled rows."
        )
    rng = np.random.default_rng(stream_seed(seed, Stream.HOLD_OUT))
    held_out[rng.choice(unlabelled, n, replace=False)] = True
    return held_out


def row_chunks(n_rows: int, cells_per_row: int, cells: int = 2**22) -> Iterator[slice]:
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
