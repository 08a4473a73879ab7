"""Predictions of a trained model for arrays of rows, in bounded memory."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sk_ssvae.models.base import VAEModule
from sk_ssvae.models.bounds import to_double
from sk_ssvae.models.filling import N_FILLED, RowPool
from sk_ssvae.models.user_networks import user_networks
from sk_ssvae.utils.chunks import row_chunks, tensor_sharing_memory
from sk_ssvae.utils.devices import default_torch_state, retain_freed_memory
from sk_ssvae.utils.random import Stream, stream_generator
from sk_ssvae.utils.typing import FloatArray, IntArray

__all__ = [
    "decoded_means",
    "draw_rows",
    "expected_cells",
    "importance_weighted_bound",
    "latent_means",
    "log_posterior_y",
    "mean_over_missing",
]

Rows = Any
"""An array or a sparse array of rows."""
Encode = Callable[[Tensor], Tensor]
"""Maps rows on the CPU to the cells that the model takes."""

DRAWS_PER_CHUNK = 8


def _device(model: VAEModule) -> torch.device:
    return model.classes.device


def _standard_normal(n: int, size: int, generator: torch.Generator) -> Tensor:
    """Draw on the CPU, so that the draws are the same for every device."""
    return torch.randn(n, size, generator=generator, dtype=torch.float32, device="cpu")


def _map_chunks(
    f: Callable[..., Tensor],
    model: VAEModule,
    cells_per_row: int,
    *arrays: Any,
) -> FloatArray:
    """Apply `f` to chunks of rows of the arrays, converted to tensors."""
    n_rows = arrays[0].shape[0]
    out: FloatArray | None = None
    retain_freed_memory()
    with default_torch_state(_device(model)), torch.inference_mode():
        for chunk in row_chunks(n_rows, cells_per_row):
            part = f(*(tensor_sharing_memory(a[chunk]) for a in arrays))
            if out is None:
                # Filled in place: many small parts would fragment the heap.
                out = np.empty((n_rows, *part.shape[1:]), dtype=np.float32)
            out[chunk] = part.cpu().numpy()
    assert out is not None  # validated input has rows
    return out


def _max_width(model: VAEModule) -> int:
    """Return the largest number of values per row in a layer."""
    user = [network.max_width for network in user_networks(model)]
    return max(*user, *(max(p.shape, default=1) for p in model.parameters()))


def _identity(rows: Tensor) -> Tensor:
    return rows


def log_posterior_y(
    model: VAEModule, x: Rows, encode: Encode = _identity
) -> FloatArray:
    """Return log q(y | x), of shape (n_rows, n_classes)."""
    device = _device(model)

    def log_q(rows: Tensor) -> Tensor:
        log_q_y: Tensor = model(encode(rows).to(device))
        return log_q_y

    return _map_chunks(log_q, model, model.n_fixed_draws * _max_width(model), x)


def latent_means(model: VAEModule, x: Rows, encode: Encode = _identity) -> FloatArray:
    """Return the means of z under q(y, z | x), of shape (n_rows, latent_size)."""
    device = _device(model)

    def means(rows: Tensor) -> Tensor:
        return model.latent_means(encode(rows).to(device))

    n_passes = model.n_fixed_draws * len(model.classes)
    return _map_chunks(means, model, n_passes * _max_width(model), x)


def mean_over_missing(
    model: VAEModule,
    predict: Callable[[Tensor, int], Tensor],
    x: Rows,
    which: IntArray,
    seed: int,
    encode: Encode = _identity,
) -> FloatArray:
    r"""Average predictions for rows with missing cells over draws of these cells.

    With x_o the observed cells, x_m the missing ones in columns without missing cells
    in training, and x_g those in columns with some,

    .. math::
        E[(1 - s) f(x_o, x_m) + s f(x_o, x_m, x_g)], \qquad
        x_m, x_g \sim p(x_m, x_g | x_o),

    where s is the share of missing cells. The networks were trained on rows with gaps
    in x_g, and may have learned what a gap says about the class, but on few rows in
    which most cells are missing. If training had no gaps, this is E[f(x_o, x_m)].

    Parameters
    ----------
    model : VAEModule
        The model.
    predict : callable
        f; maps cells of shape (n, n_features), on the model's device, and the number of
        completions of each row, which are one after the other, to predictions of shape
        (n, n_outputs).
    x : ndarray or sparse array of shape (n_rows, n_features)
        Rows.
    which : ndarray of int64 of shape (n_incomplete,)
        The rows to predict, which have missing cells.
    seed : int
        Seed of the draws, which all rows share (`RowPool`).
    encode : callable
        Maps rows on the CPU to the cells that the model takes.

    Returns
    -------
    means : ndarray of float32 of shape (n_incomplete, n_outputs)
    """
    device = _device(model)
    with default_torch_state(device), torch.inference_mode():
        pool = RowPool(model, seed)

    def mean(filled: Tensor) -> Tensor:
        predicted = to_double(predict(filled.flatten(0, 1), filled.shape[1]))
        return predicted.view(*filled.shape[:2], -1).mean(1)

    def means(positions: Tensor) -> Tensor:
        rows = encode(tensor_sharing_memory(x[positions.numpy()])).to(device)
        filled = pool.fill(rows)
        completed = mean(filled)
        if not model.inputs.has_gaps:
            return completed
        missing = rows.isnan()
        share = to_double(missing).mean(1, keepdim=True)
        known = torch.zeros_like(missing)
        known[:, model.inputs.gaps] = missing[:, model.inputs.gaps]
        direct = mean(filled.masked_fill(known[:, None], torch.nan))
        return torch.lerp(direct, completed, share)

    n_features = len(model.inputs.fill)
    n_passes = N_FILLED * model.n_filled_draws
    cells_per_row = max(len(pool) * n_features, n_passes * _max_width(model))
    return _map_chunks(means, model, cells_per_row, which)


def decoded_means(model: VAEModule, z: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the means of p(x | y, z), averaged over classes.

    Parameters
    ----------
    model : VAEModule
        The model.
    z : ndarray of float32 of shape (n_rows, latent_size)
        Latent points.
    weights : ndarray of float32 of shape (n_rows, n_classes)
        Weight of each class for each row; rows sum to 1.

    Returns
    -------
    means : ndarray of float32 of shape (n_rows, n_features)
        In the model's units; for categories the code of the most probable one.
    """
    device = _device(model)

    def means(points: Tensor, w: Tensor) -> Tensor:
        expected = model.decoded_means(points.to(device), w.to(device))
        return model.likelihood.cells(expected)

    n_passes = model.n_fixed_draws * len(model.classes)
    return _map_chunks(means, model, n_passes * _max_width(model), z, weights)


def draw_rows(model: VAEModule, codes: npt.NDArray[np.int64], seed: int) -> FloatArray:
    """Draw x from p(z) p(x | y, z), one row for each class code.

    Parameters
    ----------
    model : VAEModule
        The model.
    codes : ndarray of int64 of shape (n_rows,)
        Classes.
    seed : int
        Seed of the draws. z is drawn on the CPU and does not depend on the device; x
        given z is drawn on the device.

    Returns
    -------
    x : ndarray of float32 of shape (n_rows, n_features)
        In the model's units.
    """
    z_generator = stream_generator(seed, Stream.SAMPLE_Z)
    z = _standard_normal(len(codes), model.latent_size, z_generator)
    device = _device(model)
    generator = stream_generator(seed, Stream.SAMPLE_X, device=device)

    def draw(points: Tensor, chunk: Tensor) -> Tensor:
        return model.draw_rows(points.to(device), chunk.to(device), generator)

    return _map_chunks(draw, model, _max_width(model), z.numpy(), codes)


def expected_cells(
    model: VAEModule,
    x: Rows,
    n_draws: int,
    generator: torch.Generator,
    encode: Encode = _identity,
) -> FloatArray:
    r"""Return the expectation of all cells given the observed ones.

    .. math::
        \sum_y \sum_s w_{ys}\, E[x | y, z_{ys}], \qquad
        w_{ys} \propto \frac{p(y)\, p(x | y, z_{ys})\, p(z_{ys})}{r(z_{ys})}

    where x are the observed cells and the weights sum to 1 over y and s:
    self-normalised importance sampling of p(y, z | x). Half of the draws of z come from
    r = q(z | x, y) and half from r = p(z), which is the better proposal if most cells
    are missing. Rezende, Mohamed & Wierstra 2014, arXiv 1401.4082, appendix F, and
    Mattei & Frellsen 2019, arXiv 1812.02633, impute missing values in this way.

    Parameters
    ----------
    model, x, n_draws, generator, encode
        As for `importance_weighted_bound`.

    Returns
    -------
    cells : ndarray of float32 of shape (n_rows, n_features)
        In the model's units; for categories the code of the most probable one.
    """
    device = _device(model)
    noise = _standard_normal(n_draws, model.n_noise, generator).to(device)
    with default_torch_state(device), torch.inference_mode():
        prior_p_x = model.prior_rows(noise)
        prior_means = prior_p_x.mean
    log_prior = to_double(model.log_prior)[:, None]

    def expected(rows: Tensor) -> Tensor:
        rows = encode(rows).to(device)
        log_weights, p_x = model.importance(rows, noise)
        prior_weights = prior_p_x.log_prob(rows[:, None, None], gaps=True)
        joint = torch.cat([log_weights, prior_weights], -1) + log_prior
        weights = joint.flatten(1).softmax(-1).view_as(joint)
        own, shared = torch.split(weights, n_draws, -1)
        means = (own[..., None] * p_x.mean).sum((1, 2))
        means = means + torch.einsum("ncs,csm->nm", shared, prior_means)
        return model.likelihood.cells(means)

    cells_per_row = n_draws * len(model.classes) * _max_width(model)
    return _map_chunks(expected, model, cells_per_row, x)


def importance_weighted_bound(
    model: VAEModule,
    x: Rows,
    n_draws: int,
    generator: torch.Generator,
    encode: Encode = _identity,
) -> FloatArray:
    r"""Return the importance-weighted bound of log p(x), summed exactly over classes.

    .. math::
        \log \sum_y p(y) \frac1S \sum_s
        \frac{p(x | y, z_{ys}) p(z_{ys})}{q(z_{ys} | x, y)},
        \qquad z_{ys} \sim q(z | x, y)

    Its expectation over the draws is a lower bound of log p(x) that increases with S
    and converges to it: Burda, Grosse & Salakhutdinov 2016, arXiv 1509.00519, theorem
    1. A single value may exceed log p(x). z stands for all latent variables.

    Parameters
    ----------
    model : VAEModule
        The model.
    x : ndarray or sparse array of shape (n_rows, n_features)
        Rows; cells that are NaN are left out, and the bound of a row without other
        cells is 0.
    n_draws : int
        S. All rows and classes share the same S standard normal draws, so the value of
        a row depends neither on other rows nor on its position.
    generator : torch.Generator
        Source of the draws, on the CPU.
    encode : callable
        Maps rows on the CPU to the cells that the model takes.

    Returns
    -------
    bound : ndarray of float32 of shape (n_rows,)
        In nats, for x in the model's units.
    """
    device = _device(model)
    noise = _standard_normal(n_draws, model.n_noise, generator).to(device)

    def log_evidence(rows: Tensor) -> Tensor:
        rows = encode(rows).to(device)
        parts = [
            model.importance(rows, draws)[0].logsumexp(-1)
            for draws in torch.split(noise, DRAWS_PER_CHUNK)
        ]
        log_p_x_given_y = torch.stack(parts, -1).logsumexp(-1) - math.log(n_draws)
        bound = (log_p_x_given_y + to_double(model.log_prior)).logsumexp(-1)
        # The probability of observing nothing is 1; the estimate has an error.
        return bound.masked_fill(rows.isnan().all(-1), 0.0)

    cells_per_row = DRAWS_PER_CHUNK * len(model.classes) * _max_width(model)
    return _map_chunks(log_evidence, model, cells_per_row, x)
