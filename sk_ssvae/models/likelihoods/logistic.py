"""The censored logistic likelihood, for intensities with many exact zeros and ones.

Tobin 1958, "Estimation of relationships for limited dependent variables", Econometrica
26, for a normal distribution with one limit; with two limits and the logistic
distribution: Messner, Mayr & Zeileis 2016, "Heteroscedastic censored and truncated
regression with crch", The R Journal 8(1).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sk_ssvae.models.likelihoods.base import (
    LIKELIHOODS,
    Density,
    IndependentColumns,
    Likelihood,
)

__all__ = ["CensoredLogistic", "CensoredLogisticVector"]


@dataclass(frozen=True)
class CensoredLogisticVector(IndependentColumns):
    r"""Independent logistic variables over the last axis, censored at 0 and 1.

    A cell is the logistic variable with location :math:`1/2 + h/k` and scale
    :math:`1/k`, or 0 or 1 where that is below 0 or above 1. The distribution has point
    masses at 0 and 1, and a density in between:

    .. math::
        P(x = 0) = \sigma(-(h + k/2)), \qquad P(x = 1) = \sigma(h - k/2), \qquad
        p(x) = k\, \sigma(z)\, \sigma(-z), \quad z = h + k (1/2 - x).

    Attributes
    ----------
    logits : Tensor of shape (..., n_features)
        h; the mean is 1/2 where it is 0.
    log_slope : Tensor of shape (n_features,)
        Logarithms of k.
    """

    logits: Tensor
    log_slope: Tensor

    @property
    def mean(self) -> Tensor:
        r"""Means, :math:`\int_0^1 P(x > t)\, dt`."""
        slope = self.log_slope.to(self.logits.dtype).exp()
        h, half = self.logits.abs(), 0.5 * slope
        # From the nearer end, whose probability would be rounded away.
        lower = (F.softplus(half - h) - F.softplus(-half - h)) / slope
        return torch.where(self.logits > 0, 1 - lower, lower)

    def log_probs(self, x: Tensor) -> Tensor:
        """Return the log-density of each cell, log-probability of zeros and ones."""
        x = x.to(self.logits.dtype)
        log_slope = self.log_slope.to(x.dtype)
        above, below = (x > 0).to(x.dtype), (x < 1).to(x.dtype)
        inner = above * below * log_slope
        z = self.logits + log_slope.exp() * (0.5 - x)
        # log sigma(z) = z - softplus(z) counts above 0, log sigma(-z) = -softplus(z)
        # below 1.
        return inner + above * z - (above + below) * F.softplus(z)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw, by the inverse of the cumulative distribution function."""
        u = torch.empty_like(self.logits).uniform_(generator=generator)
        noise = torch.logit(u, eps=1e-7)
        slope = self.log_slope.to(noise.dtype).exp()
        return (0.5 + (self.logits + noise) / slope).clamp(0, 1)


class CensoredLogistic(Likelihood):
    """p(x | h) = product over columns of logistic variables censored at 0 and 1.

    See `CensoredLogisticVector`. The slopes k are learned, between 1 and 100.

    Parameters
    ----------
    n_features : int
        Number of columns.
    """

    learns_scale = True
    LOG_SLOPES = (0.0, math.log(100))

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_outputs = n_features
        start = torch.full((n_features,), 2.0, dtype=torch.float32)
        self.log_slope = nn.Parameter(start)

    def density(self) -> Density:
        """Return a function from decoder outputs to a distribution."""
        low, high = self.LOG_SLOPES
        middle, half = (low + high) / 2, (high - low) / 2
        log_slope = middle + half * torch.tanh((self.log_slope - middle) / half)
        return lambda outputs: CensoredLogisticVector(outputs, log_slope)


LIKELIHOODS["censored_logistic"] = CensoredLogistic
