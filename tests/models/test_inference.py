"""Inference with a model: densities, latent means, decoded means and draws."""

import numpy as np
import pytest
import torch
from exact_m2 import PRIOR, log_evidence, make_model, make_rows
from scipy import stats

from sk_ssvae.models import inference
from sk_ssvae.models.inference import (
    decoded_means,
    draw_rows,
    importance_weighted_bound,
    latent_means,
)


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_the_importance_weighted_bound_increases_to_the_evidence(likelihood):
    """The exact evidence is computed by quadrature over z and enumeration of y."""
    model, x = make_model(likelihood), make_rows(likelihood)
    with torch.no_grad():  # wide proposals, so that no weight dominates the others
        model.encoder.rest[-1].bias[model.latent_size :] += 2
    exact = [
        np.logaddexp.reduce([log_evidence(model, row, k) for k in range(len(PRIOR))])
        for row in x
    ]

    model, rows = model.float(), x.float().numpy()
    means = []
    for n_draws in (1, 10, 1000):
        draws = np.array(
            [
                importance_weighted_bound(
                    model, rows, n_draws, torch.Generator().manual_seed(seed)
                )
                for seed in range(200)
            ]
        )
        error = draws.std(0) / len(draws) ** 0.5
        assert (draws.mean(0) < exact + 4 * error).all()
        means.append(draws.mean())
    assert means[0] < means[1] < means[2]
    np.testing.assert_allclose(draws.mean(0), exact, atol=0.02)


def test_latent_and_decoded_means_are_sums_over_classes():
    model = make_model("gaussian", latent_size=2).float()
    x = make_rows("gaussian").float()
    q = model(x).exp()
    z = sum(q[:, [k]] * model.posterior_z(x, model.classes[k]).mean for k in range(3))
    np.testing.assert_allclose(latent_means(model, x.numpy()), z.detach(), atol=1e-5)
    weights = np.random.RandomState(0).dirichlet(np.ones(3), len(x)).astype(np.float32)
    expected = sum(
        torch.from_numpy(weights)[:, [k]]
        * model.likelihood_x(z.float(), model.classes[k]).mean
        for k in range(3)
    )
    decoded = decoded_means(model, z.detach().float().numpy(), weights)
    np.testing.assert_allclose(decoded, expected.detach(), atol=1e-5)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_draws_have_the_moments_of_the_model(likelihood):
    """E[x | y] and Var[x | y], by quadrature over z."""
    model = make_model(likelihood)
    grid = np.linspace(-9, 9, 2001)
    z = torch.from_numpy(grid)[:, None]
    for k in range(len(PRIOR)):
        with torch.no_grad():
            means = model.likelihood_x(z, model.classes[k]).mean.numpy()
        weights = stats.norm.pdf(grid)[:, None] * (grid[1] - grid[0])
        mean, square = (weights * means).sum(0), (weights * means**2).sum(0)
        if likelihood == "gaussian":  # Var x = Var h + s^2
            learned = model.likelihood.log_scale.detach().exp().numpy()
            noise = model.likelihood.MIN_SCALE**2 + learned**2
            variance = square - mean**2 + noise
        else:
            variance = mean - mean**2
        drawn = draw_rows(model.float(), np.full(20_000, k), seed=k)
        model.double()
        error = drawn.std(0) / len(drawn) ** 0.5
        assert (np.abs(drawn.mean(0) - mean) < 4 * error).all()
        np.testing.assert_allclose(drawn.var(0), variance, rtol=0.05, atol=1e-3)


def test_draws_of_z_do_not_depend_on_the_size_of_chunks(monkeypatch):
    model = make_model("gaussian").float()
    with torch.no_grad():
        model.likelihood.log_scale.fill_(-30.0)
    codes = np.arange(50) % 3
    expected = draw_rows(model, codes, seed=0)
    original = inference.row_chunks
    monkeypatch.setattr(inference, "row_chunks", lambda n, cells: original(n, 1, 7))
    # Equal up to the noise of x, whose scale is at least 0.05.
    np.testing.assert_allclose(draw_rows(model, codes, seed=0), expected, atol=0.5)


def test_the_scales_of_the_posterior_of_z_are_bounded():
    model = make_model("gaussian", latent_size=2).float()
    x = make_rows("gaussian").float()[:, None]
    with torch.no_grad():
        raw = model.encoder(x, model.classes).chunk(2, -1)[1]
        log_scale = model.posterior_z(x, model.classes).log_scale
        torch.testing.assert_close(log_scale, 5 * torch.tanh(raw / 5))
        extreme = model.posterior_z(x * 1e6, model.classes).log_scale
    assert extreme.abs().max() <= 5
