"""Minibatches that mix labelled and unlabelled rows without biasing the loss.

With ten labels among thousands of rows, a simple random minibatch rarely contains a
label. Here every minibatch is a stratified sample of labelled and unlabelled rows, and
the weight of a row is its inverse inclusion probability, so that the expected loss of a
minibatch is the loss of all data (the Horvitz-Thompson estimator).
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sk_ssvae.data.sorted_rows import SortedRows
from sk_ssvae.training.rows import Batch, Rows
from sk_ssvae.training.sharding import BatchShard
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.random import Stream, stream_generator

__all__ = [
    "EPOCH_FACTORS",
    "MixedBatches",
    "OrderedBatches",
    "resolve_max_epochs",
]

AUTO_EPOCHS = 60
AUTO_MIN_BATCHES = 1000
"""``max_epochs="auto"`` trains for this many epochs, and at least this many
minibatches."""

TAUGHT_EPOCHS = 30
LARGE_STEP_EPOCHS = 20
TAUGHT_MIN_BATCHES = 500
"""The same if a classifier has a teacher. It is as accurate with half of the steps, or
with a third of the epochs if steps are large (`python -m benchmarks accuracy.steps`).
"""

FEW_ROWS = 1000
"""With fewer rows, a classifier that has a teacher is trained for proportionally
fewer minibatches, but at least for half of them. With 200 rows it is as accurate with a
quarter of the steps (`python -m benchmarks accuracy.steps --rows 200`)."""

MAX_TAUGHT_ROW_VISITS = 1_024_000
"""Largest number of rows in all epochs together if a classifier has a teacher, which is
trained for at least one epoch. Chosen on MNIST: the test error was 2.75 % with half as
many and 2.23 % with this number (`python -m benchmarks mnist.train`, seed 0)."""

EPOCH_FACTORS = {"few": 0.25, "auto": 1.0, "many": 3.0}
"""Number of epochs by name, relative to "auto". "many" does not increase the least
number of minibatches: with 200 rows, three times as many overfitted (benchmarks/README,
"Number of steps")."""

BLOCK = 256
"""Largest number of minibatches whose weights are gathered in one operation."""

BLOCK_ROWS = 2**18
"""Largest number of their rows, which bounds the memory to a few MB."""


class MixedBatches:
    """Minibatches of one epoch that mix labelled and unlabelled rows.

    Iterating yields ``ceil(n_rows / batch_size)`` minibatches, or `n_batches`. The
    unlabelled rows are divided evenly among the minibatches of one pass, and so are the
    labelled rows, but each minibatch has at least a quarter of `batch_size` of them (or
    all labelled rows, if they are fewer). Rows of both kinds are taken from as many
    shuffled passes over them as needed.

    Parameters
    ----------
    rows : Rows
        The training data.
    batch_size : int
        Rows in a minibatch, before labelled rows are added to make up the quarter.
    seed : int
        Seed of the shuffling.
    epoch : int
        Number of the first epoch. The shuffling of an epoch depends only on the seed
        and on its number.
    n_batches : int, default=None
        Number of minibatches in an epoch; None makes one pass over the rows.
    rank, world_size : int
        Only the rows of this shard of each minibatch are yielded
        (`sk_ssvae.training.sharding.BatchShard`); all by default. The minibatches do
        not depend on the number of shards.

    Attributes
    ----------
    shard : BatchShard
        The shard of a minibatch.
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        *,
        seed: int,
        epoch: int = 0,
        n_batches: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.rows = rows
        self.seed = seed
        self.epoch = epoch
        size = min(batch_size, len(rows))
        n_per_pass = math.ceil(len(rows) / size)
        self.n_batches = n_per_pass if n_batches is None else n_batches
        n_labelled = math.ceil(rows.n_labelled / n_per_pass)
        self.labelled_size = min(rows.n_labelled, max(n_labelled, math.ceil(size / 4)))
        n_unlabelled = len(rows) - rows.n_labelled
        self.unlabelled_size = math.ceil(n_unlabelled / n_per_pass)
        self.shard = BatchShard(
            self.labelled_size, self.unlabelled_size, rank, world_size
        )

    def __len__(self) -> int:
        return self.n_batches

    def _positions(
        self, rows: SortedRows, size: int, generator: torch.Generator
    ) -> "_Positions":
        """Return the positions of the rows of one kind in all minibatches."""
        total = self.n_batches * size
        chunks = self.rows.shuffled(rows, total, generator) if total else iter(())
        return _Positions(chunks, self.rows.device)

    def __iter__(self) -> Iterator[Batch]:
        rows, n = self.rows, self.rows.n_labelled
        generator = stream_generator(self.seed, Stream.BATCHES, self.epoch)
        self.epoch += 1
        sizes = self.labelled_size, self.unlabelled_size
        labelled = self._positions(rows.labelled_rows, sizes[0], generator)
        unlabelled = self._positions(rows.unlabelled_rows, sizes[1], generator)
        # Number of rows of its kind that a row of a minibatch represents.
        factor = torch.ones(sum(sizes), dtype=rows.bound_weight.dtype, device="cpu")
        factor[: sizes[0]] *= n / max(1, sizes[0])
        factor[sizes[0] :] *= (len(rows) - n) / max(1, sizes[1])
        factor = self.shard.rows(factor).to(rows.device)
        # Everything but the rows themselves is gathered for many minibatches at once.
        n_together = max(1, min(BLOCK, BLOCK_ROWS // sum(sizes)))
        for start in range(0, self.n_batches, n_together):
            n_batches = min(n_together, self.n_batches - start)
            # Of both kinds in this order, which decides on the random numbers.
            known, others = (
                positions.take(n_batches * size).view(n_batches, size)
                for positions, size in zip((labelled, unlabelled), sizes, strict=True)
            )
            known = self.shard.rows(known.T).T
            others = self.shard.unlabelled(others.T).T
            indices = [rows.labelled_rows[known], rows.unlabelled_rows[others]]
            bound_weight = [rows.bound_weight[known], rows.bound_weight[others + n]]
            target_weight = [rows.labelled_weight[known]]
            target_weight += [rows.unlabelled_weight[others]]
            which = torch.cat(indices, dim=1)
            bound = torch.cat(bound_weight, dim=1) * factor
            target = torch.cat(target_weight, dim=1) * factor
            codes = rows.codes[known]
            for i in range(n_batches):
                inputs = {
                    "x": rows.encoded(which[i]),
                    "bound_weight": bound[i],
                    "target_weight": target[i],
                }
                if rows.soft_targets is not None:
                    inputs["soft_targets"] = rows.soft_targets[others[i]]
                yield inputs, codes[i]


class _Positions:
    """Positions of shuffled rows, of which the next ones are taken.

    Parameters
    ----------
    chunks : iterator of Tensor of integers
        The positions, in parts of any size.
    device : torch.device
        Device of the result.
    """

    def __init__(self, chunks: Iterator[Tensor], device: torch.device) -> None:
        self._chunks = chunks
        self._device = device
        self._left = torch.empty(0, dtype=torch.int64, device=device)

    def take(self, n: int) -> Tensor:
        """Return the next positions, as int64 of shape (n,)."""
        parts = [self._left[:n]]
        self._left = self._left[n:]
        while (n := n - len(parts[-1])) > 0:
            chunk = next(self._chunks).to(self._device)
            parts.append(chunk[:n])
            self._left = chunk[n:]
        return torch.cat([part.long() for part in parts])


class OrderedBatches:
    """Minibatches of all rows in their order, for validation.

    A minibatch holds ``x`` and ``bound_weight``, scaled such that the mean of weight
    times value over the rows of a minibatch, averaged over minibatches by size as
    skorch averages validation losses, is the weighted mean over all rows.

    Parameters
    ----------
    rows : Rows
        The rows.
    batch_size : int
        Rows in a minibatch; the last may have fewer.
    rank, world_size : int
        Only every `world_size`-th minibatch is yielded, from minibatch `rank` on; all
        by default.
    """

    def __init__(
        self, rows: Rows, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return len(self._chunks())

    def _chunks(self) -> list[slice]:
        chunks = [*row_chunks(len(self.rows), 1, self.batch_size)]
        return chunks[self.rank :: self.world_size]

    @property
    def sizes(self) -> list[int]:
        """Numbers of rows of the minibatches."""
        return [chunk.stop - chunk.start for chunk in self._chunks()]

    def part(self, rank: int, world_size: int) -> "OrderedBatches":
        """Return every `world_size`-th minibatch, from minibatch `rank` on."""
        return OrderedBatches(self.rows, self.batch_size, rank, world_size)

    def __iter__(self) -> Iterator[Batch]:
        rows = self.rows
        for chunk in self._chunks():
            which = torch.arange(chunk.start, chunk.stop, device=rows.device)
            codes = torch.full_like(which, -1)
            known = rows.codes[chunk]  # the labelled rows are the first ones
            codes[: len(known)] = known
            weight = rows.bound_weight[chunk] * len(rows)
            x = rows.encoded(rows.indices(which))
            yield {"x": x, "bound_weight": weight}, codes


def resolve_max_epochs(
    max_epochs: str | int,
    n_rows: int,
    batch_size: int,
    *,
    taught: bool = False,
    large_steps: bool = False,
) -> int:
    """Return the number of epochs to train for.

    Parameters
    ----------
    max_epochs : "few", "auto", "many" or int
        See `sk_ssvae.SSVAEClassifier`.
    n_rows : int
        Number of training rows.
    batch_size : int
        Rows in a minibatch.
    taught : bool, default=False
        Whether a classifier has a teacher.
    large_steps : bool, default=False
        Whether it then takes large steps (`sk_ssvae.training.objective.Objective`).

    Returns
    -------
    max_epochs : int
    """
    if not isinstance(max_epochs, str):
        return int(max_epochs)
    factor = EPOCH_FACTORS[max_epochs]
    n_batches = math.ceil(n_rows / int(batch_size))
    if taught:
        n_epochs = LARGE_STEP_EPOCHS if large_steps else TAUGHT_EPOCHS
        n_passes = int(factor * min(n_epochs, MAX_TAUGHT_ROW_VISITS / n_rows))
        n_steps = TAUGHT_MIN_BATCHES * min(1.0, max(0.5, n_rows / FEW_ROWS))
    else:
        n_passes, n_steps = math.ceil(factor * AUTO_EPOCHS), AUTO_MIN_BATCHES
    # A larger number of minibatches of few rows would overfit.
    n_steps *= min(1.0, factor)
    return max(1, n_passes, math.ceil(n_steps / n_batches))
