"""Interfaces of likelihoods and of the distributions over rows that they return.

The distributions draw from an explicit ``torch.Generator``, which those of
``torch.distributions`` do not support.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

__all__ = [
    "LIKELIHOODS",
    "Density",
    "IndependentColumns",
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
        """Means, of shape (..., n_means); for a category one probability per level."""

    def log_prob(self, x: Tensor, gaps: bool = False) -> Tensor:
        """Return the log-density of rows (..., n_features), of shape (...).

        With `gaps`, cells that are NaN are left out, which gives the marginal density
        of the observed cells.
        """

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw, of shape (..., n_features)."""


class IndependentColumns(ABC):
    """A distribution whose columns are independent, one cell per column."""

    @abstractmethod
    def log_probs(self, x: Tensor) -> Tensor:
        """Return the log-density of each cell, of shape (..., n_features)."""

    def log_prob(self, x: Tensor, gaps: bool = False) -> Tensor:
        """Return the log-density, summed over the last axis; `x` broadcasts."""
        if not gaps:
            return self.log_probs(x).sum(-1)
        # Zero is in the support of every column type, so gradients are never NaN.
        cells = self.log_probs(torch.nan_to_num(x, nan=0.0))
        return cells.masked_fill(x.isnan(), 0.0).sum(-1)


def has_gaps(x: Tensor) -> bool:
    """Return whether any cell is NaN. This synchronises with the device."""
    return bool(x.isnan().any())


Density = Callable[[Tensor], RowDistribution]
"""Maps decoder outputs to p(x | y, z)."""


class Likelihood(nn.Module, ABC):
    """A product over columns of densities of one type.

    Attributes
    ----------
    learns_scale : bool
        Whether the spread of the cells about their means is learned.
    n_outputs : int
        Number of decoder outputs.
    """

    learns_scale: bool = False
    n_outputs: int

    @abstractmethod
    def density(self) -> Density:
        """Return a function from decoder outputs to a distribution.

        It holds what does not depend on the outputs, so that several calls in one
        training step compute it once.
        """

    def forward(self, outputs: Tensor) -> RowDistribution:
        """Return the distribution for decoder outputs (..., n_outputs)."""
        return self.density()(outputs)

    def cells(self, means: Tensor) -> Tensor:
        """Return cells for means (..., n_means); categories as the code of the mode."""
        return means


LIKELIHOODS: dict[str, type[Likelihood]] = {}
"""Column types by name, for ``likelihood=...``."""
