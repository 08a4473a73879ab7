"""Counts: the Poisson, and the negative binomial where they vary more."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sk_ssvae.models.likelihoods.base import LIKELIHOODS, ByColumn, Density, Likelihood

__all__ = ["NegativeBinomial", "NegativeBinomialVector", "Poisson", "PoissonVector"]

MAX_LOG_MEAN = 25.0
"""Bounds the logarithm of a mean, at 72 billion."""


@dataclass(frozen=True)
class PoissonVector(ByColumn):
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
        """Log-probability of each count."""
        x = x.to(self.log_mean.dtype)
        return x * self.log_mean - self.mean - torch.lgamma(x + 1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw of counts, as floats."""
        return torch.poisson(self.mean, generator=generator)


@dataclass(frozen=True)
class NegativeBinomialVector(ByColumn):
    r"""Independent negative binomial variables, by mean and size.

    The variance is :math:`\mu + \mu^2 / r`: that of the Poisson as r grows.

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
        """Log-probability of each count."""
        x = x.to(self.log_mean.dtype)
        log_size = self.log_size.to(self.log_mean.dtype)
        size = log_size.exp()
        # The part without the mean is worked out once for all classes and draws.
        choose = torch.lgamma(x + size) - torch.lgamma(size) - torch.lgamma(x + 1)
        log_both = torch.logaddexp(self.log_mean, log_size)
        return choose + size * log_size + x * self.log_mean - (x + size) * log_both

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw of counts, as floats: a Poisson whose mean is a gamma's draw."""
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
        What is added to the outputs, such as the logarithms of the columns' means:
        training starts from there.
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
        """Work out nothing: a Poisson has its mean alone."""
        return lambda outputs: PoissonVector(self._log_mean(outputs))


class NegativeBinomial(Poisson):
    """p(x | h) = product over columns of NB(x_j; mean exp(h_j + offset_j), size r_j).

    The sizes r are learned. They stay between 0.02 and 1,000, beyond which it is the
    Poisson as far as a computer can tell.

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
        """Work out the sizes."""
        low, high = self.LOG_SIZES
        middle, half = (low + high) / 2, (high - low) / 2
        log_size = middle + half * torch.tanh((self.log_size - middle) / half)
        return lambda outputs: NegativeBinomialVector(self._log_mean(outputs), log_size)


LIKELIHOODS["poisson"] = Poisson
LIKELIHOODS["negative_binomial"] = NegativeBinomial
