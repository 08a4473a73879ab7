"""What the density of a row is: a distribution over columns, and the module it is of.

The distributions here draw from a generator that is handed in, which those of
``torch.distributions`` cannot do.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

__all__ = [
    "LIKELIHOODS",
    "ByColumn",
    "Density",
    "Likelihood",
    "RowDistribution",
    "has_gaps",
]


class RowDistribution(Protocol):
    """A distribution over rows of cells, independent given its parameters.

    A cell is a number: a measurement, a count, or the code of a category.
    """

    @property
    def mean(self) -> Tensor:
        """Means, of shape (..., n_means); of a category the probability of each."""

    def log_prob(self, x: Tensor, gaps: bool = False) -> Tensor:
        """Log-density of rows (..., n_features), summed over features: (...).

        With `gaps`, cells that are NaN do not count: what is left is the marginal
        density of the others.
        """

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw of shape (..., n_features)."""


class ByColumn(ABC):
    """A distribution that knows the log-density of each cell."""

    @abstractmethod
    def log_probs(self, x: Tensor) -> Tensor:
        """Log-density of each cell, of shape (..., n_features)."""

    def log_prob(self, x: Tensor, gaps: bool = False) -> Tensor:
        """Log-density, summed over the last axis; `x` broadcasts."""
        if not gaps:
            return self.log_probs(x).sum(-1)
        # Zero has a density under each of them: no NaN comes near a gradient.
        cells = self.log_probs(torch.nan_to_num(x, nan=0.0))
        return cells.masked_fill(x.isnan(), 0.0).sum(-1)


def has_gaps(x: Tensor) -> bool:
    """Whether a cell is missing, which waits for the device."""
    return bool(x.isnan().any())


Density = Callable[[Tensor], RowDistribution]
"""From decoder outputs to p(x | y, z)."""


class Likelihood(nn.Module, ABC):
    """A product over columns of densities of one kind.

    Attributes
    ----------
    learns_scale : bool
        Whether how much cells vary about their means is learned too.
    n_outputs : int
        Outputs of the decoder that it takes.
    """

    learns_scale: bool = False
    n_outputs: int

    @abstractmethod
    def density(self) -> Density:
        """Work out what is the same for any number of calls in a step."""

    def forward(self, outputs: Tensor) -> RowDistribution:
        """Turn decoder outputs (..., n_outputs) into a distribution."""
        return self.density()(outputs)

    def cells(self, means: Tensor) -> Tensor:
        """Make cells of means (..., n_means): of categories the code of the mode."""
        return means


LIKELIHOODS: dict[str, type[Likelihood]] = {}
"""Kinds of columns by name, for ``likelihood=...``."""
