"""Samples of the latent variable between row and class, in M1+M2, SDGM and ADGM."""

from typing import Any, Self

import torch
from torch import Tensor

from sk_ssvae.models.likelihoods import DiagonalNormal
from sk_ssvae.utils.random import Stream, stream_generator

__all__ = ["N_FIXED_DRAWS", "AuxiliarySample", "antithetic_draws"]

N_FIXED_DRAWS = 16
"""Number of draws that predictions are averaged over; the same draws for all rows."""


def antithetic_draws(size: int, seed: int) -> Tensor:
    """Return standard normal draws in pairs of opposite sign.

    Averages over them are exact for linear functions (antithetic variates).

    Parameters
    ----------
    size : int
        Number of dimensions.
    seed : int
        Seed of the draws.

    Returns
    -------
    draws : Tensor of shape (N_FIXED_DRAWS, size)
    """
    generator = stream_generator(seed, Stream.INNER)
    half = torch.randn(
        N_FIXED_DRAWS // 2, size, generator=generator, dtype=torch.float32
    )
    return torch.cat([half, -half])


class AuxiliarySample:
    """Rows with a draw of the variable between row and class.

    Indexing selects along the leading axes, as for a tensor.

    Attributes
    ----------
    x : Tensor of shape (..., n_features)
        Rows.
    posterior : DiagonalNormal over (..., inner_size)
        The distribution of the draws given x.
    draw : Tensor of shape (..., inner_size)
        The draws.
    """

    def __init__(self, x: Tensor, posterior: DiagonalNormal, draw: Tensor) -> None:
        self.x = x
        self.posterior = posterior
        self.draw = draw

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Any) -> Self:
        return type(self)(self.x[index], self.posterior[index], self.draw[index])
