"""The rows of a minibatch that each of several processes computes."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["BatchShard"]


@dataclass(frozen=True)
class BatchShard:
    """Every `world_size`-th row of a minibatch, from row `rank` on.

    The shards of all ranks partition the minibatch, and their sizes differ by at most
    one row; so do those of the labelled rows, which are the first ones, and of the rows
    in the bound, which follow them.

    Parameters
    ----------
    n_labelled, n_unlabelled : int
        Numbers of rows in the whole minibatch.
    rank : int
        Number of the process.
    world_size : int
        Number of processes.
    """

    n_labelled: int
    n_unlabelled: int
    rank: int = 0
    world_size: int = 1

    def __len__(self) -> int:
        """Return the number of rows in the whole minibatch."""
        return self.n_labelled + self.n_unlabelled

    def count(self, n: int) -> int:
        """Return how many of the first `n` rows of the minibatch are in the shard."""
        return len(range(self.rank, n, self.world_size))

    def rows(self, whole: Tensor) -> Tensor:
        """Select the rows of the shard along the first axis of a minibatch."""
        return whole[self.rank :: self.world_size]

    def unlabelled(self, whole: Tensor) -> Tensor:
        """Select those of the shard from a tensor of the unlabelled rows."""
        return whole[(self.rank - self.n_labelled) % self.world_size :: self.world_size]

    def bound_rows(self, n: int | None) -> tuple[int | None, float | None]:
        """Return how many unlabelled rows of the shard are in the bound.

        Parameters
        ----------
        n : int or None
            Number of unlabelled rows of the minibatch in the bound; None for all.

        Returns
        -------
        n_rows : int or None
            Number in the shard; None for all.
        factor : float or None
            Number of unlabelled rows that one of them represents; None if these are
            all.
        """
        if n is None or n >= self.n_unlabelled:
            return None, None
        first = self.count(self.n_labelled)
        return self.count(self.n_labelled + n) - first, self.n_unlabelled / n
