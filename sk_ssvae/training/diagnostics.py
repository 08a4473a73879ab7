r"""Reconstruction and KL divergence, computed for a few rows after every epoch.

They are the two terms of the bound, Kingma & Welling 2014, arXiv 1312.6114, eq. 3. The
loss needs only their difference; a KL divergence near zero shows that the latent space
is not used.
"""

import torch
from torch import Tensor

from sk_ssvae.models import VAEModule
from sk_ssvae.models.likelihoods import has_gaps
from sk_ssvae.training.rows import Rows
from sk_ssvae.utils.chunks import BOUND_CELLS, row_chunks

__all__ = ["bound_terms", "diagnostic_rows", "gauss_hermite_points", "history_terms"]

MAX_ROWS = 50
MAX_TERMS = 1000
"""Limits of the number of rows, and of pairs of row and class."""


def diagnostic_rows(rows: Rows, n_classes: int) -> tuple[Tensor, Tensor]:
    """Choose evenly spaced rows; labelled rows are represented in proportion.

    Parameters
    ----------
    rows : Rows
        The training rows.
    n_classes : int
        Number of classes; with more classes, fewer rows are chosen.

    Returns
    -------
    x : Tensor of shape (n_chosen, n_features)
        Inputs of the networks.
    weight : Tensor of shape (n_chosen,)
        Weights of the rows, with sum 1.
    """
    n = min(len(rows), max(1, min(MAX_ROWS, MAX_TERMS // n_classes)))
    chosen = torch.arange(n, device=rows.device) * len(rows) // n
    weight = rows.bound_weight[chosen]
    return rows.encoded_once(rows.indices(chosen)), weight / weight.sum()


def gauss_hermite_points(size: int, generator: torch.Generator) -> Tensor:
    r"""Return two points at which expectations over N(0, I) are estimated.

    They are :math:`\pm s` with random signs :math:`s_k`: in each dimension the points
    of the two-point Gauss-Hermite rule (Abramowitz & Stegun 1964, 25.4.46).
    Expectations of sums over dimensions of quadratic functions, such as the KL
    divergence of normal distributions, are exact; with two normal draws their error
    would be several nats.

    Parameters
    ----------
    size : int
        Number of dimensions.
    generator : torch.Generator
        Source of the signs.

    Returns
    -------
    points : Tensor of shape (2, size)
    """
    draws = torch.randn(1, size, generator=generator, device=generator.device)
    signs = torch.where(draws < 0, -1.0, 1.0)
    return torch.cat([signs, -signs])


@torch.no_grad()
def bound_terms(
    model: VAEModule, x: Tensor, weight: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Compute reconstruction and KL divergence; their difference bounds log p(x).

    .. math::
        E_{q(y, z|x)}[\log p(x | y, z)] \quad\text{and}\quad
        KL(q(y, z | x) \| p(y, z)),

    where z stands for all latent variables of the model. In an unsupervised stage there
    is no y. Classes are summed exactly.

    Parameters
    ----------
    model : VAEModule
        The model, in evaluation mode.
    x : Tensor of shape (n_rows, n_features)
        Rows.
    weight : Tensor of shape (n_rows,)
        Weights of the rows.
    noise : Tensor of shape (n_draws, n_noise)
        Standard normal draws, the same for all rows, or `gauss_hermite_points`.

    Returns
    -------
    reconstruction, kl : scalar Tensor
        Weighted sums over rows, in nats. With `gauss_hermite_points` the divergence is
        exact for models without an inner variable, else an estimate.
    """
    if model.unsupervised:
        likelihoods, kls = [], []
        for draw in noise:
            row_noise = draw.expand(len(x), -1)
            sampled = model.sample_auxiliary(x, row_noise)
            log_likelihood, kl = model.row_terms(sampled, row_noise)
            likelihoods.append(weight @ log_likelihood)
            kls.append(weight @ kl)
        return torch.stack(likelihoods).mean(), torch.stack(kls).mean()
    log_q_y = model.coarse_log_q_y(x)
    q_y = log_q_y.exp()
    log_weights, p_x = model.importance(x, noise)
    log_p_x = p_x.log_prob(x[:, None, None], has_gaps(x))
    reconstruction = (q_y * log_p_x.mean(-1)).sum(-1)
    bounds = log_weights.mean(-1) + model.log_prior - log_q_y
    bound = (q_y * bounds).sum(-1)
    weight = weight.to(bound.dtype)
    return weight @ reconstruction, weight @ (reconstruction - bound)


def history_terms(
    model: VAEModule, rows: Rows, generator: torch.Generator
) -> tuple[float, float]:
    """Compute `bound_terms` of `diagnostic_rows`, for the history.

    Parameters
    ----------
    model : VAEModule
        The model, in evaluation mode.
    rows : Rows
        The training rows.
    generator : torch.Generator
        Source of the signs of `gauss_hermite_points`.

    Returns
    -------
    reconstruction, kl : float
        In nats per row.
    """
    x, weight = diagnostic_rows(rows, len(model.classes))
    noise = gauss_hermite_points(model.n_noise, generator).to(x)
    cells_per_row = len(noise) * len(model.classes) * model.likelihood.n_outputs
    terms = [
        torch.stack(bound_terms(model, x[rows], weight[rows], noise))
        for rows in row_chunks(len(x), cells_per_row, BOUND_CELLS)
    ]
    reconstruction, kl = torch.stack(terms).sum(0).tolist()
    return reconstruction, kl
