"""The Bernoulli: of what is or is not, and of intensities between."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sk_ssvae.models.likelihoods.base import LIKELIHOODS, ByColumn, Density, Likelihood

__all__ = ["Bernoulli", "BernoulliVector"]


@dataclass(frozen=True)
class BernoulliVector(ByColumn):
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

    def log_probs(self, x: Tensor) -> Tensor:
        """Log-probability of each cell.

        For intensities between 0 and 1 this is the cross-entropy
        ``x log p + (1 - x) log(1 - p)``, which is what VAEs on grey images use and
        is not a normalised density.
        """
        logits, x = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
            self.logits, x.to(self.logits.dtype)
        )
        losses = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        return -losses

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw of zeros and ones."""
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
        """Return `forward`, which has nothing to work out."""
        return self.forward

    def forward(self, outputs: Tensor) -> BernoulliVector:
        """Turn decoder outputs (..., n_outputs) into a distribution."""
        return BernoulliVector(outputs)


LIKELIHOODS["bernoulli"] = Bernoulli
