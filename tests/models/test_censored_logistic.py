"""The censored logistic likelihood, and grey values under the Bernoulli."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_rows import small_classifier
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from sk_ssvae.data.column_types import choose_column_types
from sk_ssvae.models.likelihoods import (
    BernoulliVector,
    CensoredLogistic,
    CensoredLogisticVector,
)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def vector(h, log_slope, dtype=torch.float64):
    h, log_slope = (torch.tensor([v], dtype=dtype) for v in (h, log_slope))
    return CensoredLogisticVector(h, log_slope)


@given(st.floats(-30, 30), st.floats(0, 4.6), st.floats(0.001, 0.999))
@settings(max_examples=50)
def test_the_density_equals_scipys_logistic(h, log_slope, x):
    k = np.exp(log_slope)
    p, theirs = vector(h, log_slope), stats.logistic(0.5 + h / k, 1 / k)
    ours = [p.log_prob(double([v])).item() for v in (0.0, x, 1.0)]
    expected = [theirs.logcdf(0), theirs.logpdf(x), theirs.logsf(1)]
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("log_slope", [0.0, 1.0, 3.0, 4.6])
@pytest.mark.parametrize("h", [-40.0, -1.0, 0.0, 0.3, 25.0])
def test_probabilities_and_density_sum_to_one_and_have_the_stated_mean(h, log_slope):
    p = vector(h, log_slope)
    x = torch.linspace(0, 1, 20_003, dtype=torch.float64)[1:-1]
    density = p.log_prob(x[:, None]).exp()
    zero, one = (p.log_prob(double([v])).exp().item() for v in (0.0, 1.0))
    inner = density.mean().item()  # midpoints
    assert zero + inner + one == pytest.approx(1, abs=1e-4)
    mean = (x * density).mean().item() + one
    assert p.mean.item() == pytest.approx(mean, abs=1e-4)
    for name, value in (("mean", p.mean), ("zero", p.log_prob(double([0.0])))):
        single = vector(h, log_slope, torch.float32)
        ours = single.mean if name == "mean" else single.log_prob(torch.zeros(1))
        assert ours.item() == pytest.approx(value.item(), rel=1e-4, abs=1e-6)


def test_draws_follow_the_distribution_and_depend_on_the_generator_alone():
    p = vector(1.5, 1.5)
    wide = CensoredLogisticVector(p.logits.expand(20_000).float(), p.log_slope)
    x = wide.sample(torch.Generator().manual_seed(0))
    torch.manual_seed(5)
    assert torch.equal(x, wide.sample(torch.Generator().manual_seed(0)))
    for value in (0.0, 1.0):
        share = (x == value).double().mean().item()
        probability = p.log_prob(double([value])).exp().item()
        assert share == pytest.approx(probability, abs=0.015)
    k = np.exp(1.5)
    inner = x[(x > 0) & (x < 1)].double().numpy()
    logistic = stats.logistic(0.5 + 1.5 / k, 1 / k)
    low, high = logistic.cdf([0, 1])
    uniform = (logistic.cdf(inner) - low) / (high - low)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert x.mean().item() == pytest.approx(p.mean.item(), abs=0.01)


def test_gradients_are_right_and_finite_for_saturated_outputs():
    h = double([-800.0, -3.0, 0.0, 2.0, 800.0]).requires_grad_()
    log_slope = double([0.5, 1.0, 2.0, 3.0, 4.0]).requires_grad_()
    for x in (0.0, 0.3, 1.0):
        cells = torch.full((5,), x, dtype=torch.float64)
        assert torch.autograd.gradcheck(
            lambda h, s, cells=cells: CensoredLogisticVector(h, s).log_probs(cells),
            (h, log_slope),
        )
    single = torch.tensor([-1e4, 1e4], requires_grad=True)
    p = CensoredLogisticVector(single, torch.tensor([4.6, 4.6]))
    for x in (0.0, 0.5, 1.0):
        value = p.log_prob(torch.full((2,), x))
        (gradient,) = torch.autograd.grad(value, single, retain_graph=True)
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_slopes_are_bounded():
    likelihood = CensoredLogistic(2).double()
    with torch.no_grad():
        likelihood.log_slope.copy_(double([-1e6, 1e6]))
        slope = likelihood(double([0.0, 0.0])).log_slope.exp()
    torch.testing.assert_close(slope, double([1, 100]))


def test_grey_columns_get_the_censored_logistic_and_binary_ones_the_bernoulli():
    rng = np.random.default_rng(0)
    X = np.clip(rng.normal(0.3, 0.6, (200, 4)), 0, 1)
    X[:, 1] = X[:, 1] > 0.5
    X[:, 3] = np.arange(200) == 7  # a pixel that happens to have no grey values
    types = choose_column_types(X, np.full(4, "", dtype=object), np.zeros(4, bool))
    grey = "censored_logistic"
    assert types.tolist() == [grey, "bernoulli", grey, grey]


def grey_rows(n=240):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    X = np.clip(rng.normal(0.25 + 0.5 * y[:, None], 0.3, (n, 2)), 0, 1)
    X[rng.random((n, 2)) < 0.3] = 0
    return X, np.where(np.arange(n) < 40, y, -1)


def test_score_samples_is_a_density_on_the_unit_square_with_its_edges():
    X, y = grey_rows()
    clf = small_classifier(max_epochs=60, learning_rate=0.02).fit(X, y)
    assert clf.likelihood_ == "censored_logistic"
    n = 40
    inner = (np.arange(n) + 0.5) / n
    axis, weight = np.r_[0, inner, 1], np.r_[1, np.full(n, 1 / n), 1]
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    density = np.exp(clf.score_samples(grid, n_draws=200).astype(float))
    total = (density.reshape(n + 2, n + 2) * np.outer(weight, weight)).sum()
    assert total == pytest.approx(1, abs=0.03)
    draws = clf.sample(2000)[0]
    for value in (0, 1):
        share = np.equal(X, value).mean()
        assert (draws == value).mean() == pytest.approx(share, abs=0.1)
    assert ((draws > 0) & (draws < 1)).mean() > 0.3
    means = clf.inverse_transform(clf.transform(X))
    assert ((means > 0) & (means < 1)).all()


@pytest.mark.parametrize("likelihood", ["auto", "bernoulli"])
def test_thresholded_digits_are_less_probable_than_grey_ones(likelihood):
    X, y = load_digits(return_X_y=True)
    X = X[:600] / 16
    few = np.where(np.arange(600) < 100, y[:600], -1)
    clf = small_classifier(likelihood=likelihood, hidden_sizes=(64,), max_epochs=60)
    clf.fit(X[:500], few[:500])
    grey, thresholded = X[500:], np.round(X[500:])
    scores = [clf.score_samples(rows, 10) for rows in (grey, thresholded)]
    is_odd = np.repeat([0, 1], 100)
    assert roc_auc_score(is_odd, -np.concatenate(scores)) > 0.95


def test_grey_values_under_the_bernoulli_score_minus_a_divergence():
    p, x = double([0.2, 0.7, 0.5, 0.9]), double([0.2, 0.1, 0.0, 1.0])
    ours = BernoulliVector(p.logit()).log_probs(x)
    d = torch.distributions
    divergence = d.kl_divergence(d.Bernoulli(x), d.Bernoulli(p))
    torch.testing.assert_close(ours, -divergence)
    gradient = torch.func.grad(lambda h: BernoulliVector(h).log_probs(x).sum())
    torch.testing.assert_close(gradient(p.logit()), x - p)


def test_values_outside_the_unit_interval_are_refused():
    X, y = grey_rows()
    with pytest.raises(ValueError) as error:
        small_classifier(likelihood="censored_logistic").fit(X - 0.5, y)
    assert str(error.value).startswith(
        "likelihood='censored_logistic' needs values in [0, 1], but X has "
    )
