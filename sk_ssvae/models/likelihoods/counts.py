"""Likelihoods of counts: Poisson, and negative binomial for overdispersed counts.

Log-probabilities are written as the value where the mean is equal to the count, plus a
deviance. Textbook forms are differences of terms of size x log x, which single
precision rounds to more than the result for counts beyond a million. Loader 2000, "Fast
and accurate computation of binomial probabilities"; R computes `dpois` and `dnbinom`
in this way.
"""

import math
from collections.abc import Sequence
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
from sk_ssvae.utils.torch_private import standard_gamma

__all__ = [
    "NegativeBinomial",
    "NegativeBinomialVector",
    "Poisson",
    "PoissonVector",
    "stirling_error",
]

MAX_LOG_MEAN = 25.0
"""Bound of the logarithm of a mean; exp(25) is 72 billion."""

STIRLING_COEFFICIENTS = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
"""Coefficients of 1/a, 1/a^3, ... in Stirling's series."""

STIRLING_START = 16.0
"""From here on the series has an error below 1e-15."""


def stirling_error(a: Tensor) -> Tensor:
    r"""Return the error of Stirling's formula for log Gamma(a).

    .. math::
        \log\Gamma(a) - \big[(a - \tfrac12) \log a - a + \tfrac12 \log 2\pi\big]

    Parameters
    ----------
    a : Tensor of float
        Positive numbers.

    Returns
    -------
    error : Tensor
        Accurate to the precision of `a`, as are its derivatives.
    """
    small, large = a.clamp_max(STIRLING_START), a.clamp_min(STIRLING_START)
    formula = (small - 0.5) * small.log() - small + 0.5 * math.log(2 * math.pi)
    squared = large.reciprocal().square()
    series = torch.zeros_like(a)
    for coefficient in reversed(STIRLING_COEFFICIENTS):
        series = series * squared + coefficient
    return torch.where(
        a < STIRLING_START, torch.lgamma(small) - formula, series / large
    )


@dataclass(frozen=True)
class PoissonVector(IndependentColumns):
    """Independent Poisson variables over the last axis.

    Attributes
    ----------
    log_ratio : Tensor of shape (..., n_features)
        Logarithms of the means, minus `offset`.
    offset : Tensor of shape (n_features,)
        Logarithms of typical counts. Their difference from the logarithm of a count is
        small, so that single precision holds it accurately.
    """

    log_ratio: Tensor
    offset: Tensor

    @property
    def mean(self) -> Tensor:
        """Means."""
        return (self.log_ratio + self.offset).exp()

    def log_probs(self, x: Tensor) -> Tensor:
        r"""Return the log-probability of each count.

        With :math:`d = \log(\mu / x)` it is

        .. math:: x d - x (e^d - 1) + \log \mathrm{Poisson}(x; x)
        """
        x = x.to(self.log_ratio.dtype)
        w = x.clamp_min(1)  # any positive number serves for x = 0
        d = self.log_ratio - self._log_relative(w)
        at_peak = -0.5 * (2 * math.pi * w).log() - stirling_error(w)
        return x * d - w * torch.expm1(d) + torch.where(x > 0, at_peak, -1.0)

    def _log_relative(self, x: Tensor) -> Tensor:
        """Return log(x) - offset. The logarithm of a ratio near 1 has a small error."""
        return (x * (-self.offset).to(x.dtype).exp()).log()

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw of counts, as floats."""
        return torch.poisson(self.mean, generator=generator)


@dataclass(frozen=True)
class NegativeBinomialVector(PoissonVector):
    r"""Independent negative binomial variables with means and sizes.

    The variance is :math:`\mu + \mu^2 / r`; the limit of large r is the Poisson.

    Attributes
    ----------
    log_ratio, offset : Tensor
        As for `PoissonVector`.
    log_size : Tensor of shape (n_features,)
        Logarithms of r.
    """

    log_size: Tensor

    def log_probs(self, x: Tensor) -> Tensor:
        r"""Return the log-probability of each count.

        With :math:`d = \log(\mu / x)`, :math:`p = x / (x + r)` and :math:`q = 1 - p` it
        is

        .. math::
            x d - (x + r) \log(q + p e^d) + \log \mathrm{NB}(x; x, r)

        where :math:`\log(q + p e^d)` is :math:`\log(1 + p (e^d - 1))` or :math:`d +
        \log(1 + q (e^{-d} - 1))`, whichever subtracts the smaller terms.
        """
        x = x.to(self.log_ratio.dtype)
        r = self.log_size.to(x.dtype).exp()
        # These terms do not depend on the mean and broadcast over classes and draws.
        w = x.clamp_min(1)  # any positive number serves for x = 0
        total = w + r
        near_poisson = r >= w
        sign = 2 * near_poisson.to(x.dtype) - 1
        share = torch.where(near_poisson, w, r) / total
        factor = torch.where(near_poisson, x, r)
        at_peak = (
            0.5 * (r / (2 * math.pi * w * total)).log()
            + stirling_error(total)
            - stirling_error(r)
            - stirling_error(w)
        )
        at_peak = torch.where(x > 0, at_peak, -r * (1 / r).log1p())
        d = sign * (self.log_ratio - self._log_relative(w))
        deviance = factor * d - (x + r) * torch.log1p(share * torch.expm1(d))
        return deviance + at_peak

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw of counts, as floats, from a gamma-Poisson mixture."""
        size = self.log_size.exp().expand_as(self.log_ratio).contiguous()
        # torch.distributions.Gamma would draw from the global generator.
        gamma = standard_gamma(size, generator=generator)
        return torch.poisson(gamma / size * self.mean, generator)


class Poisson(Likelihood):
    """p(x | h) = product over columns of Poisson(x_j; exp(scale_j h_j + offset_j)).

    Parameters
    ----------
    n_features : int
        Number of columns.
    offset : sequence of float of length n_features, default=None
        E.g. the logarithms of the columns' means, from which training then starts.
    scale : sequence of float of length n_features, default=None
        1 by default; less for columns whose logarithms hardly vary, as those of large
        counts may.
    """

    offset: Tensor
    scale: Tensor

    def __init__(
        self,
        n_features: int,
        offset: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.n_outputs = n_features
        start = [0.0] * n_features if offset is None else offset
        self.register_buffer("offset", torch.tensor(start, dtype=torch.float32))
        factor = [1.0] * n_features if scale is None else scale
        self.register_buffer("scale", torch.tensor(factor, dtype=torch.float32))
        # torch does not annotate the method.
        self.register_load_state_dict_pre_hook(  # type: ignore[no-untyped-call]
            _add_old_buffers
        )

    def old_buffers(self) -> dict[str, Tensor]:
        """Return the values of buffers that files of older versions do not have."""
        return {"scale": torch.ones_like(self.scale)}

    def _log_ratio(self, outputs: Tensor) -> Tensor:
        """Return logarithms of means minus the offset, within `MAX_LOG_MEAN`."""
        offset, scale = self.offset.to(outputs.dtype), self.scale.to(outputs.dtype)
        return (scale * outputs).clamp(-MAX_LOG_MEAN - offset, MAX_LOG_MEAN - offset)

    def density(self) -> Density:
        """Return a function from decoder outputs to a distribution."""
        return lambda outputs: PoissonVector(self._log_ratio(outputs), self.offset)


class NegativeBinomial(Poisson):
    """p(x | h) = product over columns of NB(x_j; mean as of `Poisson`, size r_j).

    The sizes r are learned, between 0.02 and 72 billion. Where r is many times the
    mean, the distribution is a Poisson.

    Parameters
    ----------
    n_features : int
        Number of columns.
    offset, scale : sequence of float of length n_features, default=None
        As for `Poisson`.
    log_size : sequence of float of length n_features, default=None
        Logarithms of the sizes from which training starts, at least 0, the default.
    """

    learns_scale = True
    CENTER = 1.45
    BELOW = 5.45
    ABOVE = (MAX_LOG_MEAN - CENTER, 5.0)
    OLD_ABOVE = (5.45, 1.0)
    """Of versions whose largest size was 992."""

    above: Tensor

    def __init__(
        self,
        n_features: int,
        offset: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        log_size: Sequence[float] | None = None,
    ) -> None:
        super().__init__(n_features, offset, scale)
        # Range and slope of log r above the centre. An optimizer's steps are of about
        # the same size for all parameters, and large sizes are far from the start.
        self.register_buffer("above", torch.tensor(self.ABOVE, dtype=torch.float32))
        start = torch.zeros(n_features, dtype=torch.float32)
        if log_size is not None:
            width, slope = self.ABOVE
            deviation = torch.tensor(log_size, dtype=torch.float32) - self.CENTER
            ratio = (deviation / width).clamp(0, 0.999)
            raw = self.CENTER + width / slope * ratio.atanh()
            start = torch.where(deviation > 0, raw, start)
        self.log_size = nn.Parameter(start)

    def old_buffers(self) -> dict[str, Tensor]:
        """Return the values of buffers that files of older versions do not have."""
        above = torch.tensor(self.OLD_ABOVE, dtype=torch.float32)
        return super().old_buffers() | {"above": above}

    def density(self) -> Density:
        """Return a function from decoder outputs to a distribution."""
        deviation = self.log_size - self.CENTER
        width, slope = self.above
        below = self.BELOW * torch.tanh(deviation / self.BELOW)
        above = width * torch.tanh(slope * deviation / width)
        log_size = self.CENTER + torch.where(deviation > 0, above, below)
        return lambda outputs: NegativeBinomialVector(
            self._log_ratio(outputs), self.offset, log_size
        )


def _add_old_buffers(module: Any, state_dict: Any, prefix: str, *_: Any) -> None:
    """Complete the state of a module that an older version saved."""
    if f"{prefix}offset" in state_dict:
        for name, value in module.old_buffers().items():
            state_dict.setdefault(f"{prefix}{name}", value)


LIKELIHOODS["poisson"] = Poisson
LIKELIHOODS["negative_binomial"] = NegativeBinomial
