"""The categorical likelihood; a cell is the code of a category."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sk_ssvae.models.likelihoods.base import (
    LIKELIHOODS,
    Density,
    IndependentColumns,
    Likelihood,
)

__all__ = ["Categorical", "CategoricalVector"]


@dataclass(frozen=True)
class CategoricalVector(IndependentColumns):
    """Independent categorical variables over the last axis.

    Attributes
    ----------
    log_p : Tensor of shape (..., n_features, max_size)
        Log-probabilities, padded with minus infinity.
    valid : Tensor of int64 of shape (n_means,)
        Indices of the entries that are not padding, in the last two axes flattened.
    """

    log_p: Tensor
    valid: Tensor

    @property
    def mean(self) -> Tensor:
        """Probability of each category of each column, of shape (..., n_means)."""
        return self.log_p.flatten(-2).index_select(-1, self.valid).exp()

    def log_probs(self, x: Tensor) -> Tensor:
        """Return the log-probability of each cell."""
        shape = np.broadcast_shapes(x.shape, self.log_p.shape[:-1])
        codes = x.long().expand(shape)[..., None]
        return self.log_p.expand(*shape, -1).gather(-1, codes).squeeze(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw of codes, as floats (the Gumbel-max trick)."""
        exponential_noise = torch.empty_like(self.log_p).exponential_(
            generator=generator
        )
        # The index of the smallest of exponential variables with rates p is i with
        # probability p_i.
        return (self.log_p - exponential_noise.log()).argmax(-1).to(self.log_p.dtype)


class Categorical(Likelihood):
    """p(x | h) = product over columns of Cat(x_j; softmax(h_j + offset_j)).

    Parameters
    ----------
    sizes : sequence of int
        Number of categories of each column.
    offset : sequence of float of length sum(sizes), default=None
        Added to the decoder outputs, e.g. the log-frequencies of the categories, from
        which training then starts.
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
        valid = torch.arange(max(self.sizes)) < torch.tensor(self.sizes)[:, None]
        # Index of each entry of the padded matrix in the outputs followed by -inf.
        padding = torch.full(valid.shape, self.n_outputs)
        padding[valid] = torch.arange(self.n_outputs)
        self.register_buffer("own", valid.flatten().nonzero().squeeze(-1))
        self.register_buffer("padding", padding)
        start = [0.0] * self.n_outputs if offset is None else offset
        self.register_buffer("offset", torch.tensor(start, dtype=torch.float32))

    def density(self) -> Density:
        """Return `forward`: there is nothing to precompute."""
        return self.forward

    def forward(self, outputs: Tensor) -> CategoricalVector:
        """Return the distribution for decoder outputs (..., n_outputs)."""
        logits = outputs + self.offset
        pad = logits.new_full((*logits.shape[:-1], 1), -torch.inf)
        padded = torch.cat([logits, pad], -1)[..., self.padding]
        return CategoricalVector(padded.log_softmax(-1), self.own)

    def cells(self, means: Tensor) -> Tensor:
        """Return codes of the most probable categories."""
        parts = torch.split(means, self.sizes, -1)
        return torch.stack([p.argmax(-1) for p in parts], -1).to(means.dtype)


LIKELIHOODS["categorical"] = Categorical
