"""Virtual adversarial training."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sk_ssvae.models import VAEModule
from sk_ssvae.models.user_networks import UserNetwork, networks_in_eval_mode

__all__ = ["adversarial_kl"]

PROBE = 1e-2
"""Length of the step, xi, at which the direction of most change is found."""


def adversarial_kl(
    model: VAEModule,
    x: Tensor,
    log_q_y: Tensor,
    noise: Tensor,
    direction: Tensor,
    radius: float,
) -> Tensor:
    r"""How far answers move where rows do, in the direction that moves them most.

    Virtual adversarial training, Miyato, Maeda, Koyama & Ishii 2018, arXiv 1704.03976,
    eqs. 5 and 6, with one step of power iteration (section 3.3) from a random d:

    .. math::
        KL(q(y|x) \| q(y|x + r)), \qquad r = \rho g / |g|, \qquad
        g = \nabla_\delta KL(q(y|x) \| q(y|x + \delta)) \; \text{at} \; \delta = \xi d

    with q(y | x) held fixed. Networks of the user's own are in evaluation mode: batches
    of moved rows would spoil the statistics of those that have any.

    Parameters
    ----------
    model : Model
        The model.
    x : Tensor of shape (n_rows, n_features)
        Rows.
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x).
    noise : Tensor of shape (n_rows, n_noise)
        The draws that `log_q_y` was made with.
    direction : Tensor of shape (n_rows, n_features)
        Standard normal draws.
    radius : float
        Length of r, in the units of the network.

    Returns
    -------
    kl : Tensor of shape (n_rows,)
        In nats.

    Raises
    ------
    ValueError
        If q(y | x) is not differentiable in x.
    """
    own = any(isinstance(m, UserNetwork) for m in model.modules())
    movable = model.inputs.movable
    mixed = model.mixed
    with networks_in_eval_mode(model):
        # A step as short as the probe would be lost in bfloat16.
        model.mixed = False
        try:
            if own or mixed:
                with torch.no_grad():
                    log_q_y = model.log_q_y(model.sample_auxiliary(x, noise))
            log_q = log_q_y.detach()
            q = log_q.exp()

            def kl(moved_by: Tensor) -> Tensor:
                moved = model.log_q_y(
                    model.sample_auxiliary(x + moved_by * movable, noise)
                )
                return (q * (log_q - moved)).sum(-1)

            # Where only some columns move, lengths are in those.
            direction = F.normalize(direction * movable, dim=-1)
            probe = (PROBE * direction).requires_grad_()
            slope = _slope(kl(probe).sum(), probe)
        finally:
            model.mixed = mixed
        return kl(radius * F.normalize(slope, dim=-1))


def _slope(value: Tensor, at: Tensor) -> Tensor:
    slope = None
    if value.requires_grad:
        (slope,) = torch.autograd.grad(value, at, allow_unused=True)
    if slope is None:
        raise ValueError(
            "adversarial_weight > 0 needs answers that are differentiable in the rows, "
            "but no gradient of q(y | x) reaches them through the networks. Take "
            "detach() and the like out of networks of your own, or set "
            "adversarial_weight=0."
        )
    return slope
