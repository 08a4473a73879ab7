r"""What the bound is made of, looked at on a few rows after every epoch.

The loss needs the bound alone. How well rows are reconstructed, and what their latent
variables cost, tells a user whether a latent space is used: Kingma & Welling 2014,
arXiv 1312.6114, eq. 3.
"""

import torch
from torch import Tensor

from sk_ssvae.models import VAEModule
from sk_ssvae.models.likelihoods import has_gaps
from sk_ssvae.training.batches import Rows

__all__ = ["bound_terms", "diagnostic_rows", "gauss_hermite_points"]

MOST_ROWS = 50
MOST_TERMS = 1000
"""Rows, and pairs of row and class, that are looked at: a part of a step's work."""


def diagnostic_rows(rows: Rows, n_classes: int) -> tuple[Tensor, Tensor]:
    """Choose rows in even steps: always the same, labelled ones in proportion.

    Parameters
    ----------
    rows : Rows
        What is trained on.
    n_classes : int
        More classes make it fewer rows.

    Returns
    -------
    x : Tensor of shape (n_chosen, n_features)
        As the networks take them.
    weight : Tensor of shape (n_chosen,)
        Their shares, with sum 1.
    """
    n = min(len(rows), max(1, min(MOST_ROWS, MOST_TERMS // n_classes)))
    chosen = torch.arange(n, device=rows.order.device) * len(rows) // n
    weight = rows.bound_weight[chosen]
    return rows.encoded(rows.order[chosen]), weight / weight.sum()


def gauss_hermite_points(size: int, generator: torch.Generator) -> Tensor:
    r"""Return the two points at which expectations over N(0, I) are estimated.

    :math:`\pm s`, with random signs for :math:`s_k`: in each dimension the points of
    the Gauss-Hermite rule of two points (Abramowitz & Stegun 1964, 25.4.46). Sums over
    dimensions of quadratic functions, such as the KL divergence of normal
    distributions, are exact; two normal draws would miss that by nats.

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
    r"""Reconstruction and KL divergence, whose difference is a bound of log p(x).

    .. math::
        E_{q(y, z|x)}[\log p(x | y, z)] \quad\text{and}\quad
        KL(q(y, z | x) \| p(y, z)),

    other latent variables of the model counted with z, and while only the rows teach,
    without y. Classes are summed exactly.

    Parameters
    ----------
    model : Model
        The model, in evaluation mode.
    x : Tensor of shape (n_rows, n_features)
        Rows.
    weight : Tensor of shape (n_rows,)
        Weights of the rows, with sum 1.
    noise : Tensor of shape (n_draws, n_noise)
        Standard normal draws, the same for all rows, or `gauss_hermite_points`.

    Returns
    -------
    reconstruction, kl : scalar Tensor
        Weighted means over rows, in nats. At `gauss_hermite_points` the divergence is exact for
        models without an inner variable; with one it is an estimate.
    """
    if model.unsupervised:
        likelihoods, kls = [], []
        for draw in noise:
            each = draw.expand(len(x), -1)
            log_likelihood, kl = model.row_terms(model.sample_auxiliary(x, each), each)
            likelihoods.append(weight @ log_likelihood)
            kls.append(weight @ kl)
        return torch.stack(likelihoods).mean(), torch.stack(kls).mean()
    log_q_y = model(x)
    q_y = log_q_y.exp()
    log_weights, p_x = model.importance(x, noise)
    log_p_x = p_x.log_prob(x[:, None, None], has_gaps(x))
    reconstruction = (q_y * log_p_x.mean(-1)).sum(-1)
    bounds = log_weights.mean(-1) + model.log_prior - log_q_y
    bound = (q_y * bounds).sum(-1)
    weight = weight.to(bound.dtype)
    return weight @ reconstruction, weight @ (reconstruction - bound)
