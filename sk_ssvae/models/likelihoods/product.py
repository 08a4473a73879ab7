"""Likelihoods of rows with columns of several types.

Nazabal, Olmos, Ghahramani & Valera 2020, "Handling incomplete heterogeneous data using
VAEs", Pattern Recognition 107, arXiv 1807.03653: the density of a row is a product over
its columns, each of its own type, and missing cells are left out of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sk_ssvae.data.layout import ColumnGroup, Layout
from sk_ssvae.models.likelihoods.base import (
    LIKELIHOODS,
    Density,
    Likelihood,
    RowDistribution,
)
from sk_ssvae.models.likelihoods.categorical import Categorical
from sk_ssvae.models.likelihoods.counts import NegativeBinomial, Poisson

__all__ = ["Product", "ProductRow", "make_likelihood"]


@dataclass(frozen=True)
class ProductRow:
    """A product of distributions over groups of columns.

    Attributes
    ----------
    parts : sequence of RowDistribution
        One distribution per group.
    columns : sequence of Tensor of int64
        Columns of each group.
    positions : Tensor of int64 of shape (n_features,)
        Position of each column in the concatenation of the groups.
    gaps : bool
        Whether `log_prob` allows missing cells even with ``gaps=False``.
    """

    parts: Sequence[RowDistribution]
    columns: Sequence[Tensor]
    positions: Tensor
    gaps: bool = False

    @property
    def mean(self) -> Tensor:
        """Means of the groups, concatenated: (..., n_means)."""
        return torch.cat([p.mean for p in self.parts], -1)

    def log_prob(self, x: Tensor, gaps: bool = False) -> Tensor:
        """Return the log-density, summed over columns; see `RowDistribution`."""
        gaps = gaps or self.gaps
        first, *others = (
            p.log_prob(x.index_select(-1, columns), gaps)
            for p, columns in zip(self.parts, self.columns, strict=True)
        )
        total: Tensor = first
        for part in others:
            total = total + part
        return total

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw of rows of cells."""
        cells = torch.cat([p.sample(generator) for p in self.parts], -1)
        return cells.index_select(-1, self.positions)


class Product(Likelihood):
    """The likelihood of a layout of columns.

    Parameters
    ----------
    layout : Layout
        Column groups.
    """

    places: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.parts = nn.ModuleList(_group_likelihood(group) for group in layout.groups)
        self._sizes = [part.n_outputs for part in self._likelihoods]
        self.n_outputs = sum(self._sizes)
        self.learns_scale = any(part.learns_scale for part in self._likelihoods)
        self.gaps = layout.has_gaps
        order = np.concatenate([group.columns for group in layout.groups])
        self.register_buffer("places", torch.from_numpy(np.argsort(order)))
        for i, group in enumerate(layout.groups):
            self.register_buffer(f"columns_{i}", torch.from_numpy(group.columns))

    @property
    def _likelihoods(self) -> list[Likelihood]:
        return [part for part in self.parts if isinstance(part, Likelihood)]

    def density(self) -> Density:
        """Return a function from decoder outputs to a distribution."""
        densities = [part.density() for part in self._likelihoods]
        columns = [getattr(self, f"columns_{i}") for i in range(len(densities))]

        def density(outputs: Tensor) -> ProductRow:
            split = torch.split(outputs, self._sizes, -1)
            parts = [f(part) for f, part in zip(densities, split, strict=True)]
            return ProductRow(parts, columns, self.places, self.gaps)

        return density

    def cells(self, means: Tensor) -> Tensor:
        """Return rows of cells: means, and codes of the modes of categories."""
        split = torch.split(means, self._sizes, -1)
        parts = [
            part.cells(m) for part, m in zip(self._likelihoods, split, strict=True)
        ]
        return torch.cat(parts, -1).index_select(-1, self.places)


def _group_likelihood(group: ColumnGroup) -> Likelihood:
    """Return the likelihood of one group of columns."""
    likelihood = LIKELIHOODS[group.kind]
    if issubclass(likelihood, Categorical):
        return likelihood(group.sizes, group.offset)
    n_features = len(group.columns)
    if issubclass(likelihood, NegativeBinomial):
        return likelihood(n_features, group.offset, group.scale, group.log_size)
    if issubclass(likelihood, Poisson):
        return likelihood(n_features, group.offset, group.scale)
    return likelihood(n_features)


def make_likelihood(layout: Layout) -> Likelihood:
    """Return the likelihood of a layout; a `Product` only where it is needed."""
    return _group_likelihood(layout.groups[0]) if layout.is_plain else Product(layout)
