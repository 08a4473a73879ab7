"""Bounds and predictions of all models against quadrature and Monte Carlo."""

import math

import numpy as np
import pytest
import torch
from model_objects import make_spec
from scipy import stats
from scipy.special import logsumexp
from torch.quasirandom import SobolEngine

from sk_ssvae.models import MODELS, M1M2Module, M1Module
from sk_ssvae.models.auxiliary import N_FIXED_DRAWS, antithetic_draws
from sk_ssvae.models.bounds import unlabelled_bound
from sk_ssvae.models.inference import importance_weighted_bound

PRIOR = (0.5, 0.3, 0.2)
N_CLASSES, N_FEATURES = 3, 3
INNER = ["m1+m2", "sdgm", "adgm"]


def make(
    name, likelihood="gaussian", inner_size=1, latent_size=1, hidden=(7,), scale=2
):
    spec = make_spec(name, inner_size=inner_size)
    model = spec.module_class(
        n_features=N_FEATURES, class_prior=PRIOR, latent_size=latent_size,
        hidden_sizes=hidden, likelihood=likelihood, seed=3, **spec.module_options(),
    ).double()  # fmt: skip
    with torch.no_grad():  # large weights, so that no term is negligible
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model.eval()


def make_rows(likelihood="gaussian", n=4):
    x = np.random.RandomState(0).randn(n, N_FEATURES)
    return torch.from_numpy((x > 0).astype(float) if likelihood == "bernoulli" else x)


def normal_nodes():
    """Return nodes and weights on a fine grid: ReLU networks are not smooth."""
    nodes = np.linspace(-9, 9, 301)
    weights = stats.norm.pdf(nodes)
    return nodes, weights / weights.sum()


def noise_grid():
    """Return noise of shape (n, 2), for the inner variable and z, and weights."""
    nodes, weights = normal_nodes()
    u, z = np.meshgrid(nodes, nodes, indexing="ij")
    noise = np.stack([u.ravel(), z.ravel()], 1)
    return torch.from_numpy(noise), np.outer(weights, weights).ravel()


def log_p_x(likelihood, outputs, x):
    h = outputs.detach().numpy()
    if hasattr(likelihood, "log_scale"):
        learned = np.exp(likelihood.log_scale.detach().numpy())
        scale = np.sqrt(likelihood.MIN_SCALE**2 + learned**2)
        return stats.norm(h, scale).logpdf(x).sum(-1)
    return -np.logaddexp(0, np.where(x > 0, -h, h)).sum(-1)


def log_normal(q, value):
    return stats.norm(q.mean.numpy(), q.log_scale.exp().numpy()).logpdf(value).sum(-1)


@torch.no_grad()
def log_joint(model, x, k, u, z):
    """Return log p(x, u, y = k, z) by scipy's densities, for arrays (n, size)."""
    y = model.classes[k]
    u, z = torch.from_numpy(u), torch.from_numpy(z)
    if isinstance(model, M1M2Module):
        log_x = log_p_x(model.m1.likelihood, model.m1.decoder(u), x.numpy())
        outputs = model.m2.decoder(z, y)
        log_u = log_p_x(model.m2.likelihood, outputs, u.numpy())
    else:
        outputs = model.outputs_x(u, z, y)
        log_x = log_p_x(model.likelihood, outputs, x.numpy())
        log_u = log_normal(model.prior_a(x.expand(len(z), -1), z, y), u.numpy())
    return log_x + log_u + stats.norm.logpdf(z.numpy()).sum(-1) + math.log(PRIOR[k])


@torch.no_grad()
def posteriors(model, x, k, u=None):
    """Return q(u | x), or q(z | x, u, y = k) if u is given."""
    if isinstance(model, M1M2Module):
        q_u = model.m1.posterior_z(x)
        return q_u if u is None else model.m2.posterior_z(u, model.classes[k])
    q_u = model.posterior_a(x)
    return q_u if u is None else model.posterior_z(x, u, model.classes[k])


@torch.no_grad()
def bound_and_evidence(model, x, k):
    """Return L(x, y) by its definition, and log p(x, y), by quadrature over q."""
    noise, weights = noise_grid()
    q_u = posteriors(model, x, k)
    u = q_u.rsample(noise[:, :1])
    q_z = posteriors(model, x, k, u)
    z = q_z.rsample(noise[:, 1:])
    log_q = log_normal(q_u, u.numpy()) + log_normal(q_z, z.numpy())
    ratio = log_joint(model, x, k, u.numpy(), z.numpy()) - log_q
    return weights @ ratio, logsumexp(ratio, b=weights)


def all_bounds(model, x):
    """Return L(x, y) of all classes, averaged over the noise by quadrature."""
    noise, weights = noise_grid()
    with torch.no_grad():
        return np.array(
            [
                weights
                @ model.class_bounds(model.sample_auxiliary(rows, noise), noise).numpy()
                for rows in (row.expand(len(noise), -1) for row in x)
            ]
        )


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("name", INNER)
def test_the_labelled_bound_equals_its_integral(name, likelihood):
    model, x = make(name, likelihood), make_rows(likelihood)
    expected = [
        [bound_and_evidence(model, row, k)[0] for k in range(N_CLASSES)] for row in x
    ]
    np.testing.assert_allclose(all_bounds(model, x), expected, rtol=1e-8)


@pytest.mark.parametrize("name", INNER)
def test_the_evidence_equals_the_integral_of_the_joint_density(name):
    """Quadrature over q and over a fixed grid agree."""
    model, x = make(name, scale=1), make_rows()[0]
    points = np.linspace(-9, 9, 601)
    u, z = (a.ravel()[:, None] for a in np.meshgrid(points, points, indexing="ij"))
    cell = (points[1] - points[0]) ** 2
    for k in range(N_CLASSES):
        integral = logsumexp(log_joint(model, x, k, u, z)) + math.log(cell)
        evidence = bound_and_evidence(model, x, k)[1]
        assert evidence == pytest.approx(integral, abs=1e-2)


@pytest.mark.parametrize("name", INNER)
def test_the_bounds_are_below_the_evidence(name):
    model, x = make(name, scale=1), make_rows()
    evidence = np.array(
        [[bound_and_evidence(model, row, k)[1] for k in range(N_CLASSES)] for row in x]
    )
    assert (all_bounds(model, x) < evidence).all()
    noise, weights = noise_grid()
    unlabelled = np.zeros(len(x))
    with torch.no_grad():
        for i, row in enumerate(x):
            sampled = model.sample_auxiliary(row.expand(len(noise), -1), noise)
            bounds = model.class_bounds(sampled, noise)
            unlabelled[i] = (
                weights @ unlabelled_bound(model.log_q_y(sampled), bounds).numpy()
            )
    log_p_x = logsumexp(evidence, axis=1)
    assert (unlabelled < log_p_x).all()
    weighted = importance_weighted_bound(
        model.float(), x.float().numpy(), 40_000, torch.Generator().manual_seed(0)
    )
    np.testing.assert_allclose(weighted, log_p_x, atol=0.1)  # converges slowly


@pytest.mark.parametrize("name", MODELS)
def test_the_bound_is_the_mean_of_the_log_importance_weights(name):
    """Also in several dimensions, although the bound has some terms in closed form."""
    model, x = make(name, inner_size=3, latent_size=2, scale=1), make_rows(n=1)
    if name == "m1+m2":
        model.kept.copy_(torch.tensor([1.0, 0.0, 1.0]))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20_000, model.n_noise, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        weights = (model.importance(x, noise)[0] + model.log_prior[:, None])[0]
        rows = x.expand(len(noise), -1)
        bounds = model.class_bounds(model.sample_auxiliary(rows, noise), noise)
    difference = bounds.T - weights
    error = difference.std(1) / len(noise) ** 0.5
    assert (difference.mean(1).abs() < 4 * error).all()
    assert (difference.std(1) > 1e-3).all()


def test_dimensions_left_out_of_m2_contribute_their_kl_divergence():
    """Their prior is N(0, 1); the kept dimensions contribute their entropy."""
    model, x = make("m1+m2", inner_size=2), make_rows()
    model.kept.copy_(torch.tensor([1.0, 0.0]))
    noise = torch.zeros(len(x), 3, dtype=torch.float64)
    with torch.no_grad():
        q_u = model.m1.posterior_z(x)
        kl = 0.5 * (q_u.mean**2 + q_u.scale**2 - 1 - 2 * q_u.log_scale)[:, 1]
        entropy = q_u.log_scale[:, 0] + 0.5 * math.log(2 * math.pi * math.e)
        u = q_u.mean
        log_x = model.m1.likelihood_x(u).log_prob(x)
        z = model.m2.posterior_z(u * model.kept, model.classes[1].expand(len(x), -1))
        log_u = stats.norm(
            model.m2.decoder(z.mean, model.classes[1])[:, 0].numpy(),
            model.m2.likelihood.scale()[0].item(),
        ).logpdf(u[:, 0].numpy())
        kl_z = 0.5 * (z.mean**2 + z.scale**2 - 1 - 2 * z.log_scale).sum(1)
        log_u = torch.from_numpy(log_u)
        expected = log_x - kl + entropy + log_u - kl_z + math.log(PRIOR[1])
        bounds = model.class_bounds(model.sample_auxiliary(x, noise), noise)[:, 1]
    torch.testing.assert_close(bounds, expected)


@pytest.mark.parametrize("name", MODELS)
def test_bounds_of_all_classes_equal_those_of_single_classes(name):
    model, x = make(name, inner_size=2, latent_size=2), make_rows()
    noise = torch.randn(len(x), model.n_noise, dtype=torch.float64)
    sampled = model.sample_auxiliary(x, noise)
    bounds = model.class_bounds(sampled, noise)
    for k in range(N_CLASSES):
        y, log_prior = model.classes[k].expand(len(x), -1), model.log_prior[k]
        bound = model.labelled_bound(sampled, y, log_prior, noise)
        torch.testing.assert_close(bounds[:, k], bound)
    codes = torch.tensor([[2, 0], [1, 2], [0, 1], [1, 0]])
    chosen = model.class_bounds(sampled, noise, codes, model.density())
    torch.testing.assert_close(chosen, bounds.gather(1, codes))
    assert len(sampled[1:3]) == 2
    part = model.class_bounds(sampled[1:3], noise[1:3])
    torch.testing.assert_close(part, bounds[1:3])


@pytest.mark.parametrize("name", INNER)
def test_predictions_are_averages_over_the_fixed_draws(name):
    model, x = make(name, inner_size=2, latent_size=2), make_rows()
    with torch.no_grad():
        log_q = model(x)
        is_m1m2 = name == "m1+m2"
        q_u = model.m1.posterior_z(x) if is_m1m2 else model.posterior_a(x)
        q, z = 0, 0
        for draw in model.draws:
            u = q_u.mean + q_u.scale * draw
            if is_m1m2:
                q_y, posterior = model.m2(u).exp(), model.m2.posterior_z
                means = [posterior(u, y.expand(4, -1)).mean for y in model.classes]
            else:
                q_y = model.classifier(x, u).softmax(-1)
                means = [
                    model.posterior_z(x, u, y.expand(4, -1)).mean for y in model.classes
                ]
            q = q + q_y / len(model.draws)
            z = z + (q_y.T[:, :, None] * torch.stack(means)).sum(0) / len(model.draws)
        torch.testing.assert_close(log_q.exp(), q)
        torch.testing.assert_close(model.latent_means(x), z)
        torch.testing.assert_close(log_q.exp().sum(-1), torch.ones(4).double())


def test_fixed_draws_are_antithetic():
    draws = antithetic_draws(3, seed=0)
    assert draws.shape == (N_FIXED_DRAWS, 3)
    torch.testing.assert_close(draws[::2], -draws[1::2])
    wide = antithetic_draws(SobolEngine.MAXDIM + 2, seed=0)
    assert wide.shape == (N_FIXED_DRAWS, SobolEngine.MAXDIM + 2)
    for column in (*draws.T, wide[:, 0], wide[:, -1]):
        assert stats.kstest(column.numpy(), "norm").pvalue > 0.05


@pytest.mark.parametrize("name", INNER)
def test_predictions_hardly_depend_on_the_fixed_draws(name):
    model, x = make(name, inner_size=20, latent_size=2, scale=1.5), make_rows(n=40)
    draws = torch.randn(8000, 20, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        error = model(x).exp() - model.mean_log_q_y(x, draws).exp()
        coarse_error = model.coarse_log_q_y(x).exp() - model(x).exp()
    assert error.abs().max() < 0.01
    assert error.square().mean() < 0.1 * coarse_error.square().mean()


@pytest.mark.parametrize("name", INNER)
def test_a_model_takes_the_draws_of_a_file(name):
    """Files that were written with another number of draws predict as they did."""
    model, x = make(name), make_rows()
    draws = model.draws[:16].clone()
    model.load_state_dict(model.state_dict() | {"draws": draws})
    assert torch.equal(model.draws, draws)
    torch.testing.assert_close(model(x), model.mean_log_q_y(x, draws))
    torch.testing.assert_close(model(x), model.coarse_log_q_y(x))
    assert model.n_fixed_draws == 16


@pytest.mark.parametrize("name", INNER)
def test_decoded_means_of_linear_decoders_are_exact(name):
    """They equal the mean of rows drawn given z, and are linear in the weights."""
    model = make(name, inner_size=2, latent_size=2, hidden=())
    z = torch.tensor([[0.5, -1.0]]).double().repeat(200_000, 1)
    codes = torch.full((len(z),), 2)
    with torch.no_grad():
        drawn = model.draw_rows(z, codes, torch.Generator().manual_seed(0))
        mean = model.decoded_means(z[:1], model.classes[[2]])
        each = [model.decoded_means(z[:1], model.classes[[k]]) for k in range(3)]
        weights = torch.tensor([[0.2, 0.5, 0.3]]).double()
        mixed = model.decoded_means(z[:1], weights)
    error = drawn.std(0) / len(z) ** 0.5
    assert ((drawn.mean(0) - mean[0]).abs() < 4.5 * error).all()
    torch.testing.assert_close(
        mixed, sum(w * e for w, e in zip(weights[0], each, strict=True))
    )


def test_the_row_bound_of_m1_equals_its_integral():
    """As a model of one class, M1 has the same labelled bound."""
    model = M1Module(N_FEATURES, (1.0,), 1, (7,), "gaussian", seed=0).double()
    x, (nodes, weights) = make_rows(), normal_nodes()
    with torch.no_grad():
        values = [
            model.row_bound(x, torch.full((len(x), 1), node).double()).numpy()
            for node in nodes
        ]
        q = model.posterior_z(x)
        for i, row in enumerate(x):
            z = q.mean[i].item() + q.scale[i].item() * nodes
            h = model.decoder(torch.from_numpy(z)[:, None])
            log_p = log_p_x(model.likelihood, h, row.numpy()) + stats.norm.logpdf(z)
            log_q = stats.norm(q.mean[i].item(), q.scale[i].item()).logpdf(z)
            assert weights @ np.array(values)[:, i] == pytest.approx(
                weights @ (log_p - log_q), rel=1e-9
            )
    noise = torch.randn(len(x), 1).double()
    torch.testing.assert_close(
        model.class_bounds(x, noise)[:, 0], model.row_bound(x, noise)
    )
    assert (model(x) == 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_all_networks_are_trained(name):
    """In the last stage all parameters have gradients."""
    model, x = make(name, inner_size=2, latent_size=2, scale=1), make_rows()
    model.start_stage("all")
    noise = torch.randn(len(x), model.n_noise, dtype=torch.float64)
    sampled = model.sample_auxiliary(x, noise)
    log_q = model.log_q_y(sampled)
    unlabelled_bound(log_q, model.class_bounds(sampled, noise)).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


def test_models_without_an_unsupervised_stage_have_no_row_bound():
    with pytest.raises(
        NotImplementedError, match=r"^M2Module has no unsupervised training stage\.$"
    ):
        make("m2").row_bound(None, None)
