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

from sk_ssvae.training.rows import Batch, Rows
from sk_ssvae.training.sharding import BatchShard
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.random import Stream, stream_generator

__all__ = ["MixedBatches", "OrderedBatches", "resolve_max_epochs"]

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

BLOCK = 256
"""Number of minibatches whose weights are gathered in one operation."""


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

    def _shuffled(self, first: int, n: int, size: int, g: torch.Generator) -> Tensor:
        """Return indices (n_batches, size) from shuffled passes over `n` rows."""
        if size == 0:
            return torch.empty(self.n_batches, 0, dtype=torch.int64, device="cpu")
        passes = self.rows.shuffled(first, n, self.n_batches * size, g)
        return first + passes.view(self.n_batches, size)

    def __iter__(self) -> Iterator[Batch]:
        rows, n = self.rows, self.rows.n_labelled
        generator = stream_generator(self.seed, Stream.BATCHES, self.epoch)
        self.epoch += 1
        labelled = self._shuffled(0, n, self.labelled_size, generator)
        unlabelled = self._shuffled(n, len(rows) - n, self.unlabelled_size, generator)
        device = rows.x.device
        # Number of rows of its kind that a row of a minibatch represents.
        size = self.labelled_size
        factor = torch.ones(
            size + self.unlabelled_size, dtype=rows.bound_weight.dtype, device="cpu"
        )
        factor[:size] *= n / max(1, size)
        factor[size:] *= (len(rows) - n) / max(1, self.unlabelled_size)
        factor = self.shard.rows(factor).to(device)
        indices = torch.cat([labelled, unlabelled], dim=1)
        indices = self.shard.rows(indices.T).T.to(device)
        size = self.shard.count(size)
        # Everything but the rows themselves is gathered for many minibatches at once.
        for block in torch.split(indices, BLOCK):
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
                if rows.soft_targets is not None:
                    inputs["soft_targets"] = rows.soft_targets[block[i, size:] - n]
                yield inputs, codes[i]


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
        codes = torch.full_like(rows.order, -1)
        codes[: rows.n_labelled] = rows.codes
        for chunk in self._chunks():
            weight = rows.bound_weight[chunk] * len(rows)
            yield (
                {"x": rows.encoded(rows.order[chunk]), "bound_weight": weight},
                codes[chunk],
            )


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
    max_epochs : "auto" or int
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
    if max_epochs != "auto":
        return int(max_epochs)
    n_batches = math.ceil(n_rows / int(batch_size))
    if not taught:
        return math.ceil(max(AUTO_EPOCHS, AUTO_MIN_BATCHES / n_batches))
    n_epochs = LARGE_STEP_EPOCHS if large_steps else TAUGHT_EPOCHS
    n_passes = int(min(n_epochs, MAX_TAUGHT_ROW_VISITS / n_rows))
    n_steps = TAUGHT_MIN_BATCHES * min(1.0, max(0.5, n_rows / FEW_ROWS))
    return max(1, n_passes, math.ceil(n_steps / n_batches))
