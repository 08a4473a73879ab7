r"""Complete rows with missing cells by draws from the model.

A classifier that has learned q(y | x) from complete rows knows nothing about rows with
missing cells. With x_o the observed cells of a row and x_m the missing ones,

.. math::
    q(y | x_o) = E_{p(x_m | x_o)}[q(y | x_o, x_m)].

The expectation is a mean over draws from p(x_m | x_o), which is a mixture over the
classes and latent variables with weights p(y, z | x_o). Averages of predictions over
draws of the missing values are multiple imputation: Rubin, "Multiple Imputation for
Nonresponse in Surveys", 1987.
"""

import torch
from torch import Tensor

from sk_ssvae.models.base import VAEModule
from sk_ssvae.models.bounds import to_double
from sk_ssvae.utils.random import Stream, stream_generator

__all__ = ["N_FILLED", "RowPool"]

POOL_SIZE = 1024
POOL_CELLS = 2**20
MIN_DRAWS = 16
"""A pool has `POOL_SIZE` rows or `POOL_CELLS` cells, whichever is less, but at least
`MIN_DRAWS` rows of each class."""

N_FILLED = 48
"""Number of completed rows for each row with missing cells."""

MIN_EFFECTIVE = 24
"""Smallest effective number of rows of the pool that the draws for a row come from."""

N_BISECTIONS = 13
MAX_HALVINGS = 48.0
"""Log-likelihoods, of up to 1e12 nats, are multiplied by at least 2**-48."""


class RowPool:
    r"""Rows drawn from the model, from which missing cells are filled.

    Every row of the pool has a class y and latent variables z, drawn from p(z | y), and
    x drawn from p(x | y, z). For observed cells x_o, row i has the weight

    .. math:: w_i \propto p(y_i)\, p(x_o | y_i, z_i)^\beta.

    With :math:`\beta = 1`, the missing cells of rows that are drawn with these weights
    are draws from p(x_m | x_o): importance sampling with the prior as proposal, and
    cells that are independent given y and z. A pool of limited size may have only few
    rows that resemble x_o, and these would decide on the class with certainty.
    Therefore :math:`\beta` is the largest exponent, at most 1, with which the effective
    number of rows, :math:`(\sum_i v_i)^2 / \sum_i v_i^2` for
    :math:`v_i = p(x_o | y_i, z_i)^\beta`, is at least `MIN_EFFECTIVE`.

    All rows to be completed share the pool, and the selection from it is deterministic,
    so results for a row do not depend on other rows.

    Parameters
    ----------
    model : VAEModule
        The model, in evaluation mode.
    seed : int
        Seed of the draws.

    Attributes
    ----------
    rows : Tensor of shape (n_pool, n_features)
        The rows, in the model's units; those of a class are contiguous.
    """

    def __init__(self, model: VAEModule, seed: int) -> None:
        device = model.classes.device
        size = min(POOL_SIZE, POOL_CELLS // model.likelihood.n_outputs)
        n_draws = max(MIN_DRAWS, size // len(model.classes))
        # Drawn on the CPU, so that the latent variables are the same for every device.
        noise = torch.randn(
            n_draws,
            model.n_noise,
            generator=stream_generator(seed, Stream.FILL),
            dtype=torch.float32,
            device="cpu",
        )
        self.p_x = model.prior_rows(noise.to(device))
        self._log_prior = to_double(model.log_prior).repeat_interleave(n_draws)
        generator = stream_generator(seed, Stream.FILL, 1, device)
        self.rows = self.p_x.sample(generator).float().flatten(0, 1)

    def __len__(self) -> int:
        return len(self.rows)

    def log_likelihoods(self, x: Tensor) -> Tensor:
        """Return log p(x_o | y, z) for every row of the pool.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            Rows. Cells that are NaN are missing.

        Returns
        -------
        log_p : Tensor of float64 of shape (n_rows, n_pool)
            In nats.
        """
        return self.p_x.log_prob(x[:, None, None], gaps=True).flatten(1)

    def weights(self, x: Tensor) -> Tensor:
        """Return the weights of the rows of the pool, of shape (n_rows, n_pool)."""
        log_p = self.log_likelihoods(x)
        return (tempered(log_p, MIN_EFFECTIVE) + self._log_prior).softmax(-1)

    def fill(self, x: Tensor) -> Tensor:
        """Complete rows.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            Rows. Cells that are NaN are missing.

        Returns
        -------
        filled : Tensor of shape (n_rows, N_FILLED, n_features)
            Every row with its missing cells from rows of the pool that are selected
            with their weights.
        """
        drawn = self.rows[systematic_sample(self.weights(x), N_FILLED)]
        return torch.where(x.isnan()[:, None], drawn, x[:, None])


def tempered(log_weights: Tensor, min_effective: float) -> Tensor:
    """Multiply log-weights by the largest factor with enough effective weights.

    Parameters
    ----------
    log_weights : Tensor of shape (n_rows, n)
        Logarithms of weights.
    min_effective : float
        Lower bound of the effective number of weights of a row, which is
        ``sum(w)**2 / sum(w**2)``: n for equal weights, 1 if a single one is positive.

    Returns
    -------
    log_weights : Tensor of shape (n_rows, n)
        Unchanged in rows that have enough effective weights.
    """

    def is_enough(halvings: Tensor) -> Tensor:
        p = (log_weights * torch.exp2(-halvings)).softmax(-1)
        return p.square().sum(-1, keepdim=True).reciprocal() >= min_effective

    low = log_weights.new_zeros(len(log_weights), 1)
    unchanged = is_enough(low)
    if bool(unchanged.all()):
        return log_weights
    high = torch.full_like(low, MAX_HALVINGS)
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        enough = is_enough(middle)
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return torch.where(unchanged, log_weights, log_weights * torch.exp2(-high))


def systematic_sample(weights: Tensor, n_samples: int) -> Tensor:
    """Select indices with given probabilities: systematic sampling without randomness.

    An index with the probability p is selected ``n_samples * p`` times, up to an error
    of less than 1. The offset, random in Carpenter, Clifford & Fearnhead, "Improved
    particle filter for nonlinear problems", 1999, is one half.

    Parameters
    ----------
    weights : Tensor of shape (n_rows, n)
        Probabilities.
    n_samples : int
        Number of indices per row.

    Returns
    -------
    indices : Tensor of int64 of shape (n_rows, n_samples)
        In increasing order.
    """
    sums = weights.cumsum(-1)
    points = torch.arange(n_samples, device=weights.device, dtype=weights.dtype) + 0.5
    points = points / n_samples * sums[:, -1:]
    return torch.searchsorted(sums, points).clamp_max(weights.shape[-1] - 1)
