"""Counts up to 1e9: accuracy of single precision, spread, and files of old versions."""

import numpy as np
import pytest
import torch
from mixed_rows import small_classifier
from scipy import special, stats

from sk_ssvae.data.layout import ColumnGroup, Layout, fit_layout
from sk_ssvae.data.scaling import fit_column_scaling
from sk_ssvae.models import M2Module
from sk_ssvae.models.likelihoods import (
    NegativeBinomial,
    NegativeBinomialVector,
    PoissonVector,
)
from sk_ssvae.models.likelihoods.counts import stirling_error

MEANS = 10.0 ** np.arange(10)
POISSON = float("inf")


def test_stirlings_error_equals_scipys_and_its_derivative_the_digamma_function():
    a = torch.tensor(10.0 ** np.linspace(-2, 9, 200), requires_grad=True)
    error = stirling_error(a)
    x = a.detach().numpy()
    formula = (x - 0.5) * np.log(x) - x + 0.5 * np.log(2 * np.pi)
    small = x < 100  # scipy's difference is rounded for large ones
    expected = np.where(small, special.gammaln(x) - formula, 1 / (12 * x))
    np.testing.assert_allclose(error.detach(), expected, rtol=1e-4, atol=1e-13)
    (slope,) = torch.autograd.grad(error.sum(), a)
    expected = special.digamma(x) - np.log(x) + 0.5 / x
    np.testing.assert_allclose(slope[small], expected[small], rtol=1e-6, atol=1e-13)


def draw(mean, size, n=200, seed=0):
    """Return counts, in both tails and at zero too, and decoder outputs nearby."""
    rng = np.random.default_rng(seed)
    deviation = np.sqrt(mean + mean**2 / size)
    x = mean + deviation * np.concatenate([rng.standard_normal(n), [-1e9, 0, 10]])
    x = np.clip(np.floor(x), 0, 1e9).astype(np.float32)
    log_ratio = min(0.1, deviation / mean) * rng.standard_normal(len(x))
    return x, log_ratio.astype(np.float32), np.float32(np.log(mean))


def density(log_ratio, offset, log_size):
    offset = offset.to(log_ratio.dtype)
    if log_size.isinf():
        return PoissonVector(log_ratio, offset)
    return NegativeBinomialVector(log_ratio, offset, log_size)


def evaluate(x, log_ratio, offset, size, dtype):
    """Return log-probabilities and their derivatives, in a precision."""
    h = torch.tensor(log_ratio, dtype=dtype, requires_grad=True)
    log_size = torch.tensor(np.float32(np.log(size)), dtype=dtype, requires_grad=True)
    p = density(h, torch.tensor(offset), log_size)
    log_prob = p.log_probs(torch.tensor(x, dtype=dtype))
    (by_output,) = torch.autograd.grad(log_prob.sum(), h, retain_graph=True)
    by_size = torch.zeros(())
    if size < POISSON:
        (by_size,) = torch.autograd.grad(log_prob.sum(), log_size)
    return [t.detach().double().numpy() for t in (log_prob, by_output, by_size)]


@pytest.mark.parametrize("size", [0.05, 1.0, 1e2, 1e4, 1e6, 1e9, POISSON])
@pytest.mark.parametrize("mean", MEANS)
def test_single_precision_agrees_with_double_precision_and_scipy(mean, size):
    x, h, offset = draw(mean, size)
    single = evaluate(x, h, offset, size, torch.float32)
    double = evaluate(x, h, offset, size, torch.float64)
    np.testing.assert_allclose(single[0], double[0], rtol=2e-3, atol=2e-3)
    # Relative to its typical size, x is rounded to 24 bits.
    deviation = np.sqrt(np.mean(double[1] ** 2))
    np.testing.assert_allclose(single[1], double[1], rtol=1e-3, atol=2e-3 * deviation)
    np.testing.assert_allclose(single[2], double[2], rtol=1e-2, atol=1e-2 * len(x))
    mu = np.exp(h.astype(float) + offset)
    if size == POISSON:
        expected = stats.poisson(mu).logpmf(x.astype(float))
    else:
        r = np.exp(float(np.float32(np.log(size))))
        expected = stats.nbinom(r, r / (r + mu)).logpmf(x.astype(float))
    np.testing.assert_allclose(double[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [0.02, 1.0, 50.0])
def test_far_from_the_mean_log_probabilities_and_gradients_are_right(size):
    """A count of 1e9 where zeros are expected, and the other way round."""
    x, h = np.array([1e9, 0.0, 1e9, 3.0]), np.array([-25.0, 25.0, 25.0, -25.0])
    results = [
        evaluate(x, h, np.float32(0), size, dtype)
        for dtype in (torch.float32, torch.float64)
    ]
    for single, double in zip(*results, strict=True):
        np.testing.assert_allclose(single, double, rtol=1e-5, atol=1e-6)
    r = np.exp(float(np.float32(np.log(size))))
    # scipy's probabilities of success are rounded to 0 and 1.
    expected = (
        special.gammaln(x + r)
        - special.gammaln(r)
        - special.gammaln(x + 1)
        - x * np.logaddexp(0, np.log(r) - h)
        - r * np.logaddexp(0, h - np.log(r))
    )
    np.testing.assert_allclose(results[1][0], expected, rtol=1e-9, atol=1e-5)


@pytest.mark.parametrize("size", [0.5, 200.0, 1e8])
def test_the_gradient_of_the_log_size_equals_the_difference_quotient(size):
    x, h, offset = draw(1e4, size, n=20)
    step = 1e-4

    def total(log_size):
        tensors = [torch.tensor(v, dtype=torch.float64) for v in (h, offset, log_size)]
        p = NegativeBinomialVector(*tensors)
        return p.log_probs(torch.tensor(x)).sum().item()

    log_size = np.float32(np.log(size)).astype(float)
    quotient = (total(log_size + step) - total(log_size - step)) / (2 * step)
    gradient = evaluate(x, h, offset, size, torch.float64)[2]
    assert gradient == pytest.approx(quotient, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
@pytest.mark.parametrize("mean", [1.0, 1e4, 1e7, 1e9])
def test_the_bound_of_training_equals_that_in_double_precision(likelihood, mean):
    x = np.random.default_rng(0).poisson(0.9 * mean, (50, 3)).astype(float)
    types = np.full(3, likelihood, dtype=object)
    scaling = fit_column_scaling(x, standardize=False, limit=1e9)
    layout = fit_layout(x, types, np.zeros(3, dtype=int), scaling)
    model = M2Module(3, (0.5, 0.5), 2, (8,), layout, seed=0)
    noise = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    rows = torch.from_numpy(x).float()
    with torch.no_grad():
        y = model.classes[:1]
        outputs = model.decoder(model.posterior_z(rows, y).rsample(noise), y)
        single = model.density()(outputs).log_prob(rows)
        double = model.density()(outputs.double()).log_prob(rows)
    np.testing.assert_allclose(single, double, rtol=1e-5, atol=0.1)


@pytest.mark.parametrize("mean", [1e4, 1e8])
def test_the_spread_of_poisson_counts_is_learned(mean):
    rng = np.random.default_rng(0)
    X = rng.poisson(mean, (200, 3)).astype(float)
    y = np.where(np.arange(200) < 20, np.arange(200) % 2, -1)
    clf = small_classifier(likelihood="negative_binomial", max_epochs=30).fit(X, y)
    draws = clf.sample(4000)[0]
    np.testing.assert_allclose(draws.mean(0), mean, rtol=0.02)
    np.testing.assert_allclose(draws.std(0), np.sqrt(mean), rtol=0.2)
    truth = stats.poisson(mean).logpmf(X).sum(1).mean()
    assert clf.score_samples(X).mean() == pytest.approx(truth, abs=0.5)
    assert clf.history_[-1]["bound"] == pytest.approx(truth, abs=1)


def test_training_starts_from_the_moments_of_the_columns():
    rng = np.random.default_rng(0)
    X = np.stack(
        [rng.poisson(1e6, 5000), rng.negative_binomial(20, 0.01, 5000)], axis=1
    ).astype(float)
    types = np.full(2, "negative_binomial", dtype=object)
    scaling = fit_column_scaling(X, standardize=False, limit=1e9)
    (group,) = fit_layout(X, types, np.zeros(2, dtype=int), scaling).groups
    np.testing.assert_allclose(np.exp(group.offset), X.mean(0))
    relative = X.std(0) / X.mean(0)
    np.testing.assert_allclose(group.scale, np.minimum(1, 3 * relative))
    assert group.log_size[0] > np.log(1e7)
    assert group.log_size[1] == pytest.approx(np.log(20), abs=0.1)
    likelihood = NegativeBinomial(2, group.offset, group.scale, group.log_size)
    start = likelihood(torch.zeros(2))
    np.testing.assert_allclose(start.log_size.detach(), group.log_size, rtol=1e-5)
    np.testing.assert_allclose(start.mean, X.mean(0), rtol=1e-5)
    # Small counts start as without moments.
    assert NegativeBinomial(1, [-3.0], [1.0], [-2.0]).log_size.item() == 0


def test_states_without_the_range_of_sizes_have_that_of_old_versions():
    group = ColumnGroup("negative_binomial", np.arange(2), (), np.zeros(2))
    layout = Layout((group,), np.zeros(2))
    old = M2Module(2, (0.5, 0.5), 1, (4,), layout, seed=0)
    state = old.state_dict()
    for name in ("likelihood.parts.0.above", "likelihood.parts.0.scale"):
        del state[name]
    state["likelihood.parts.0.log_size"] = torch.tensor([0.3, 9.0])
    model = M2Module(2, (0.5, 0.5), 1, (4,), layout, seed=1)
    model.load_state_dict(state)
    log_size = model.likelihood.parts[0](torch.zeros(2)).log_size.detach()
    expected = 1.45 + 5.45 * np.tanh((np.array([0.3, 9.0]) - 1.45) / 5.45)
    np.testing.assert_allclose(log_size, expected, rtol=1e-6)
    assert model.state_dict()["likelihood.parts.0.scale"].tolist() == [1, 1]
