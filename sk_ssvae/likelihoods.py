"""Densities of a row: the normal and the Bernoulli, and which of them fits the data.

The distributions here draw from a generator that is handed in, which those of
``torch.distributions`` cannot do.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sk_ssvae.chunks import row_parts

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "BernoulliVector",
    "ColumnNormal",
    "Density",
    "DiagonalNormal",
    "Gaussian",
    "Likelihood",
    "RowDistribution",
    "check_unit_interval",
    "choose_likelihood",
]


class RowDistribution(Protocol):
    """A distribution over rows of features, independent given its parameters."""

    @property
    def mean(self) -> Tensor:
        """Mean of shape (..., n_features)."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of rows (..., n_features), summed over features: (...)."""

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw of shape (..., n_features)."""


@dataclass
class DiagonalNormal:
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

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density, summed over the last axis; `x` broadcasts against the mean."""
        standard = (x - self.mean) * (-self.log_scale).exp()
        log_norm = self.log_scale + 0.5 * math.log(2 * math.pi)
        return (-0.5 * standard.square() - log_norm).sum(-1)

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
class ColumnNormal:
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

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density, summed over the last axis; `x` broadcasts against the mean."""
        squares = (x - self.mean).square()
        distance = squares @ self.precision.to(squares.dtype)
        return -0.5 * distance - self.log_norm

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw."""
        return DiagonalNormal(self.mean, self.log_scale).sample(generator)


@dataclass(frozen=True)
class BernoulliVector:
    """Independent Bernoulli variables over the last axis.

    Attributes
    ----------
    logits : Tensor of shape (..., n_features)
        Log-odds of a one.
    """

    logits: Tensor

    @property
    def mean(self) -> Tensor:
        """Probability of a one."""
        return self.logits.sigmoid()

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-probability, summed over the last axis.

        For intensities between 0 and 1 this is the cross-entropy
        ``x log p + (1 - x) log(1 - p)``, which is what VAEs on grey images use and
        is not a normalised density.
        """
        shape = np.broadcast_shapes(x.shape, self.logits.shape)
        losses = F.binary_cross_entropy_with_logits(
            self.logits.expand(shape),
            x.to(self.logits.dtype).expand(shape),
            reduction="none",
        )
        return -losses.sum(-1)

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw of zeros and ones."""
        return torch.bernoulli(self.mean, generator=generator)


class Bernoulli(nn.Module):
    """p(x | h) = product over columns of Bernoulli(x_j; sigmoid(h_j)).

    Parameters
    ----------
    n_features : int
        Number of columns.
    """

    standardize = False

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_outputs = n_features

    def density(self) -> Callable[[Tensor], RowDistribution]:
        """Return `forward`, which has nothing to work out."""
        return self.forward

    def forward(self, outputs: Tensor) -> BernoulliVector:
        """Turn decoder outputs (..., n_outputs) into a distribution."""
        return BernoulliVector(outputs)


class Gaussian(nn.Module):
    """p(x | h) = product over columns of N(x_j; h_j, s_j^2), with s_j learned.

    The variance is ``MIN_SCALE**2 + exp(2 * log_scale)``: it cannot reach zero, where
    the density of a column that the decoder reproduces exactly would be infinite.

    Parameters
    ----------
    n_features : int
        Number of columns.
    """

    standardize = True
    MIN_SCALE = 0.05

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_outputs = n_features
        self.log_scale = nn.Parameter(torch.zeros(n_features, dtype=torch.float32))

    def density(self) -> Callable[[Tensor], RowDistribution]:
        """Work out the scales, for any number of calls of `forward` in a step."""
        variance = (2 * self.log_scale).exp() + self.MIN_SCALE**2
        log_scale = 0.5 * variance.log()
        log_norm = log_scale.sum() + 0.5 * math.log(2 * math.pi) * self.n_outputs
        precision = variance.reciprocal()

        def density(outputs: Tensor) -> ColumnNormal:
            return ColumnNormal(outputs, log_scale, precision, log_norm)

        return density

    def forward(self, outputs: Tensor) -> RowDistribution:
        """Turn decoder outputs (..., n_outputs) into a distribution."""
        return self.density()(outputs)


Likelihood = Bernoulli | Gaussian
Density = Callable[[Tensor], RowDistribution]
"""From decoder outputs to p(x | y, z)."""

LIKELIHOODS: dict[str, type[Bernoulli] | type[Gaussian]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
}


def choose_likelihood(
    X: npt.NDArray[Any], where: npt.NDArray[np.bool_] | None = None
) -> str:
    """Choose "bernoulli" or "gaussian" from the data, as ``likelihood="auto"`` does.

    Bernoulli is chosen only if every value lies in [0, 1] and at least a third of all
    cells are exactly 0 or 1: all of them in binary data, the background and the
    saturated pixels in images scaled to [0, 1]. Measurements that merely were scaled
    to [0, 1] touch the ends once a column or so, and get the Gaussian.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Finite numbers.
    where : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.

    Returns
    -------
    name : {"bernoulli", "gaussian"}

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.likelihoods import choose_likelihood
    >>> choose_likelihood(np.array([[0.0, 1.0], [0.3, 0.0]]))
    'bernoulli'
    >>> choose_likelihood(np.array([[0.1, 0.9], [0.3, 1.0]]))
    'gaussian'
    """
    n_cells = n_at_ends = 0
    for _, part in row_parts(X, where):
        if part.min() < 0 or part.max() > 1:
            return "gaussian"
        n_cells += part.size
        n_at_ends += int(((part == 0) | (part == 1)).sum())
    return "bernoulli" if n_at_ends >= n_cells / 3 else "gaussian"


def check_unit_interval(
    X: npt.NDArray[Any],
    rows: npt.NDArray[np.bool_] | None = None,
    columns: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Refuse values for which the Bernoulli has no probability.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Finite numbers.
    rows : ndarray of bool of shape (n_rows,), default=None
        The rows that count; all by default.
    columns : ndarray of bool of shape (n_features,), default=None
        The columns that count; all by default.

    Raises
    ------
    ValueError
        If a value lies outside [0, 1]; names the column and the value.
    """
    for where, part in row_parts(X, rows):
        outside = (part < 0) | (part > 1)
        if columns is not None:
            outside &= columns
        if outside.any():
            at, column = np.argwhere(outside)[0]
            row = np.arange(len(X))[where][at]
            raise ValueError(
                "likelihood='bernoulli' needs values in [0, 1], but X has "
                f"{part[at, column]:.6g} in row {row}, column {column}. Rescale X "
                "(e.g. MinMaxScaler(clip=True)) or use likelihood='gaussian'."
            )
