"""Columns of several kinds: a product over groups of columns.

Nazabal, Olmos, Ghahramani & Valera 2020, "Handling incomplete heterogeneous data using
VAEs", Pattern Recognition 107, arXiv 1807.03653: the density of a row is a product over
its columns, each of its own kind, and what is missing is left out of it.
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
from sk_ssvae.models.likelihoods.counts import Poisson

__all__ = ["Product", "ProductRow", "likelihood_of"]


@dataclass(frozen=True)
class ProductRow:
    """Independent groups of columns, each with a distribution of its own.

    Attributes
    ----------
    parts : sequence of RowDistribution
        One a group.
    columns : sequence of Tensor of int64
        Which cells are whose.
    places : Tensor of int64 of shape (n_features,)
        Where the cells are in a row of the groups' cells, one after another.
    gaps : bool
        Whether cells may be missing whatever `log_prob` is told.
    """

    parts: Sequence[RowDistribution]
    columns: Sequence[Tensor]
    places: Tensor
    gaps: bool = False

    @property
    def mean(self) -> Tensor:
        """Means, group by group: (..., n_means)."""
        return torch.cat([p.mean for p in self.parts], -1)

    def log_prob(self, x: Tensor, gaps: bool = False) -> Tensor:
        """Log-density, summed over all columns; cells that are NaN do not count."""
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
        """One draw of a row of cells."""
        drawn = torch.cat([p.sample(generator) for p in self.parts], -1)
        return drawn.index_select(-1, self.places)


class Product(Likelihood):
    """The likelihood of a layout of columns.

    Parameters
    ----------
    layout : Layout
        Which columns are of which kind.
    """

    places: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.parts = nn.ModuleList(_of_group(group) for group in layout.groups)
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
        """Work out what the groups have to."""
        densities = [part.density() for part in self._likelihoods]
        columns = [getattr(self, f"columns_{i}") for i in range(len(densities))]

        def density(outputs: Tensor) -> ProductRow:
            shares = torch.split(outputs, self._sizes, -1)
            parts = [f(out) for f, out in zip(densities, shares, strict=True)]
            return ProductRow(parts, columns, self.places, self.gaps)

        return density

    def cells(self, means: Tensor) -> Tensor:
        """Rows of cells: means, and the modes of categories."""
        shares = torch.split(means, self._sizes, -1)
        parts = [
            part.cells(m) for part, m in zip(self._likelihoods, shares, strict=True)
        ]
        return torch.cat(parts, -1).index_select(-1, self.places)


def _of_group(group: ColumnGroup) -> Likelihood:
    """Make the likelihood of a group."""
    kind = LIKELIHOODS[group.kind]
    if issubclass(kind, Categorical):
        return kind(group.sizes, group.offset)
    if issubclass(kind, Poisson):
        return kind(len(group.columns), group.offset)
    return kind(len(group.columns))


def likelihood_of(layout: Layout) -> Likelihood:
    """Make the likelihood of a layout, as plain as the layout is."""
    return _of_group(layout.groups[0]) if layout.is_plain else Product(layout)
