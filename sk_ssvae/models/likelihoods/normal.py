"""Normal distributions of measurements and of latent variables."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sk_ssvae.models.likelihoods.base import (
    LIKELIHOODS,
    Density,
    IndependentColumns,
    Likelihood,
)

__all__ = ["ColumnNormal", "DiagonalNormal", "Gaussian", "MaskedGaussian"]

MAX_LOG_SCALE = 5.0
"""Smooth bound of a network's log standard deviations: exp(5) is 148."""


@dataclass
class DiagonalNormal(IndependentColumns):
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

    @classmethod
    def from_outputs(cls, outputs: Tensor) -> "DiagonalNormal":
        """Return the distribution for network outputs of shape (..., 2 * size).

        The first half are means, the second half log standard deviations, which are
        bounded smoothly by `MAX_LOG_SCALE`.
        """
        mean, raw = outputs.chunk(2, -1)
        return cls(mean, MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE))

    def __getitem__(self, index: Any) -> "DiagonalNormal":
        """Index along the leading axes; mean and scale must have the same shape."""
        return DiagonalNormal(self.mean[index], self.log_scale[index])

    def log_probs(self, x: Tensor) -> Tensor:
        """Return the log-density of each cell; `x` broadcasts against the mean."""
        standard = (x - self.mean) * (-self.log_scale).exp()
        log_norm = self.log_scale + 0.5 * math.log(2 * math.pi)
        return -0.5 * standard.square() - log_norm

    def rsample(self, noise: Tensor) -> Tensor:
        """Return ``mean + scale * noise``, the reparameterised draw.

        Kingma & Welling 2014, arXiv 1312.6114, section 2.4.
        """
        return torch.addcmul(self.mean, self.scale, noise)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw."""
        return self.rsample(
            torch.randn(
                self.mean.shape,
                generator=generator,
                device=self.mean.device,
                dtype=self.mean.dtype,
            )
        )


@dataclass(frozen=True)
class ColumnNormal(IndependentColumns):
    """N(mean, diag(exp(log_scale))^2) whose scales are the same for all rows.

    Attributes
    ----------
    mean : Tensor of shape (..., n_features)
        Means.
    log_scale, precision : Tensor of shape (n_features,)
        Logarithms of the standard deviations, and reciprocals of the variances.
    log_norm : scalar Tensor
        Negative log-density at the mean.
    """

    mean: Tensor
    log_scale: Tensor
    precision: Tensor
    log_norm: Tensor

    def log_probs(self, x: Tensor) -> Tensor:
        """Return the log-density of each cell; `x` broadcasts against the mean."""
        return DiagonalNormal(self.mean, self.log_scale).log_probs(x)

    def log_prob(self, x: Tensor, gaps: bool = False) -> Tensor:
        """Return the log-density, summed over the last axis; `x` broadcasts."""
        if gaps:
            return super().log_prob(x, gaps)
        squares = (x - self.mean).square()
        distance = squares @ self.precision.to(squares.dtype)
        return -0.5 * distance - self.log_norm

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw."""
        return DiagonalNormal(self.mean, self.log_scale).sample(generator)


class Gaussian(Likelihood):
    """p(x | h) = product over columns of N(x_j; h_j, s_j^2), with s_j learned.

    The variance is ``MIN_SCALE**2 + exp(2 * log_scale)``. It is bounded away from zero
    because the density of a column that the decoder reproduces exactly would otherwise
    grow without limit.

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
        """Return a function from decoder outputs to a distribution."""
        variance = (2 * self.log_scale).exp() + self.MIN_SCALE**2
        log_scale = 0.5 * variance.log()
        log_norm = log_scale.sum() + 0.5 * math.log(2 * math.pi) * self.n_outputs
        precision = variance.reciprocal()

        def density(outputs: Tensor) -> ColumnNormal:
            return ColumnNormal(outputs, log_scale, precision, log_norm)

        return density


class MaskedGaussian(Gaussian):
    """The Gaussian likelihood of some of the columns; the others are left out.

    Parameters
    ----------
    n_features : int
        Number of columns.

    Attributes
    ----------
    kept : Tensor of shape (n_features,)
        1 for the columns that count, 0 for the others; initially all 1.
    """

    kept: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("kept", torch.ones(n_features, dtype=torch.float32))

    def scale(self) -> Tensor:
        """Return the standard deviations of all columns."""
        return ((2 * self.log_scale).exp() + self.MIN_SCALE**2).sqrt()

    def density(self) -> Density:
        """Return a function from decoder outputs to a distribution."""
        log_scale = self.scale().log()
        log_norm = (log_scale + 0.5 * math.log(2 * math.pi)) @ self.kept
        precision = (-2 * log_scale).exp() * self.kept

        def density(outputs: Tensor) -> ColumnNormal:
            return ColumnNormal(outputs, log_scale, precision, log_norm)

        return density


LIKELIHOODS["gaussian"] = Gaussian
