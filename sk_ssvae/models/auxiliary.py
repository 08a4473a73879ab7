"""Samples of the latent variable between row and class, in M1+M2, SDGM and ADGM."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from sk_ssvae.models.base import VAEModule
from sk_ssvae.models.likelihoods import DiagonalNormal
from sk_ssvae.utils.random import Stream, stream_seed

__all__ = ["N_FIXED_DRAWS", "AuxiliarySample", "InnerVAEModule", "antithetic_draws"]

N_FIXED_DRAWS = 512
"""Number of draws that predictions are averaged over; the same draws for all rows."""

N_COARSE_DRAWS = 16
"""Number of draws of the averages that are computed after every epoch, and for each of
many completed rows."""


def antithetic_draws(size: int, seed: int) -> Tensor:
    """Return standard normal draws in pairs of opposite sign.

    Averages over them are exact for linear functions (antithetic variates), also over
    the first draws if their number is even. One draw of
    each pair is the quantile of a point of a scrambled Sobol sequence: A. B. Owen,
    "Scrambling Sobol' and Niederreiter-Xing points", Journal of Complexity, 1998.

    Parameters
    ----------
    size : int
        Number of dimensions; those beyond the 21,201 of a Sobol sequence get
        independent draws.
    seed : int
        Seed of the scrambling.

    Returns
    -------
    draws : Tensor of float32 of shape (N_FIXED_DRAWS, size)
    """
    n = N_FIXED_DRAWS // 2
    n_sobol = min(size, SobolEngine.MAXDIM)
    seed = stream_seed(seed, Stream.INNER)
    # torch does not annotate the constructor.
    sobol = SobolEngine(  # type: ignore[no-untyped-call]
        n_sobol, scramble=True, seed=seed
    )
    points = sobol.draw(n, dtype=torch.float64)  # multiples of 2**-30, which may be 0
    half = torch.special.ndtri(points.clamp(2**-31, 1 - 2**-31))
    if size > n_sobol:
        generator = torch.Generator().manual_seed(seed)
        rest = torch.randn(
            n, size - n_sobol, generator=generator, dtype=torch.float64, device="cpu"
        )
        half = torch.cat([half, rest], -1)
    return torch.stack([half, -half], 1).flatten(0, 1).float()


class InnerVAEModule(VAEModule):
    """Base class of models with a variable between row and class, u or a.

    Predictions are averages over the rows of `draws`, fixed draws of its noise.

    Parameters
    ----------
    class_prior, latent_size
        As for `VAEModule`.
    inner_size : int
        Number of dimensions of the variable.
    seed : int
        Seed of the draws.
    """

    draws: Tensor

    def __init__(
        self,
        class_prior: Sequence[float],
        latent_size: int,
        inner_size: int,
        seed: int,
    ) -> None:
        super().__init__(class_prior, latent_size)
        self.inner_size = inner_size
        self.n_noise = inner_size + latent_size
        self.register_buffer("draws", antithetic_draws(inner_size, seed))

    @property
    def n_fixed_draws(self) -> int:
        """Number of draws that a prediction of one row needs."""
        return len(self.draws)

    @abstractmethod
    def mean_log_q_y(self, x: Tensor, draws: Tensor) -> Tensor:
        """Return the log of the mean of q(y | x, ...) over draws of the variable.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            Rows.
        draws : Tensor of shape (n_draws, inner_size) or (n_rows, n_draws, inner_size)
            Standard normal draws, the same for all rows or those of each row.

        Returns
        -------
        log_q : Tensor of shape (n_rows, n_classes)
            Normalised.
        """

    @abstractmethod
    def mean_latent_means(self, x: Tensor, draws: Tensor) -> Tensor:
        """Return the mean of the mean of z given the variable, over draws of it.

        Parameters
        ----------
        x, draws
            As for `mean_log_q_y`.

        Returns
        -------
        means : Tensor of shape (n_rows, latent_size)
        """

    def forward(self, x: Tensor) -> Tensor:
        """Return the log of the mean of q(y | x, ...) over the fixed draws."""
        return self.mean_log_q_y(x, self.draws)

    def latent_means(self, x: Tensor) -> Tensor:
        """Return the mean of z under q(y, z | x), an average over the fixed draws."""
        return self.mean_latent_means(x, self.draws)

    def coarse_log_q_y(self, x: Tensor) -> Tensor:
        """Return the log of the mean over the first of the fixed draws."""
        return self.mean_log_q_y(x, self.draws[:N_COARSE_DRAWS])

    # The average over completions of a row takes few draws for each of them, but others
    # for the next one, and so all fixed draws for the row.

    @property
    def n_filled_draws(self) -> int:
        """Number of draws that a prediction of a completed row needs."""
        return min(N_COARSE_DRAWS, len(self.draws))

    def filled_log_q_y(self, x: Tensor, n_filled: int) -> Tensor:
        """Return log q(y | x) of completed rows, each averaged over few draws."""
        return self.mean_log_q_y(x, self._filled_draws(len(x), n_filled))

    def filled_latent_means(self, x: Tensor, n_filled: int) -> Tensor:
        """Return means of z of completed rows, each averaged over few draws."""
        return self.mean_latent_means(x, self._filled_draws(len(x), n_filled))

    def _filled_draws(self, n_rows: int, n_filled: int) -> Tensor:
        """Return draws for each row, of shape (n_rows, n_filled_draws, inner_size)."""
        n = self.n_filled_draws
        n_blocks = len(self.draws) // n
        blocks = self.draws[: n_blocks * n].reshape(n_blocks, n, -1)
        which = torch.arange(n_rows, device=blocks.device) % n_filled % n_blocks
        return blocks[which]

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        """Take the number of draws from the state: files keep their predictions."""
        loaded = state_dict.get(f"{prefix}draws")
        if loaded is not None and len(loaded) and loaded.ndim == self.draws.ndim:
            self.draws = self.draws.new_empty(len(loaded), self.inner_size)
        super()._load_from_state_dict(state_dict, prefix, *args)


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
