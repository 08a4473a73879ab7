"""The Bernoulli likelihood, for binary cells and for intensities in [0, 1]."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sk_ssvae.models.likelihoods.base import (
    LIKELIHOODS,
    Density,
    IndependentColumns,
    Likelihood,
)

__all__ = ["Bernoulli", "BernoulliVector"]


@dataclass(frozen=True)
class BernoulliVector(IndependentColumns):
    """Independent Bernoulli variables over the last axis.

    Attributes
    ----------
    logits : Tensor of shape (..., n_features)
        Log-odds of 1.
    """

    logits: Tensor

    @property
    def mean(self) -> Tensor:
        """Probabilities of 1."""
        return self.logits.sigmoid()

    def log_probs(self, x: Tensor) -> Tensor:
        r"""Return the log-probability of each cell.

        For an intensity between 0 and 1 it is not a density but minus the KL divergence
        of Bern(p) from Bern(x),

        .. math:: x \log p + (1 - x) \log(1 - p) - x \log x - (1 - x) \log(1 - x).

        The first two terms alone, which VAEs commonly use, are larger for zeros and
        ones than for the intensities of real images.
        """
        x = x.to(self.logits.dtype)
        zeros = (1 - x).clamp_min(0)  # rows may exceed 1 by a rounding error
        entropy = -torch.xlogy(x, x) - torch.xlogy(zeros, zeros)
        # torch does not annotate the function.
        logits, x = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
            self.logits, x
        )
        losses = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return entropy - losses

    def sample(self, generator: torch.Generator) -> Tensor:
        """Return one draw of zeros and ones."""
        return torch.bernoulli(self.mean, generator=generator)


class Bernoulli(Likelihood):
    """p(x | h) = product over columns of Bernoulli(x_j; sigmoid(h_j)).

    Parameters
    ----------
    n_features : int
        Number of columns.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_outputs = n_features

    def density(self) -> Density:
        """Return `forward`: there is nothing to precompute."""
        return self.forward

    def forward(self, outputs: Tensor) -> BernoulliVector:
        """Return the distribution for decoder outputs (..., n_outputs)."""
        return BernoulliVector(outputs)


LIKELIHOODS["bernoulli"] = Bernoulli
