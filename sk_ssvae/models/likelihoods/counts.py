"""Likelihoods of counts: Poisson, and negative binomial for overdispersed counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sk_ssvae.models.likelihoods.base import (
    LIKELIHOODS,
    Density,
    IndependentColumns,
    Likelihood,
)

__all__ = ["NegativeBinomial", "NegativeBinomialVector", "Poisson", "PoissonVector"]

MAX_LOG_MEAN = 25.0
"""Bound of the logarithm of a mean; exp(25) is 72 billion."""


@dataclass(frozen=True)
class PoissonVector(IndependentColumns):
    """Independent Poisson variables over the last axis.

    Attributes
    ----------
    log_mean : Tensor of shape (..., n_features)
        Logarithms of the means.
    """

    log_mean: Tensor

    @property
    def mean(self) -> Tensor:
        """Means."""
        return self.log_mean.exp()

    def log_probs(self, x: Tensor) -> Tensor:
        """Return the log-probability of each count."""
        x = x.to(self.log_mean.dtype)
        return x * self.log_mean - self.mean - torch.lgamma(x + 1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw of counts, as floats."""
        return torch.poisson(self.mean, generator=generator)


@dataclass(frozen=True)
class NegativeBinomialVector(IndependentColumns):
    r"""Independent negative binomial variables with means and sizes.

    The variance is :math:`\mu + \mu^2 / r`; the limit of large r is the Poisson.

    Attributes
    ----------
    log_mean : Tensor of shape (..., n_features)
        Logarithms of the means.
    log_size : Tensor of shape (n_features,)
        Logarithms of r.
    """

    log_mean: Tensor
    log_size: Tensor

    @property
    def mean(self) -> Tensor:
        """Means."""
        return self.log_mean.exp()

    def log_probs(self, x: Tensor) -> Tensor:
        """Return the log-probability of each count."""
        x = x.to(self.log_mean.dtype)
        log_size = self.log_size.to(self.log_mean.dtype)
        size = log_size.exp()
        # These terms do not depend on the mean and broadcast over classes and draws.
        choose = torch.lgamma(x + size) - torch.lgamma(size) - torch.lgamma(x + 1)
        log_both = torch.logaddexp(self.log_mean, log_size)
        return choose + size * log_size + x * self.log_mean - (x + size) * log_both

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw of counts, as floats, from a gamma-Poisson mixture."""
        size = self.log_size.exp().expand_as(self.log_mean).contiguous()
        # torch.distributions.Gamma would draw from the global generator.
        gamma = torch._standard_gamma(size, generator=generator)
        return torch.poisson(gamma * (self.log_mean - self.log_size).exp(), generator)


class Poisson(Likelihood):
    """p(x | h) = product over columns of Poisson(x_j; exp(h_j + offset_j)).

    Parameters
    ----------
    n_features : int
        Number of columns.
    offset : sequence of float of length n_features, default=None
        Added to the decoder outputs, e.g. the logarithms of the columns' means, from
        which training then starts.
    """

    offset: Tensor

    def __init__(self, n_features: int, offset: Sequence[float] | None = None) -> None:
        super().__init__()
        self.n_outputs = n_features
        start = [0.0] * n_features if offset is None else offset
        self.register_buffer("offset", torch.tensor(start, dtype=torch.float32))

    def _log_mean(self, outputs: Tensor) -> Tensor:
        return (outputs + self.offset).clamp(-MAX_LOG_MEAN, MAX_LOG_MEAN)

    def density(self) -> Density:
        """Return a function from decoder outputs to a distribution."""
        return lambda outputs: PoissonVector(self._log_mean(outputs))


class NegativeBinomial(Poisson):
    """p(x | h) = product over columns of NB(x_j; mean exp(h_j + offset_j), size r_j).

    The sizes r are learned, between 0.02 and 1,000; beyond that the distribution is
    numerically a Poisson.

    Parameters
    ----------
    n_features : int
        Number of columns.
    offset : sequence of float of length n_features, default=None
        As for `Poisson`.
    """

    learns_scale = True
    LOG_SIZES = (-4.0, 6.9)

    def __init__(self, n_features: int, offset: Sequence[float] | None = None) -> None:
        super().__init__(n_features, offset)
        self.log_size = nn.Parameter(torch.zeros(n_features, dtype=torch.float32))

    def density(self) -> Density:
        """Return a function from decoder outputs to a distribution."""
        low, high = self.LOG_SIZES
        middle, half = (low + high) / 2, (high - low) / 2
        log_size = middle + half * torch.tanh((self.log_size - middle) / half)
        return lambda outputs: NegativeBinomialVector(self._log_mean(outputs), log_size)


LIKELIHOODS["poisson"] = Poisson
LIKELIHOODS["negative_binomial"] = NegativeBinomial
