r"""What the bounds of all models have in common, one function an equation.

[M2] Kingma, Rezende, Mohamed & Welling 2014, arXiv 1406.5298; [VAE] Kingma & Welling
2014, arXiv 1312.6114. Sums run over features and latent dimensions. The bounds are what
the papers write as -L and -U: lower bounds, to be maximised.
"""

import torch
from torch import Tensor

from sk_ssvae.models.likelihoods import DiagonalNormal

__all__ = ["gaussian_kl", "log_prior_ratio", "precise", "unlabelled_bound"]


def gaussian_kl(q_z: DiagonalNormal) -> Tensor:
    r"""KL divergence of a diagonal normal from N(0, I). [VAE] appendix B.

    .. math:: KL = \tfrac12 \sum_k (\mu_k^2 + \sigma_k^2 - 1 - \log \sigma_k^2)

    Parameters
    ----------
    q_z : DiagonalNormal over (..., latent_size)
        The approximate posterior.

    Returns
    -------
    kl : Tensor of shape (...)
        In nats, never negative.
    """
    squares = q_z.mean.square() + q_z.scale.square()
    summed = squares.sub(q_z.log_scale, alpha=2).sum(-1)
    return 0.5 * (summed - q_z.mean.shape[-1])


def unlabelled_bound(log_q_y: Tensor, bounds: Tensor) -> Tensor:
    r"""Bound of log p(x), the sum over classes taken exactly. [M2] eq. 7.

    .. math:: U(x) = \sum_y q(y|x) [L(x, y) - \log q(y|x)] \le \log p(x)

    Parameters
    ----------
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x).
    bounds : Tensor of shape (n_rows, n_classes)
        L(x, y) for every class.

    Returns
    -------
    bound : Tensor of shape (n_rows,)
        In nats.
    """
    return (log_q_y.exp() * (bounds - log_q_y)).sum(-1)


def log_prior_ratio(q_z: DiagonalNormal, noise: Tensor) -> Tensor:
    r"""Log N(z; 0, I) - log q(z) at the draw z = mu + sigma * noise.

    Parameters
    ----------
    q_z : DiagonalNormal over (..., latent_size)
        Where z is drawn from.
    noise : Tensor of shape (..., latent_size)
        Standard normal draws.

    Returns
    -------
    log_ratio : Tensor of shape (...)
        In nats.
    """
    z = precise(q_z.rsample(noise))
    squares = precise(noise).square().sum(-1) - z.square().sum(-1)
    return 0.5 * squares + precise(q_z.log_scale).sum(-1)


def precise(t: Tensor) -> Tensor:
    """In double precision (which MPS has not), for sums over classes and columns.

    In single precision the last bit of such a sum depends on the row's place in the
    array, since torch takes rows in groups.
    """
    return t if t.device.type == "mps" else t.to(torch.float64)
