r"""The loss, one function an equation; of whichever model.

[M2] is Kingma, Rezende, Mohamed & Welling 2014, arXiv 1406.5298. Sums run over features
and latent dimensions, means over rows. The bounds are what the paper writes as -L and
-U: lower bounds, to be maximised; each model has its own (`sk_ssvae.models`).
"""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
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

__all__ = [
    "Loss",
    "balance_kl",
    "compiled_loss",
    "cross_entropy",
    "entropy",
    "ssvae_loss",
    "teacher_pull",
    "warm_up",
]


def cross_entropy(log_q_y: Tensor, target: Tensor) -> Tensor:
    r"""Classification term. [M2] eq. 9; for one-hot targets -log q(y | x).

    .. math:: H(t, q) = -\sum_y t_y \log q(y|x)

    Parameters
    ----------
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x).
    target : Tensor of shape (n_rows, n_classes)
        Known classes one-hot, or a teacher's probabilities.

    Returns
    -------
    loss : Tensor of shape (n_rows,)
        In nats.
    """
    return -(target * log_q_y).sum(-1)


def entropy(log_q_y: Tensor) -> Tensor:
    r"""Entropy of q(y | x), small where the classifier is sure.

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


def balance_kl(log_q_y: Tensor, weight: Tensor, log_prior: Tensor) -> Tensor:
    r"""KL divergence of the classifier's mean answer from the class prior.

    Mann & McCallum 2007, "Simple, robust, scalable semi-supervised learning via
    expectation regularization", the divergence taken the other way round.

    .. math:: KL(\bar q \| p(y)), \qquad \bar q = \sum_i w_i q(y | x_i)

    Parameters
    ----------
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x).
    weight : Tensor of shape (n_rows,)
        Weights of the rows; only their ratios matter.
    log_prior : Tensor of shape (n_classes,)
        log p(y).

    Returns
    -------
    kl : scalar Tensor
        In nats, never negative.
    """
    mean = weight @ log_q_y.exp() / weight.sum().clamp_min(1e-30)
    # A class that every row rules out has an infinite slope in 0 log 0, for no reason.
    mean = mean.clamp_min(1e-30)
    return (mean * (mean.log() - log_prior)).sum()


def teacher_pull(progress: float, falls_until: float = 0.35) -> float:
    """Strength of the teacher, from 1 down to 1/2 in a straight line, then constant.

    Parameters
    ----------
    progress : float in [0, 1]
        Share of the training steps that are done.
    falls_until : float in (0, 1]
        Share from which on it is 1/2. With no teacher left, answers drift where classes
        overlap.

    Returns
    -------
    pull : float in [0, 1]
    """
    return max(0.5, 1.0 - 0.5 * progress / falls_until)


def warm_up(progress: float, until: float = 0.4) -> float:
    """Weight of the KL divergence, from 0 up to 1 in a straight line, then constant.

    Sonderby, Raiko, Maaloe, Sonderby & Winther 2016, "Ladder variational autoencoders",
    section 2.3: dimensions that are driven to the prior at the start, while the decoder
    makes nothing of them, hardly come back.

    Parameters
    ----------
    progress : float in [0, 1]
        Share of the training steps that are done.
    until : float in (0, 1]
        Share from which on it is 1.

    Returns
    -------
    weight : float in [0, 1]
    """
    return min(1.0, progress / until)


class Loss(NamedTuple):
    """The loss of a batch and what it is made of; scalars, means over all rows.

    ``total = -bound + alpha * (classification + teacher + confidence + adversarial)``.
    """

    total: Tensor
    bound: Tensor
    classification: Tensor
    teacher: Tensor
    confidence: Tensor
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
    guess: Tensor | None = None,
    pull: float | Tensor = 0.0,
    entropy_weight: float = 0.0,
    balance_weight: float = 0.0,
    top_k: int | None = None,
    exponential_noise: Tensor | None = None,
    bound_rows: int | None = None,
    adversarial: Tensor | None = None,
    kl_weight: float | Tensor = 1.0,
) -> Loss:
    r"""Loss of a batch whose first rows are labelled. [M2] eqs. 8 and 9.

    .. math::
        J = -\frac1N \Big[\sum_{labelled} L(x, y) + \sum_{unlabelled} U(x)\Big]
            + \alpha \Big[\frac1{N_l} \sum_{labelled} -\log q(y|x) + C\Big]

        C = \frac{\beta a_t}{N_u} \sum_{unlabelled} w(x) H(t(x), q(y|x))
            + \frac{\gamma}{N_u} \sum_{unlabelled} H(q(y|x))
            + \delta KL(\bar q \| p(y))
            + \frac{\varepsilon}{N} \sum KL(q(y|x) \| q(y|x+r))

    C is no part of [M2]: the teacher's guesses t(x), entropy minimisation, where there
    is a teacher the balance of the classes, and virtual adversarial training. [M2] is
    beta = gamma = delta = epsilon = 0.

    With the mean over rows, Kingma's alpha (0.1 N in his sums) is 0.1, and the reading
    in which q(y | x) stands for p(y), so that each labelled row's log q(y | x) counts
    once, is alpha = N_l / N (the constant log p(y) aside).

    The weights carry the means: the expectation over a random batch of the weighted
    sums below is J (see `sk_ssvae.training.batches`).

    Parameters
    ----------
    model : Model
        The model.
    sampled : Tensor of shape (n_rows, n_features), or what `Model.sample_auxiliary` gave
        Rows, the labelled ones first.
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
    guess : Tensor of shape (n_rows - n_labelled, n_classes), default=None
        A teacher's guess for the unlabelled rows, times the teacher's trust in it.
    pull : float or scalar Tensor
        Weight of the teacher's term at this step, beta a_t.
    entropy_weight, balance_weight : float
        gamma and delta.
    top_k : int, default=None
        Estimate the sum over classes from so many of them and one draw
        (`sk_ssvae.training.marginalization`). None takes the exact sum.
    race : Tensor of shape (n_rows - n_labelled, n_classes), default=None
        Standard exponential draws; with `top_k`.
    bound_rows : int, default=None
        Take the bound of so many of the unlabelled rows only, the first ones, in the
        place of all: unbiased if rows come in random order. None takes all.
    adversarial : Tensor of shape (n_rows,), default=None
        epsilon times what `adversarial_kl` gave.
    kl_weight : float or scalar Tensor
        Where only the rows teach, weight of the KL divergence in the loss (not in the
        bound that is reported): see `warm_up`.

    Returns
    -------
    loss : Loss
    """
    if model.unsupervised:
        log_likelihood, kl = model.row_terms(sampled, noise)
        bound = bound_weight @ (log_likelihood - kl)
        total = bound_weight @ (kl_weight * kl - log_likelihood)
        none = bound.new_zeros(())
        return Loss(total, bound, none, none, none, none)
    n = len(codes)
    # One node of the graph where slices would be two or three.
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
    if m < len(sampled):
        bound = bound_weight[:n] @ labelled
        stand_for = (len(sampled) - n) / (m - n)
        bound = bound + stand_for * (bound_weight[n:m] @ unlabelled)
    else:
        bound = bound_weight @ torch.cat([labelled, unlabelled])
    one_hot = F.nll_loss(log_q_labelled, codes, reduction="none")
    classification = target_weight[:n] @ one_hot
    teacher = confidence = bound.new_zeros(())
    weight = target_weight[n:]
    if guess is not None:
        teacher = pull * (weight @ cross_entropy(log_q_unlabelled, guess))
        if balance_weight and len(weight):
            kl = balance_kl(log_q_unlabelled, weight, model.log_prior)
            confidence = balance_weight * kl
    if entropy_weight:
        confidence = confidence + entropy_weight * (weight @ entropy(log_q_unlabelled))
    moved = bound.new_zeros(())
    if adversarial is not None:
        moved = bound_weight @ adversarial
    return Loss(
        total=alpha * (classification + teacher + confidence + moved) - bound,
        bound=bound,
        classification=classification,
        teacher=teacher,
        confidence=confidence,
        adversarial=moved,
    )


def compiled_loss(
    model: VAEModule, top_k: int | None, precision: str
) -> Callable[..., Loss]:
    """Return `sk_ssvae.training.objective.ssvae_loss` compiled for networks like these.

    Parameters
    ----------
    model : Model
        The networks; only types and shapes matter.
    top_k : int or None
        As the loss takes it.
    precision : str
        In which the networks run.

    Returns
    -------
    loss : callable
        Takes the same arguments as the loss. It is compiled when first called, and
        fits with networks of the same shapes share it.
    """
    shapes = tuple(tuple(p.shape) for p in model.parameters())
    kinds = (*map(type, model.modules()), str(model.classes.device))
    modes = (top_k, precision, torch.get_num_threads())
    return _compiled((*kinds, shapes, *modes))


@lru_cache(maxsize=64)
def _compiled(key: object) -> Callable[..., Loss]:
    # torch counts compilations by code object, and after a few goes on uncompiled: a
    # code object for each key.
    code = ssvae_loss.__code__.replace(co_name=f"ssvae_loss_{hash(key) & 0xFFFFFFFF:x}")
    twin = FunctionType(code, ssvae_loss.__globals__)
    twin.__kwdefaults__ = ssvae_loss.__kwdefaults__
    compiled: Callable[..., Loss] = torch.compile(twin)
    return compiled
