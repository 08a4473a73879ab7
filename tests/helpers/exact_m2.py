"""M2 by quadrature and enumeration, in double precision."""

import numpy as np
import torch
from scipy import stats

from sk_ssvae.models.m2 import M2Module
from sk_ssvae.training.loss import ssvae_loss

PRIOR = (0.5, 0.3, 0.2)


N_CLASSES = len(PRIOR)


N_FEATURES = 3


def make_model(likelihood, latent_size=1, seed=3):
    model = M2Module(N_FEATURES, PRIOR, latent_size, (7,), likelihood, seed).double()
    with torch.no_grad():  # far from the origin, where all terms matter
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model


def make_rows(likelihood, n=4):
    rng = np.random.RandomState(0)
    x = rng.randn(n, N_FEATURES)
    if likelihood == "bernoulli":
        x = (x > 0).astype(float)
    return torch.from_numpy(x)


GRID = np.linspace(-9, 9, 3001)
"""Where integrals over z are taken; beyond it a standard normal has mass 2e-19."""


def log_joint(model, x, k, z):
    """Log p(x, y = k, z) with scipy's densities, for an array of z."""
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
    """Log p(x, y = k) by quadrature over z."""
    return np.log(np.trapezoid(np.exp(log_joint(model, x, k, GRID)), GRID))


def exact_labelled_bound(model, x, k):
    """L(x, y = k) by quadrature over z, from its definition E_q[log p - log q]."""
    with torch.no_grad():
        q_z = model.posterior_z(x, model.classes[k])
        q = stats.norm(q_z.mean.item(), q_z.log_scale.exp().item())
    z = q.mean() + q.std() * GRID
    return np.trapezoid(q.pdf(z) * (log_joint(model, x, k, z) - q.logpdf(z)), z)


def mean_over_noise(f):
    """Mean of f(noise) over one standard normal number."""
    with torch.no_grad():
        values = [f(torch.tensor([e], dtype=torch.float64)).numpy() for e in GRID]
    weights = stats.norm.pdf(GRID) * (GRID[1] - GRID[0])
    return np.tensordot(weights, values, axes=1)


def batch(model, x, n_labelled, seed=0):
    """Weights and targets as for the whole of the data in one batch."""
    n = len(x)
    generator = torch.Generator().manual_seed(seed)
    soft_targets = torch.rand(
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
        "soft_targets": soft_targets / soft_targets.sum(1, keepdim=True),
        "bound_weight": torch.full((n,), 1 / n, dtype=torch.float64),
        "target_weight": target_weight,
    }


def draws(n, latent_size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, latent_size, generator=generator, dtype=torch.float64)


def loss(model, x, parts, *, alpha=0.1, **options):
    noise = draws(len(x), model.latent_size)
    return ssvae_loss(
        model, x, model(x), noise=noise, **parts, alpha=alpha, **options
    )
