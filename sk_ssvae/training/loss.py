r"""The loss of a minibatch as a pure function, and its terms.

[M2] is Kingma, Rezende, Mohamed & Welling 2014, arXiv 1406.5298. Sums run over features
and latent dimensions, means over rows. The bounds are lower bounds of the log density,
the -L and -U of the paper, and are maximised; each model defines its own
(`sk_ssvae.models`).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sk_ssvae.models import VAEModule
from sk_ssvae.models.bounds import unlabelled_bound
from sk_ssvae.training.marginalization import (
    choose_classes,
    topk_unlabelled_bound,
)

__all__ = ["Loss", "cross_entropy", "entropy", "ssvae_loss"]


def cross_entropy(log_q_y: Tensor, target: Tensor) -> Tensor:
    r"""Classification term. [M2] eq. 9; for one-hot targets -log q(y | x).

    .. math:: H(t, q) = -\sum_y t_y \log q(y|x)

    Parameters
    ----------
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x).
    target : Tensor of shape (n_rows, n_classes)
        One-hot labels, or soft targets.

    Returns
    -------
    loss : Tensor of shape (n_rows,)
        In nats.
    """
    return -(target * log_q_y).sum(-1)


def entropy(log_q_y: Tensor) -> Tensor:
    r"""Entropy of q(y | x).

    Minimised on unlabelled rows by Grandvalet & Bengio 2005, "Semi-supervised learning
    by entropy minimization".

    .. math:: H(q) = -\sum_y q(y|x) \log q(y|x)

    Parameters
    ----------
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x).

    Returns
    -------
    entropy : Tensor of shape (n_rows,)
        In nats.
    """
    return -(log_q_y.exp() * log_q_y).sum(-1)


class Loss(NamedTuple):
    """Loss of a minibatch and its terms: scalars, means over all rows.

    ``total = -bound + alpha * (classification + teacher + entropy + adversarial)``.
    """

    total: Tensor
    bound: Tensor
    classification: Tensor
    teacher: Tensor
    entropy: Tensor
    adversarial: Tensor


def ssvae_loss(
    model: VAEModule,
    sampled: Any,
    log_q_y: Tensor,
    codes: Tensor,
    noise: Tensor,
    *,
    bound_weight: Tensor,
    target_weight: Tensor,
    alpha: float,
    soft_targets: Tensor | None = None,
    teacher_weight: float | Tensor = 0.0,
    entropy_weight: float = 0.0,
    top_k: int | None = None,
    exponential_noise: Tensor | None = None,
    bound_rows: int | None = None,
    bound_factor: float | None = None,
    adversarial: Tensor | None = None,
    kl_weight: float | Tensor = 1.0,
) -> Loss:
    r"""Loss of a minibatch whose first rows are labelled. [M2] eqs. 8 and 9.

    .. math::
        J = -\frac1N \Big[\sum_{labelled} L(x, y) + \sum_{unlabelled} U(x)\Big]
            + \alpha \Big[\frac1{N_l} \sum_{labelled} -\log q(y|x) + C\Big]

        C = \frac{\beta_t}{N_u} \sum_{unlabelled} w(x) H(t(x), q(y|x))
            + \frac{\gamma}{N_u} \sum_{unlabelled} H(q(y|x))
            + \frac{\varepsilon}{N} \sum KL(q(y|x) \| q(y|x+r))

    C is not part of [M2]: cross-entropy with the teacher's soft targets t(x), entropy
    minimisation and virtual adversarial training. [M2] is beta = gamma = epsilon = 0.

    With means over rows, Kingma's alpha (0.1 N for sums) is 0.1. The objective in which
    q(y | x) replaces p(y), so that log q(y | x) of each labelled row counts once, is
    alpha = N_l / N (up to the constant log p(y)).

    The means are expressed by the weights: J is the expectation of the weighted sums
    below over a random minibatch (see `sk_ssvae.training.batches`).

    While ``model.unsupervised``, the loss is minus the bound of log p(x), with
    `kl_weight` times the KL divergence.

    Parameters
    ----------
    model : VAEModule
        The model.
    sampled : Tensor of shape (n_rows, n_features) or other
        Rows, the labelled ones first, as returned by `VAEModule.sample_auxiliary`.
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x) of the same rows.
    codes : Tensor of int64 of shape (n_labelled,)
        Classes of the labelled rows.
    noise : Tensor of shape (n_rows, n_noise)
        Standard normal draws.
    bound_weight, target_weight : Tensor of shape (n_rows,)
        Weights of the rows in the bounds, and in all other terms.
    alpha : float
        Weight of the classification term.
    soft_targets : Tensor of shape (n_rows - n_labelled, n_classes), default=None
        The teacher's probabilities for the unlabelled rows, times their confidence.
    teacher_weight : float or scalar Tensor
        beta_t, the weight of the teacher's term at this step.
    entropy_weight : float
        gamma.
    top_k : int, default=None
        Estimate the sum over classes from the `top_k` most probable ones and one draw
        (`sk_ssvae.training.marginalization`). None computes the exact sum.
    exponential_noise : Tensor of shape (n_rows - n_labelled, n_classes), default=None
        Standard exponential draws; required with `top_k`.
    bound_rows : int, default=None
        Number of unlabelled rows, the first ones, whose bound represents that of all of
        them: unbiased if the rows are in random order. None uses all.
    bound_factor : float, default=None
        Number of unlabelled rows that one of those `bound_rows` represents, if the rows
        are a part of a minibatch. By default the ratio of their numbers here.
    adversarial : Tensor of shape (n_rows,), default=None
        epsilon times `sk_ssvae.training.adversarial.adversarial_kl`.
    kl_weight : float or scalar Tensor
        Weight of the KL divergence in the unsupervised loss, but not in the reported
        bound (`sk_ssvae.training.objective.kl_warm_up`).

    Returns
    -------
    loss : Loss
    """
    if model.unsupervised:
        log_likelihood, kl = model.row_terms(sampled, noise)
        bound = bound_weight @ (log_likelihood - kl)
        total = bound_weight @ (kl_weight * kl - log_likelihood)
        zero = bound.new_zeros(())
        return Loss(total, bound, zero, zero, zero, zero)
    n = len(codes)
    # split is one node of the graph, two slices would be two or three.
    log_q_labelled, log_q_unlabelled = torch.split(log_q_y, [n, len(sampled) - n])
    y, log_prior = model.classes.index_select(0, codes), model.log_prior.take(codes)
    density = model.density()
    labelled = model.labelled_bound(sampled[:n], y, log_prior, noise[:n], density)
    m = len(sampled) if bound_rows is None else min(len(sampled), n + bound_rows)
    log_q_bound = log_q_unlabelled[: m - n]
    if top_k is None or exponential_noise is None:
        bounds = model.class_bounds(sampled[n:m], noise[n:m], density=density)
        unlabelled = unlabelled_bound(log_q_bound, bounds)
    else:
        chosen = choose_classes(log_q_bound, top_k, exponential_noise[: m - n])
        bounds = model.class_bounds(sampled[n:m], noise[n:m], chosen, density)
        unlabelled = topk_unlabelled_bound(log_q_bound, chosen, bounds)
    if bound_factor is None and m < len(sampled):
        bound_factor = (len(sampled) - n) / (m - n)
    if bound_factor is not None:
        bound = bound_weight[:n] @ labelled
        bound = bound + bound_factor * (bound_weight[n:m] @ unlabelled)
    else:
        bound = bound_weight @ torch.cat([labelled, unlabelled])
    nll = F.nll_loss(log_q_labelled, codes, reduction="none")
    classification = target_weight[:n] @ nll
    teacher_term = entropy_term = adversarial_term = bound.new_zeros(())
    weight = target_weight[n:]
    if soft_targets is not None:
        teacher_term = teacher_weight * (
            weight @ cross_entropy(log_q_unlabelled, soft_targets)
        )
    if entropy_weight:
        entropy_term = entropy_weight * (weight @ entropy(log_q_unlabelled))
    if adversarial is not None:
        adversarial_term = bound_weight @ adversarial
    return Loss(
        total=alpha * (classification + teacher_term + entropy_term + adversarial_term)
        - bound,
        bound=bound,
        classification=classification,
        teacher=teacher_term,
        entropy=entropy_term,
        adversarial=adversarial_term,
    )
