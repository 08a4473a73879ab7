r"""The sum over classes of the unlabelled bound, from a few classes and one draw.

Source: Liu, Regier, Tripuraneni, Jordan & McAuliffe, "Rao-Blackwellized stochastic
gradients for discrete distributions", ICML 2019, arXiv 1810.04777. Of
:math:`E_{q(y|x)}[f(y)]`, here with :math:`f(y) = L(x, y) - \log q(y|x)`, the k most
probable classes are summed exactly, and one class drawn from the rest stands for it.
"""

import torch
from torch import Tensor

__all__ = [
    "AUTO_FROM",
    "choose_classes",
    "resolve_bound_rows",
    "resolve_top_k",
    "topk_unlabelled_bound",
]

FEWEST_BOUND_ROWS, MOST_BOUND_ROWS = 16, 64
BOUND_CELLS = 2**19
"""Rows times classes times columns of a step's bounds from which on "auto" takes fewer
rows: what a step costs stays the same for wider data."""


AUTO_FROM = 20
"""Number of classes from which "auto" takes the estimate: see benchmarks/README.md."""


def resolve_top_k(marginalization: str, top_k: int, n_classes: int) -> int | None:
    """Say how many classes to sum exactly, None for all of them.

    Parameters
    ----------
    marginalization : {"auto", "exact", "topk"}
        "auto" is "topk" from `AUTO_FROM` classes on.
    top_k : int
        Classes to sum where it is "topk".
    n_classes : int
        Number of classes.

    Returns
    -------
    top_k : int or None
        None also where summing `top_k` classes and a draw is no less work.
    """
    if marginalization == "exact" or top_k + 1 >= n_classes:
        return None
    if marginalization == "auto" and n_classes < AUTO_FROM:
        return None
    return top_k


def resolve_bound_rows(
    bound_rows: str | int | None, n_classes: int, n_features: int
) -> int | None:
    """Work out of how many unlabelled rows of a minibatch the bound is taken.

    Parameters
    ----------
    bound_rows : "auto", int or None
        As in `sk_ssvae.SSVAEClassifier`.
    n_classes : int
        Classes that are summed for a row.
    n_features : int
        Number of columns.

    Returns
    -------
    bound_rows : int or None
        None for all.
    """
    if bound_rows == "auto":
        affordable = BOUND_CELLS // (n_classes * n_features)
        return min(max(FEWEST_BOUND_ROWS, affordable), MOST_BOUND_ROWS)
    return None if bound_rows is None else int(bound_rows)


def choose_classes(log_q_y: Tensor, top_k: int, exponential_noise: Tensor) -> Tensor:
    """Choose the most probable classes of each row, and draw one of the others.

    Parameters
    ----------
    log_q_y : Tensor of shape (n_rows, n_classes)
        log q(y | x).
    top_k : int
        Number of most probable classes; less than n_classes.
    race : Tensor of shape (n_rows, n_classes)
        Standard exponential draws. The smallest race / q of the others is a draw from
        q among them.

    Returns
    -------
    codes : Tensor of int64 of shape (n_rows, top_k + 1)
        Distinct classes, the drawn one last.
    """
    log_q_y = log_q_y.detach()
    top = log_q_y.topk(top_k, dim=-1).indices
    others = (log_q_y - exponential_noise.log()).scatter(-1, top, -torch.inf)
    return torch.cat([top, others.argmax(-1, keepdim=True)], dim=-1)


def topk_unlabelled_bound(log_q_y: Tensor, codes: Tensor, bounds: Tensor) -> Tensor:
    r"""Estimate of U(x), unbiased in value and gradient over the draw. Liu et al. 2019.

    With C the chosen classes, v the drawn one, :math:`q_v` short for q(v | x) and
    :math:`\bar q` for what is held fixed in the gradient,

    .. math::
        \hat U(x) = \sum_{y \in C} q(y|x) f(y)
        + \Big(1 - \sum_{y \in C} \bar q(y|x)\Big) \frac{q_v}{\bar q_v} (f(v) - b)
        + \Big(1 - \sum_{y \in C} q(y|x)\Big) b,

    where b, the mean of f over C weighted by q and held fixed, adds nothing in
    expectation and lowers the variance of the gradient.

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
    # q over its own value: 1, with the gradient of log q.
    ratio = (log_q[:, -1] - log_q[:, -1].detach()).exp()
    drawn = (1 - mass.detach()) * ratio * (f[:, -1] - baseline)
    return exact + drawn + (1 - mass) * baseline
