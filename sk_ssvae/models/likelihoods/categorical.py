"""Categories: of each column one of so many, by its code."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sk_ssvae.models.likelihoods.base import LIKELIHOODS, ByColumn, Density, Likelihood

__all__ = ["Categorical", "CategoricalVector"]


@dataclass(frozen=True)
class CategoricalVector(ByColumn):
    """Independent categorical variables over the last axis.

    Attributes
    ----------
    log_p : Tensor of shape (..., n_features, most)
        Log-probabilities; minus infinity beyond a column's own categories.
    own : Tensor of int64 of shape (n_means,)
        Where in the last two axes, flattened, the columns' own categories are.
    """

    log_p: Tensor
    own: Tensor

    @property
    def mean(self) -> Tensor:
        """Probability of each category of each column, of shape (..., n_means)."""
        return self.log_p.flatten(-2).index_select(-1, self.own).exp()

    def log_probs(self, x: Tensor) -> Tensor:
        """Log-probability of each cell's code."""
        shape = np.broadcast_shapes(x.shape, self.log_p.shape[:-1])
        codes = x.long().expand(shape)[..., None]
        return self.log_p.expand(*shape, -1).gather(-1, codes).squeeze(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw of codes, as floats."""
        exponential_noise = torch.empty_like(self.log_p).exponential_(
            generator=generator
        )
        # The smallest of exponential variables with rates p is i with probability p_i.
        return (self.log_p - exponential_noise.log()).argmax(-1).to(self.log_p.dtype)


class Categorical(Likelihood):
    """p(x | h) = product over columns of Cat(x_j; softmax(h_j + offset_j)).

    Parameters
    ----------
    sizes : sequence of int
        Number of categories of each column.
    offset : sequence of float of length sum(sizes), default=None
        What is added to the outputs, such as the logarithms of the shares: training
        starts from there.
    """

    own: Tensor
    padding: Tensor
    offset: Tensor

    def __init__(
        self, sizes: Sequence[int], offset: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.n_outputs = sum(self.sizes)
        most = max(self.sizes)
        own = torch.arange(most) < torch.tensor(self.sizes)[:, None]
        # Outputs in rows of equal length; beyond a column's own they are the last one.
        padding = torch.full(own.shape, self.n_outputs)
        padding[own] = torch.arange(self.n_outputs)
        self.register_buffer("own", own.flatten().nonzero().squeeze(-1))
        self.register_buffer("padding", padding)
        start = [0.0] * self.n_outputs if offset is None else offset
        self.register_buffer("offset", torch.tensor(start, dtype=torch.float32))

    def density(self) -> Density:
        """Return `forward`, which has nothing to work out."""
        return self.forward

    def forward(self, outputs: Tensor) -> CategoricalVector:
        """Turn decoder outputs (..., n_outputs) into a distribution."""
        logits = outputs + self.offset
        beyond = logits.new_full((*logits.shape[:-1], 1), -torch.inf)
        rows = torch.cat([logits, beyond], -1)[..., self.padding]
        return CategoricalVector(rows.log_softmax(-1), self.own)

    def cells(self, means: Tensor) -> Tensor:
        """Codes of the most probable categories."""
        parts = torch.split(means, self.sizes, -1)
        return torch.stack([p.argmax(-1) for p in parts], -1).to(means.dtype)


LIKELIHOODS["categorical"] = Categorical
