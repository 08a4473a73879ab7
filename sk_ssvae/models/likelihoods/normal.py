"""The normal: of measurements, and of latent variables."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sk_ssvae.models.likelihoods.base import LIKELIHOODS, ByColumn, Density, Likelihood

__all__ = ["ColumnNormal", "DiagonalNormal", "Gaussian"]


@dataclass
class DiagonalNormal(ByColumn):
    """N(mean, diag(exp(log_scale))^2) over the last axis.

    Attributes
    ----------
    mean : Tensor of shape (..., n_features)
        Means.
    log_scale : Tensor of shape (..., n_features) or (n_features,)
        Logarithms of the standard deviations.
    scale : Tensor
        The standard deviations.
    """

    mean: Tensor
    log_scale: Tensor

    def __post_init__(self) -> None:
        self.scale = self.log_scale.exp()

    def __getitem__(self, index: Any) -> "DiagonalNormal":
        """Index mean and scale, of the same shape, along their leading axes."""
        return DiagonalNormal(self.mean[index], self.log_scale[index])

    def log_probs(self, x: Tensor) -> Tensor:
        """Log-density of each cell; `x` broadcasts against the mean."""
        standard = (x - self.mean) * (-self.log_scale).exp()
        log_norm = self.log_scale + 0.5 * math.log(2 * math.pi)
        return -0.5 * standard.square() - log_norm

    def rsample(self, noise: Tensor) -> Tensor:
        """``mean + scale * noise``, differentiable in both (Kingma & Welling 2014)."""
        return torch.addcmul(self.mean, self.scale, noise)

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw."""
        return self.rsample(
            torch.randn(
                self.mean.shape,
                generator=generator,
                device=self.mean.device,
                dtype=self.mean.dtype,
            )
        )


@dataclass(frozen=True)
class ColumnNormal(ByColumn):
    """N(mean, diag(exp(log_scale))^2) with the scales of the columns, for all rows.

    Attributes
    ----------
    mean : Tensor of shape (..., n_features)
        Means.
    log_scale, precision : Tensor of shape (n_features,)
        Logarithms of the standard deviations, and one over their squares.
    log_norm : scalar Tensor
        Minus the logarithm of the density at the mean.
    """

    mean: Tensor
    log_scale: Tensor
    precision: Tensor
    log_norm: Tensor

    def log_probs(self, x: Tensor) -> Tensor:
        """Log-density of each cell; `x` broadcasts against the mean."""
        return DiagonalNormal(self.mean, self.log_scale).log_probs(x)

    def log_prob(self, x: Tensor, gaps: bool = False) -> Tensor:
        """Log-density, summed over the last axis; `x` broadcasts against the mean."""
        if gaps:
            return super().log_prob(x, gaps)
        squares = (x - self.mean).square()
        distance = squares @ self.precision.to(squares.dtype)
        return -0.5 * distance - self.log_norm

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw."""
        return DiagonalNormal(self.mean, self.log_scale).sample(generator)


class Gaussian(Likelihood):
    """p(x | h) = product over columns of N(x_j; h_j, s_j^2), with s_j learned.

    The variance is ``MIN_SCALE**2 + exp(2 * log_scale)``: it cannot reach zero, where
    the density of a column that the decoder reproduces exactly would be infinite.

    Parameters
    ----------
    n_features : int
        Number of columns.
    """

    learns_scale = True
    MIN_SCALE = 0.05

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_outputs = n_features
        self.log_scale = nn.Parameter(torch.zeros(n_features, dtype=torch.float32))

    def density(self) -> Density:
        """Work out the scales, for any number of calls of `forward` in a step."""
        variance = (2 * self.log_scale).exp() + self.MIN_SCALE**2
        log_scale = 0.5 * variance.log()
        log_norm = log_scale.sum() + 0.5 * math.log(2 * math.pi) * self.n_outputs
        precision = variance.reciprocal()

        def density(outputs: Tensor) -> ColumnNormal:
            return ColumnNormal(outputs, log_scale, precision, log_norm)

        return density


LIKELIHOODS["gaussian"] = Gaussian
