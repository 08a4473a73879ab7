r"""Estimate of the sum over classes in the unlabelled bound from a few classes.

Source: Liu, Regier, Tripuraneni, Jordan & McAuliffe, "Rao-Blackwellized stochastic
gradients for discrete distributions", ICML 2019, arXiv 1810.04777. In
:math:`E_{q(y|x)}[f(y)]`, here with :math:`f(y) = L(x, y) - \log q(y|x)`, the k most
probable classes are summed exactly, and one class sampled from the others represents
them.
"""

import torch
from torch import Tensor

__all__ = [
    "AUTO_MIN_CLASSES",
    "AUTO_TOP_K",
    "choose_classes",
    "resolve_bound_rows",
    "resolve_top_k",
    "topk_unlabelled_bound",
]

MIN_BOUND_ROWS, MAX_BOUND_ROWS = 16, 64
"""Limits of ``bound_rows="auto"``."""

MAX_BOUND_CELLS = 2**19
"""Limit of rows times classes times columns in the bounds of a step: ``"auto"`` uses
fewer rows for wider data, so that the cost of a step does not grow."""

AUTO_MIN_CLASSES = 20
"""Number of classes from which ``marginalization="auto"`` estimates the sum; see
benchmarks/README.md."""

AUTO_TOP_K = 8
"""Number of classes that ``marginalization="auto"`` then sums exactly."""


def resolve_top_k(marginalization: str | int, n_classes: int) -> int | None:
    """Return the number of classes to sum exactly, None for all of them.

    Parameters
    ----------
    marginalization : {"auto", "exact"} or int
        A number of classes; "auto" is `AUTO_TOP_K` from `AUTO_MIN_CLASSES` classes on,
        else "exact".
    n_classes : int
        Number of classes.

    Returns
    -------
    top_k : int or None
        None also if the estimate would need as many classes as the exact sum.
    """
    if isinstance(marginalization, str):
        if marginalization == "exact" or n_classes < AUTO_MIN_CLASSES:
            return None
        top_k = AUTO_TOP_K
    else:
        top_k = int(marginalization)
    return None if top_k + 1 >= n_classes else top_k


def resolve_bound_rows(
    bound_rows: str | int | None, n_classes: int, n_features: int
) -> int | None:
    """Return the number of unlabelled rows of a minibatch whose bound is computed.

    Parameters
    ----------
    bound_rows : "auto", int or None
        See `sk_ssvae.training.ClassifierOptions`.
    n_classes : int
        Number of classes that are summed for a row.
    n_features : int
        Number of columns.

    Returns
    -------
    bound_rows : int or None
        None for all.
    """
    if bound_rows == "auto":
        affordable = MAX_BOUND_CELLS // (n_classes * n_features)
        return min(max(MIN_BOUND_ROWS, affordable), MAX_BOUND_ROWS)
    return None if bound_rows is None else int(bound_rows)


def choose_classes(log_q_y: Tensor, top_k: int, exponential_noise: Tensor) -> Tensor:
    """Choose the most probable classes of each row, and sample one of the others.

    Parameters
    ----------
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x).
    top_k : int
        Number of most probable classes; less than n_classes.
    exponential_noise : Tensor of shape (n_rows, n_classes)
        Standard exponential draws. The class with the smallest noise / q among the
        others is a sample from q restricted to them.

    Returns
    -------
    codes : Tensor of int64 of shape (n_rows, top_k + 1)
        Distinct classes, the sampled one last.
    """
    log_q_y = log_q_y.detach()
    top = log_q_y.topk(top_k, dim=-1).indices
    others = (log_q_y - exponential_noise.log()).scatter(-1, top, -torch.inf)
    return torch.cat([top, others.argmax(-1, keepdim=True)], dim=-1)


def topk_unlabelled_bound(log_q_y: Tensor, codes: Tensor, bounds: Tensor) -> Tensor:
    r"""Estimate U(x), unbiased in value and gradient over the sample. Liu et al. 2019.

    With C the most probable classes, v the sampled one, :math:`q_v` short for q(v | x)
    and :math:`\bar q` for q without gradient,

    .. math::
        \hat U(x) = \sum_{y \in C} q(y|x) f(y)
        + \Big(1 - \sum_{y \in C} \bar q(y|x)\Big) \frac{q_v}{\bar q_v} (f(v) - b)
        + \Big(1 - \sum_{y \in C} q(y|x)\Big) b,

    where b, the mean of f over C weighted by q and without gradient, is a baseline: it
    cancels in expectation and reduces the variance of the gradient.

    Parameters
    ----------
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x).
    codes : Tensor of int64 of shape (n_rows, top_k + 1)
        From `choose_classes`.
    bounds : Tensor of shape (n_rows, top_k + 1)
        L(x, y) of those classes.

    Returns
    -------
    bound : Tensor of shape (n_rows,)
        In nats.
    """
    log_q = log_q_y.gather(-1, codes)
    f = bounds - log_q
    q_top = log_q[:, :-1].exp()
    mass = q_top.sum(-1)
    exact = (q_top * f[:, :-1]).sum(-1)
    baseline = (exact / mass).detach()
    # Equal to 1, with the gradient of log q.
    ratio = (log_q[:, -1] - log_q[:, -1].detach()).exp()
    sampled = (1 - mass.detach()) * ratio * (f[:, -1] - baseline)
    return exact + sampled + (1 - mass) * baseline
