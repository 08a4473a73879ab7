r"""Terms that the bounds of all models share, one function per equation.

[M2] Kingma, Rezende, Mohamed & Welling 2014, arXiv 1406.5298; [VAE] Kingma & Welling
2014, arXiv 1312.6114. Sums run over features and latent dimensions. The papers write
the bounds as -L and -U; here they are lower bounds, to be maximised.
"""

import torch
from torch import Tensor

from sk_ssvae.models.likelihoods import DiagonalNormal

__all__ = ["gaussian_kl", "log_prior_ratio", "to_double", "unlabelled_bound"]


def gaussian_kl(q_z: DiagonalNormal) -> Tensor:
    r"""Return the KL divergence of a diagonal normal from N(0, I). [VAE] appendix B.

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
    r"""Return the bound of log p(x), summed exactly over classes. [M2] eq. 7.

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
    r"""Return log N(z; 0, I) - log q(z) at the draw z = mu + sigma * noise.

    Parameters
    ----------
    q_z : DiagonalNormal over (..., latent_size)
        The distribution that z is drawn from.
    noise : Tensor of shape (..., latent_size)
        Standard normal draws.

    Returns
    -------
    log_ratio : Tensor of shape (...)
        In nats.
    """
    z = to_double(q_z.rsample(noise))
    squares = to_double(noise).square().sum(-1) - z.square().sum(-1)
    return 0.5 * squares + to_double(q_z.log_scale).sum(-1)


def to_double(t: Tensor) -> Tensor:
    """Convert to float64 for sums over classes and columns; a no-op on MPS.

    torch sums rows in groups, so the last bit of a float32 sum would depend on the
    position of the row in the array. MPS does not support float64.
    """
    return t if t.device.type == "mps" else t.to(torch.float64)
