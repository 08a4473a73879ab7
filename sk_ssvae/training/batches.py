"""Minibatches that mix labelled and unlabelled rows without biasing the loss.

With ten labels among thousands of rows a plain random minibatch rarely holds a label.
Here every minibatch holds some of both kinds, and each row's weight says how many rows
of its kind it stands for, so that the expected loss of a minibatch is the loss of all
the data (a stratified Horvitz-Thompson estimate).
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sk_ssvae.utils.chunks import SparseRows, row_chunks
from sk_ssvae.utils.random import Stream, stream_generator, stream_seed

__all__ = [
    "Batch",
    "MixedBatches",
    "OrderedBatches",
    "Rows",
    "choose_held_out",
    "resolve_max_epochs",
]

EPOCHS = 60
FEWEST_BATCHES = 1000
"""What "auto" trains for: so many epochs, but no fewer minibatches in all."""

Batch = tuple[dict[str, Tensor], Tensor]
"""What skorch takes for a minibatch: inputs by name, and the labels' codes."""


BLOCK = 256
"""Minibatches whose weights are gathered at once."""


class Rows(Dataset[Batch]):
    """Training rows on one device, the labelled ones first.

    Parameters
    ----------
    x : ndarray, Tensor or SparseRows of shape (n_all, n_features)
        Rows, in any order; a tensor stays where it is.
    codes : ndarray of int64 of shape (n_all,)
        Classes 0 ... n_classes - 1, or -1.
    weight : ndarray of shape (n_all,), default=None
        Positive weights of the rows, of any size; 1 by default.
    guess : ndarray of shape (n_all, n_classes), default=None
        A teacher's probabilities for the unlabelled rows; ignored elsewhere.
    trust : ndarray of shape (n_all,), default=None
        How much each guess counts, from 0 (not at all) to 1.
    which : ndarray of int64 of shape (n_rows,), default=None
        The rows to train on; all by default.
    encode : callable, default=None
        What makes of rows of `x` what the network takes, a batch at a time.

    Attributes
    ----------
    order : Tensor of int64 of shape (n_rows,)
        Which row of `x` is meant, the labelled ones first; all else is in this order.
    codes : Tensor of int64 of shape (n_labelled,)
        Classes of the labelled rows.
    guess : Tensor of shape (n_rows - n_labelled, n_classes) or None
        Guesses for the others.
    bound_weight : Tensor of shape (n_rows,)
        Share of a row in the mean bound over all rows; sums to 1.
    target_weight : Tensor of shape (n_rows,)
        Share of a row in the mean over rows of its kind; sums to 1 over the labelled
        rows, and over the others.
    """

    def __init__(
        self,
        x: npt.NDArray[Any] | Tensor | SparseRows,
        codes: npt.NDArray[np.int64],
        *,
        weight: npt.NDArray[Any] | None = None,
        guess: npt.NDArray[Any] | None = None,
        confidence: npt.NDArray[Any] | None = None,
        which: npt.NDArray[np.int64] | None = None,
        encode: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.x = torch.from_numpy(x) if isinstance(x, np.ndarray) else x
        self.encode = encode
        if which is None:
            which = np.arange(len(x))
        labelled = codes[which] >= 0
        order = np.concatenate([which[labelled], which[~labelled]])
        n = self.n_labelled = int(labelled.sum())
        # Shares in double precision, relative to the largest of each kind: weights may
        # be of any size.
        w = np.ones(len(order)) if weight is None else weight[order].astype(np.float64)
        target_weight = np.zeros(len(order))
        target_weight[:n] = _shares(w[:n])
        self.guess = None
        target_weight[n:] = _shares(w[n:])
        if guess is not None:
            counts = 1 if confidence is None else confidence[order[n:], None]
            self.guess = self._tensor(guess[order[n:]] * counts)
        self.order = torch.from_numpy(order).to(self.x.device)
        self.codes = torch.from_numpy(codes[order[:n]]).to(self.x.device)
        self.bound_weight = self._tensor(_shares(w))
        self.target_weight = self._tensor(target_weight)

    def _tensor(self, a: npt.NDArray[Any]) -> Tensor:
        """Floats in the precision of the rows, where the rows are."""
        return torch.from_numpy(a).to(self.x.dtype).to(self.x.device)

    def __len__(self) -> int:
        return len(self.order)

    def encoded(self, which: Tensor) -> Tensor:
        """Return rows of `x`, as the network takes them."""
        rows = self.x.index_select(0, which)
        return rows if self.encode is None else self.encode(rows)

    def __getitem__(self, index: int) -> Batch:
        """One row and its code, -1 where unlabelled."""
        x = self.encoded(self.order[index : index + 1])[0]
        code = self.codes[index] if index < self.n_labelled else torch.tensor(-1)
        return {"x": x}, code


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
        # Each row stands for this many rows of its kind.
        size = self.labelled_size
        factor = torch.ones(
            size + self.unlabelled_size, dtype=rows.bound_weight.dtype, device="cpu"
        )
        factor[:size] *= n / max(1, size)
        factor[size:] *= (len(rows) - n) / max(1, self.unlabelled_size)
        factor = factor.to(device)
        deal = torch.cat([labelled, unlabelled], dim=1).to(device)
        # What is cheap to gather is gathered for many batches at once.
        for block in torch.split(deal, BLOCK):
            order = rows.order[block]
            bound_weight = rows.bound_weight[block] * factor
            target_weight = rows.target_weight[block] * factor
            codes = rows.codes[block[:, :size]]
            for i in range(len(block)):
                inputs = {
                    "x": rows.encoded(order[i]),
                    "bound_weight": bound_weight[i],
                    "target_weight": target_weight[i],
                }
                if rows.guess is not None:
                    inputs["guess"] = rows.guess[block[i, size:] - n]
                yield inputs, codes[i]


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
        codes = torch.full_like(rows.order, -1)
        codes[: rows.n_labelled] = rows.codes
        for chunk in row_chunks(len(rows), 1, self.batch_size):
            weight = rows.bound_weight[chunk] * len(rows)
            yield (
                {"x": rows.encoded(rows.order[chunk]), "bound_weight": weight},
                codes[chunk],
            )


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


def resolve_max_epochs(max_epochs: str | int, n_rows: int, batch_size: int) -> int:
    """Work out for how many epochs to train.

    Parameters
    ----------
    max_epochs : "auto" or int
        As in `sk_ssvae.SSVAEClassifier`.
    n_rows : int
        Rows to train on.
    batch_size : int
        Rows in a minibatch.

    Returns
    -------
    max_epochs : int
    """
    if max_epochs == "auto":
        n_batches = math.ceil(n_rows / int(batch_size))
        return max(EPOCHS, math.ceil(FEWEST_BATCHES / n_batches))
    return int(max_epochs)
