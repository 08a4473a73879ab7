"""Normal and Bernoulli likelihoods, and the automatic choice between them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from sk_ssvae.data.column_types import check_support, choose_likelihood
from sk_ssvae.models.likelihoods import (
    Bernoulli,
    BernoulliVector,
    ColumnNormal,
    DiagonalNormal,
    Gaussian,
)


@given(st.floats(-5, 5), st.floats(-3, 3), st.floats(-20, 20))
@settings(max_examples=50)
def test_the_normal_density_equals_scipys(mean, log_scale, x):
    tensors = (torch.tensor([v], dtype=torch.float64) for v in (mean, log_scale, x))
    m, s, value = tensors
    ours = DiagonalNormal(m, s).log_prob(value).item()
    assert ours == pytest.approx(
        stats.norm(mean, np.exp(log_scale)).logpdf(x), rel=1e-9
    )


@given(st.floats(-15, 15), st.integers(0, 1))
@settings(max_examples=50)
def test_the_bernoulli_probability_equals_scipys(logit, x):
    logits = torch.tensor([logit], dtype=torch.float64)
    ours = BernoulliVector(logits).log_prob(torch.tensor([float(x)])).item()
    p = 1 / (1 + np.exp(-logit))
    assert ours == pytest.approx(stats.bernoulli(p).logpmf(x), rel=1e-6)


def test_bernoulli_probabilities_sum_to_one_over_all_rows():
    logits = torch.randn(4, dtype=torch.float64)
    rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 4)
    total = BernoulliVector(logits).log_prob(rows).exp().sum()
    torch.testing.assert_close(total, torch.ones_like(total))


def test_the_gaussian_integrates_to_one_and_its_scale_has_a_lower_bound():
    for log_scale in (0.7, -1.0, -50.0):
        likelihood = Gaussian(1).double()
        with torch.no_grad():
            likelihood.log_scale.fill_(log_scale)
            h = torch.zeros(1, dtype=torch.float64)
            x = torch.linspace(-30, 30, 200_001, dtype=torch.float64)
            density = likelihood(h).log_prob(x[:, None]).exp()
            scale = likelihood.density()(h).log_scale.exp().item()
        assert torch.trapezoid(density, x).item() == pytest.approx(1, abs=1e-6)
        assert scale == pytest.approx(np.hypot(0.05, np.exp(log_scale)))


def test_the_gaussian_scale_has_a_gradient_at_its_lower_bound():
    likelihood = Gaussian(1)
    with torch.no_grad():
        likelihood.log_scale.fill_(-5.0)
    likelihood(torch.zeros(1)).log_prob(torch.ones(1)).backward()
    assert likelihood.log_scale.grad.item() > 0


@pytest.mark.parametrize("likelihood", [Gaussian(3), Bernoulli(3)])
def test_draws_have_the_mean_and_standard_deviation_of_the_density(likelihood):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        distribution = likelihood(torch.tensor([-1.0, 0.0, 2.0]).expand(40_000, 3))
        x = distribution.sample(generator)
        mean = distribution.mean[0]
        if isinstance(distribution, ColumnNormal):
            deviation = distribution.log_scale.exp()
        else:
            deviation = (mean * (1 - mean)).sqrt()
    error = deviation / 200
    assert ((x.mean(0) - mean).abs() < 4 * error).all()
    torch.testing.assert_close(x.std(0), deviation.expand(3), rtol=0.03, atol=0)


def test_draws_depend_on_the_generator_alone():
    distribution = DiagonalNormal(torch.zeros(5), torch.zeros(5))
    first = distribution.sample(torch.Generator().manual_seed(1))
    torch.manual_seed(7)
    again = distribution.sample(torch.Generator().manual_seed(1))
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    ("X", "name"),
    [
        (load_digits().data, "gaussian"),
        (load_digits().data / 16, "censored_logistic"),
        ((load_digits().data > 8).astype(float), "bernoulli"),
        (load_iris().data, "gaussian"),
        (load_wine().data, "gaussian"),
        (
            (load_breast_cancer().data - load_breast_cancer().data.min(0))
            / np.ptp(load_breast_cancer().data, axis=0),
            "gaussian",
        ),
        (np.random.RandomState(0).rand(50, 4), "gaussian"),
        (np.eye(5), "bernoulli"),
        (np.eye(5) * 2, "gaussian"),
        (np.eye(5) - 0.1, "gaussian"),
    ],
)
def test_the_likelihood_is_chosen_from_the_data(X, name):
    assert choose_likelihood(X) == name


def test_bernoulli_cells_outside_the_unit_interval_are_refused():
    kinds = np.array(["bernoulli"] * 2, dtype=object)
    check_support(np.array([[0.0, 1.0], [0.5, 0.25]]), kinds)
    with pytest.raises(ValueError) as error:
        check_support(np.array([[0.0, 1.0], [0.5, 1.5]]), kinds)
    assert str(error.value) == (
        "likelihood='bernoulli' needs values in [0, 1], but X has 1.5 in row 1, column "
        "1. Rescale X (e.g. MinMaxScaler(clip=True)) or use likelihood='gaussian'."
    )
