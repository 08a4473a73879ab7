"""Virtual adversarial training."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sk_ssvae.models import VAEModule
from sk_ssvae.models.user_networks import networks_in_eval_mode, user_networks

__all__ = ["adversarial_kl"]

PROBE = 1e-2
"""xi, the length of the step in the finite-difference power iteration."""


def adversarial_kl(
    model: VAEModule,
    x: Tensor,
    log_q_y: Tensor,
    noise: Tensor,
    direction: Tensor,
    radius: float,
) -> Tensor:
    r"""Compute the change of q(y | x) under an adversarial perturbation of the rows.

    Virtual adversarial training, Miyato, Maeda, Koyama & Ishii 2018, arXiv 1704.03976,
    eqs. 5 and 6, with one step of power iteration (section 3.3) from a random d:

    .. math::
        KL(q(y|x) \| q(y|x + r)), \qquad r = \rho g / |g|, \qquad
        g = \nabla_\delta KL(q(y|x) \| q(y|x + \delta)) \; \text{at} \; \delta = \xi d

    with no gradient through q(y | x). User-supplied networks run in evaluation mode, as
    perturbed rows would distort batch statistics.

    Parameters
    ----------
    model : VAEModule
        The model.
    x : Tensor of shape (n_rows, n_features)
        Rows.
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x).
    noise : Tensor of shape (n_rows, n_noise)
        The draws that `log_q_y` was computed with.
    direction : Tensor of shape (n_rows, n_features)
        Standard normal draws, the initial directions d.
    radius : float
        rho, the length of r, in the units of the networks' inputs.

    Returns
    -------
    kl : Tensor of shape (n_rows,)
        In nats.

    Raises
    ------
    ValueError
        If q(y | x) is not differentiable in x.
    """
    has_user_networks = bool(user_networks(model))
    movable = model.inputs.movable
    mixed = model.mixed
    with networks_in_eval_mode(model):
        # bfloat16 cannot resolve steps as short as the probe.
        model.mixed = False
        try:
            if has_user_networks or mixed:
                with torch.no_grad():
                    log_q_y = model.log_q_y(model.sample_auxiliary(x, noise))
            log_q = log_q_y.detach()
            q = log_q.exp()

            def kl(perturbation: Tensor) -> Tensor:
                perturbed = model.log_q_y(
                    model.sample_auxiliary(x + perturbation * movable, noise)
                )
                return (q * (log_q - perturbed)).sum(-1)

            # Lengths are measured over the columns that can be perturbed.
            direction = F.normalize(direction * (movable > 0), dim=-1)
            probe = (PROBE * direction).requires_grad_()
            gradient = _gradient(kl(probe).sum(), probe)
        finally:
            model.mixed = mixed
        return kl(radius * F.normalize(gradient, dim=-1))


def _gradient(value: Tensor, x: Tensor) -> Tensor:
    gradient = None
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value, x, allow_unused=True)
    if gradient is None:
        raise ValueError(
            "adversarial_weight > 0 needs a q(y | x) that is differentiable in x, but "
            "no gradient reaches x through the networks. Remove detach() and the like "
            "from your networks, or set adversarial_weight=0."
        )
    return gradient
