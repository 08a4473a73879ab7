"""Exact values for M2: quadrature over z and enumeration of y, in double precision."""

import numpy as np
import torch
from scipy import stats

from sk_ssvae.models.m2 import M2Module
from sk_ssvae.training.loss import ssvae_loss

PRIOR = (0.5, 0.3, 0.2)
N_CLASSES = len(PRIOR)
N_FEATURES = 3

GRID = np.linspace(-9, 9, 3001)
"""Grid for integrals over z. Beyond it, the standard normal has a mass of 2e-19."""


def make_model(likelihood, latent_size=1, seed=3):
    """Return M2's networks in double precision, with weights twice as large."""
    model = M2Module(N_FEATURES, PRIOR, latent_size, (7,), likelihood, seed).double()
    with torch.no_grad():  # larger weights make all terms of the bound differ from 0
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model


def make_rows(likelihood, n=4):
    """Return normal rows, or binary rows for the Bernoulli likelihood."""
    rng = np.random.RandomState(0)
    x = rng.randn(n, N_FEATURES)
    if likelihood == "bernoulli":
        x = (x > 0).astype(float)
    return torch.from_numpy(x)


def log_joint(model, x, k, z):
    """Return log p(x, y = k, z) for an array of z, with scipy's densities."""
    with torch.no_grad():
        h = model.decoder(torch.from_numpy(z)[:, None], model.classes[k]).numpy()
        x = x.numpy()
        if hasattr(model.likelihood, "log_scale"):
            learned = np.exp(model.likelihood.log_scale.numpy())
            scale = np.sqrt(model.likelihood.MIN_SCALE**2 + learned**2)
            log_x = stats.norm(h, scale).logpdf(x).sum(1)
        else:
            log_x = stats.bernoulli(1 / (1 + np.exp(-h))).logpmf(x).sum(1)
    return log_x + stats.norm.logpdf(z) + np.log(PRIOR[k])


def log_evidence(model, x, k):
    """Return log p(x, y = k), by quadrature over z."""
    return np.log(np.trapezoid(np.exp(log_joint(model, x, k, GRID)), GRID))


def exact_labelled_bound(model, x, k):
    """Return L(x, y = k) = E_q[log p(x, y, z) - log q(z)], by quadrature over z."""
    with torch.no_grad():
        q_z = model.posterior_z(x, model.classes[k])
        q = stats.norm(q_z.mean.item(), q_z.log_scale.exp().item())
    z = q.mean() + q.std() * GRID
    return np.trapezoid(q.pdf(z) * (log_joint(model, x, k, z) - q.logpdf(z)), z)


def mean_over_noise(f):
    """Return the mean of f(noise) for one standard normal number, by quadrature."""
    with torch.no_grad():
        values = [f(torch.tensor([e], dtype=torch.float64)).numpy() for e in GRID]
    weights = stats.norm.pdf(GRID) * (GRID[1] - GRID[0])
    return np.tensordot(weights, values, axes=1)


def batch(model, x, n_labelled, seed=0):
    """Return arguments of the loss if all rows are in one minibatch.

    The first `n_labelled` rows are labelled, and the others have random soft targets.
    """
    n = len(x)
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(
        n - n_labelled, N_CLASSES, generator=generator, dtype=torch.float64
    )
    target_weight = torch.cat(
        [
            torch.full((n_labelled,), 1 / max(1, n_labelled), dtype=torch.float64),
            torch.full((n - n_labelled,), 1 / max(1, n - n_labelled)).double(),
        ]
    )
    return {
        "codes": torch.arange(n_labelled) % N_CLASSES,
        "soft_targets": scores / scores.sum(1, keepdim=True),
        "bound_weight": torch.full((n,), 1 / n, dtype=torch.float64),
        "target_weight": target_weight,
    }


def draws(n, latent_size, seed=0):
    """Return standard normal noise of shape (n, latent_size)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, latent_size, generator=generator, dtype=torch.float64)


def loss(model, x, parts, *, alpha=0.1, **options):
    """Return the loss of a minibatch with the arguments from `batch`."""
    noise = draws(len(x), model.latent_size)
    return ssvae_loss(model, x, model(x), noise=noise, **parts, alpha=alpha, **options)
