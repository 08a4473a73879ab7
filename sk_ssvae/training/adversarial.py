"""Virtual adversarial training, and the length of its perturbations."""

import numpy as np
import torch
from scipy.linalg import solve
from scipy.spatial.distance import cdist
from torch import Tensor
from torch.nn import functional as F

from sk_ssvae.models import VAEModule
from sk_ssvae.models.user_networks import UserNetwork, networks_in_eval_mode
from sk_ssvae.training.rows import Rows
from sk_ssvae.utils.typing import Array, IntArray

__all__ = [
    "adversarial_kl",
    "class_margin",
    "effective_dimension",
    "resolve_adversarial",
]

PROBE = 1e-2
"""xi, the length of the step in the finite-difference power iteration."""

RELATIVE_RADIUS = 0.5
"""Length of perturbations, relative to the distance of rows to the borders."""

MIN_DIMENSION = 18
"""Effective dimension from which the weight "auto" is 1. In fewer dimensions, accuracy
was lower with perturbations: most of their directions leave the rows' own."""

MAX_MARGIN_ROWS = 3000
"""Number of rows whose distances to the borders are computed."""

MAX_MARGIN_CELLS = 2**23
"""Largest number of cells of these rows: 64 MiB in double precision."""

SHRINKAGE = 0.01
"""Shrinkage of the covariance that the borders depend on."""

EPSILON: float = np.finfo(np.float64).eps.item()
TINY: float = np.finfo(np.float64).tiny.item() / EPSILON


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
    has_user_networks = any(isinstance(m, UserNetwork) for m in model.modules())
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
            direction = F.normalize(direction * movable, dim=-1)
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


def class_margin(x: Array, codes: IntArray) -> float:
    """Return the median distance of a row to the nearest border of its class.

    The borders are those of a linear discriminant analysis, so the distance is measured
    across them.

    Parameters
    ----------
    x : ndarray of float64 of shape (n_rows, n_columns)
        Rows.
    codes : ndarray of int64 of shape (n_rows,)
        Their classes: at least two, and fewer than rows.

    Returns
    -------
    margin : float
        In the units of the rows.
    """
    classes, codes, counts = np.unique(codes, return_inverse=True, return_counts=True)
    x = x - x.mean(axis=0)
    means = np.eye(len(classes))[codes].T @ x / counts[:, None]
    within = x - means[codes]
    weight = _solve_shrunk_covariance(within, means)
    score = x @ weight.T - (weight * means).sum(axis=1) / 2 + np.log(counts / len(x))
    first = score.argmax(axis=1)
    # A class is at distance zero of itself, and may have the weights of another.
    length = cdist(weight, weight)[first]
    distance = np.full(score.shape, np.inf)
    difference = score.max(axis=1, keepdims=True) - score
    np.divide(difference, length, out=distance, where=length > 0)
    return float(np.median(distance.min(axis=1)))


def _solve_shrunk_covariance(within: Array, means: Array) -> Array:
    """Multiply means by the inverse of the shrunk covariance within classes.

    Parameters
    ----------
    within : ndarray of shape (n_rows, n_columns)
        Rows minus the mean of their class.
    means : ndarray of shape (n_classes, n_columns)
        Means of the classes.

    Returns
    -------
    weight : ndarray of shape (n_classes, n_columns)
    """
    n_rows, n_columns = within.shape
    # Rows may equal the mean of their class.
    variance = (within**2).mean() + EPSILON * (means**2).mean() + TINY
    ridge = SHRINKAGE * variance
    scaled = within * np.sqrt((1 - SHRINKAGE) / n_rows)
    if n_columns <= n_rows:
        covariance = scaled.T @ scaled + ridge * np.eye(n_columns)
        return np.asarray(solve(covariance, means.T, assume_a="pos")).T
    # The Woodbury identity
    gram = scaled @ scaled.T + ridge * np.eye(n_rows)
    explained = solve(gram, scaled @ means.T, assume_a="pos")
    return np.asarray((means.T - scaled.T @ explained) / ridge).T


def effective_dimension(x: Array) -> float:
    r"""Return the participation ratio of the eigenvalues of the correlation matrix.

    .. math:: (\sum_j \lambda_j)^2 / \sum_j \lambda_j^2

    It is the number of columns if these are uncorrelated, and 1 if all rows lie on a
    line. Constant columns do not count.

    Parameters
    ----------
    x : ndarray of float64 of shape (n_rows, n_columns)
        Rows.
    """
    centred = x - x.mean(axis=0)
    scale = centred.std(axis=0)
    varies = scale > 1e-10 * np.abs(x).max(axis=0, initial=0)  # not by rounding
    centred = centred[:, varies] / scale[varies]
    # The smaller of two matrices with the same positive eigenvalues.
    product = centred.T @ centred if x.shape[1] < len(x) else centred @ centred.T
    total = float((product**2).sum())
    return float(np.trace(product) ** 2 / total) if total > 0 else 0.0


def resolve_adversarial(
    weight: str | float, radius: str | float, model: VAEModule, rows: Rows
) -> tuple[float, float]:
    """Return weight and radius of virtual adversarial training.

    Parameters
    ----------
    weight, radius : "auto" or float
        See `sk_ssvae.training.ClassifierOptions`.
    model : VAEModule
        The model.
    rows : Rows
        Training rows.

    Returns
    -------
    weight, radius : float
        The weight is 0 if the radius is "auto" and the rows do not determine it: if all
        belong to one class, or no column can be perturbed.
    """
    known_radius = 1.0 if isinstance(radius, str) else float(radius)
    known_weight = 1.0 if isinstance(weight, str) else float(weight)
    if isinstance(weight, str):
        is_built_in = not any(isinstance(m, UserNetwork) for m in model.modules())
        has_teacher = rows.soft_targets is not None and len(rows.soft_targets) > 0
        if not (is_built_in and has_teacher):
            return 0.0, known_radius
    elif weight == 0 or not isinstance(radius, str):
        return known_weight, known_radius
    x, codes = _rows_with_classes(rows, model.inputs.movable)
    if isinstance(weight, str) and effective_dimension(x) < MIN_DIMENSION:
        return 0.0, known_radius
    if not isinstance(radius, str):
        return known_weight, known_radius
    margin = 0.0
    if x.shape[1] and 1 < len(np.unique(codes)) < len(x):
        margin = class_margin(x, codes)
    if not 0 < margin < np.inf:  # or NaN
        return 0.0, known_radius
    return known_weight, RELATIVE_RADIUS * margin


def _rows_with_classes(rows: Rows, movable: Tensor) -> tuple[Array, IntArray]:
    """Return training rows in double precision, and their classes.

    A class is the label, or the most probable class of the soft target. If there are
    many rows or columns, some of the rows are returned, evenly spaced. Missing cells
    are replaced by the mean of their column; columns that no perturbation changes are
    left out.
    """
    classes = torch.full_like(rows.order, -1)
    classes[: rows.n_labelled] = rows.codes
    if rows.soft_targets is not None and len(rows.soft_targets):
        value, most_probable = rows.soft_targets.max(1)
        classes[rows.n_labelled :][value > 0] = most_probable[value > 0]
    known = torch.nonzero(classes >= 0)[:, 0]
    n = min(len(known), MAX_MARGIN_ROWS, MAX_MARGIN_CELLS // len(movable))
    which = known[torch.arange(n, device=known.device) * len(known) // max(1, n)]
    x = rows.encoded(rows.order[which])[:, movable > 0].cpu().double()
    x = torch.where(x.isnan(), x.nanmean(0).nan_to_num(), x)
    return x.numpy(), classes[which].cpu().numpy()
