"""Likelihoods of counts, categories, mixed columns and missing cells."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sk_ssvae.data.layout import ColumnGroup, Layout, as_layout
from sk_ssvae.models.input_encoding import InputEncoder
from sk_ssvae.models.likelihoods import (
    Categorical,
    Gaussian,
    NegativeBinomial,
    NegativeBinomialVector,
    Poisson,
    PoissonVector,
    make_likelihood,
)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


@given(st.floats(-6, 6), st.integers(0, 2000))
@settings(max_examples=50)
def test_the_poisson_probability_equals_scipys(log_mean, x):
    ours = PoissonVector(double([log_mean]), double([0.0])).log_prob(double([x])).item()
    assert ours == pytest.approx(stats.poisson(np.exp(log_mean)).logpmf(x), rel=1e-8)


@given(st.floats(-6, 6), st.floats(-3.5, 6), st.integers(0, 2000))
@settings(max_examples=50)
def test_the_negative_binomial_probability_equals_scipys(log_mean, log_size, x):
    ours = NegativeBinomialVector(double([log_mean]), double([0.0]), double([log_size]))
    r = np.exp(log_size)
    theirs = stats.nbinom(r, r / (r + np.exp(log_mean)))
    assert ours.log_prob(double([x])).item() == pytest.approx(
        theirs.logpmf(x), rel=1e-6, abs=1e-9
    )


def test_the_negative_binomial_equals_torchs_and_tends_to_the_poisson():
    log_mean, log_size, x = double([0.3, -1.0]), double([0.5, 1.0]), double([3.0, 0.0])
    size = log_size.exp()
    theirs = torch.distributions.NegativeBinomial(
        size, logits=log_mean - log_size
    ).log_prob(x)
    ours = NegativeBinomialVector(log_mean, double([0.0]), log_size)
    torch.testing.assert_close(ours.log_probs(x), theirs)
    poisson = PoissonVector(log_mean, double([0.0])).log_probs(x)
    near = NegativeBinomialVector(log_mean, double([0.0]), double([14.0, 14.0]))
    near = near.log_probs(x)
    torch.testing.assert_close(near, poisson, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [Poisson, NegativeBinomial])
def test_probabilities_of_counts_sum_to_one_and_have_the_stated_mean(kind):
    likelihood = kind(1, offset=[0.7]).double()
    with torch.no_grad():
        p = likelihood(double([0.4]))
        counts = torch.arange(4000, dtype=torch.float64)[:, None]
        probability = p.log_prob(counts).exp()
    assert probability.sum().item() == pytest.approx(1, abs=1e-9)
    assert (probability @ counts[:, 0]).item() == pytest.approx(np.exp(1.1), rel=1e-6)
    assert p.mean.item() == pytest.approx(np.exp(1.1), rel=1e-6)


@pytest.mark.parametrize("kind", [Poisson, NegativeBinomial])
def test_draws_of_counts_have_the_mean_and_variance_of_the_density(kind):
    likelihood = kind(2)
    with torch.no_grad():
        p = likelihood(torch.tensor([0.0, 1.5]).expand(100_000, 2))
        x = p.sample(torch.Generator().manual_seed(0))
    mean = p.mean[0]
    variance = mean
    if kind is NegativeBinomial:
        variance = mean + mean**2 / p.log_size.exp()
    assert ((x.mean(0) - mean).abs() < 4 * (variance / 100_000).sqrt()).all()
    torch.testing.assert_close(x.var(0), variance, rtol=0.05, atol=0)
    assert (x == x.floor()).all()
    assert (x >= 0).all()


def test_sizes_of_the_negative_binomial_are_bounded():
    likelihood = NegativeBinomial(2).double()
    with torch.no_grad():
        likelihood.log_size.copy_(double([-1e6, 1e6]))
        p = likelihood(double([0.0, 0.0]))
    torch.testing.assert_close(p.log_size, double([-4, 25]))


def test_categorical_probabilities_equal_torchs_for_columns_of_several_sizes():
    sizes = (2, 5, 1, 3)
    likelihood = Categorical(sizes, offset=np.linspace(-1, 1, 11)).double()
    outputs = torch.randn(7, 11, dtype=torch.float64)
    p = likelihood(outputs)
    logits = torch.split(outputs + likelihood.offset, list(sizes), -1)
    codes = torch.stack([torch.randint(n, (7,)) for n in sizes], -1).double()
    theirs = [
        torch.distributions.Categorical(logits=part).log_prob(codes[:, j])
        for j, part in enumerate(logits)
    ]
    torch.testing.assert_close(p.log_probs(codes), torch.stack(theirs, -1))
    means = torch.cat([part.softmax(-1) for part in logits], -1)
    torch.testing.assert_close(p.mean, means)
    modes = torch.stack([part.argmax(-1) for part in logits], -1).double()
    assert torch.equal(likelihood.cells(p.mean), modes)


def test_categorical_probabilities_sum_to_one_over_all_rows():
    p = Categorical((2, 3)).double()(torch.randn(5, dtype=torch.float64))
    rows = double(list(itertools.product(range(2), range(3))))
    assert p.log_prob(rows).exp().sum().item() == pytest.approx(1)


def test_draws_of_categories_have_the_right_frequencies():
    likelihood = Categorical((2, 4))
    with torch.no_grad():
        p = likelihood(torch.tensor([0.5, -1, 0, 1, 2, -9.0]).expand(50_000, 6))
        x = p.sample(torch.Generator().manual_seed(0)).long()
    for j, (first, n) in enumerate([(0, 2), (2, 4)]):
        frequency = torch.bincount(x[:, j], minlength=n) / len(x)
        torch.testing.assert_close(
            frequency, p.mean[0, first : first + n], atol=0.01, rtol=0
        )


def mixed_layout(gaps=()):
    """Return a layout of six columns of four types, out of order."""
    return Layout(
        groups=(
            ColumnGroup("gaussian", np.array([3, 0])),
            ColumnGroup("categorical", np.array([1, 4]), (2, 3), np.zeros(5)),
            ColumnGroup("poisson", np.array([5]), (), np.zeros(1)),
            ColumnGroup("bernoulli", np.array([2])),
        ),
        fill=np.array([0.0, 9, 0.3, 0, 9, 2.0]),
        gaps=np.array(gaps, dtype=np.int64),
        count_shift=np.full(6, 0.25),
        count_scale=np.full(6, 0.5),
    )


ROW = [0.4, 1.0, 0.0, -1.2, 2.0, 3.0]


def column_log_probs(outputs):
    """Return the log-density of each cell of ROW, by torch.distributions."""
    d = torch.distributions
    scale = np.hypot(1, Gaussian.MIN_SCALE)
    return [
        d.Normal(outputs[1], scale).log_prob(double(ROW[0])),
        d.Categorical(logits=outputs[2:4]).log_prob(double(ROW[1])),
        d.Bernoulli(logits=outputs[8]).log_prob(double(ROW[2])),
        d.Normal(outputs[0], scale).log_prob(double(ROW[3])),
        d.Categorical(logits=outputs[4:7]).log_prob(double(ROW[4])),
        d.Poisson(outputs[7].exp()).log_prob(double(ROW[5])),
    ]


@pytest.mark.parametrize("missing", [(), (0,), (1, 3), (0, 1, 2, 3, 4, 5)])
@pytest.mark.parametrize("gaps", [(), (1,)])
def test_the_density_of_mixed_columns_is_the_product_over_observed_cells(missing, gaps):
    likelihood = make_likelihood(mixed_layout(gaps)).double()
    outputs = torch.randn(9, dtype=torch.float64, requires_grad=True)
    x = double(ROW)
    x[list(missing)] = torch.nan
    ours = likelihood(outputs).log_prob(x, gaps=True)
    log_probs = column_log_probs(outputs)
    observed = [p for j, p in enumerate(log_probs) if j not in missing]
    theirs = sum(observed, double(0.0))
    torch.testing.assert_close(ours, theirs)
    (gradient,) = torch.autograd.grad(ours, outputs, retain_graph=True)
    assert gradient.isfinite().all()
    if observed:
        torch.testing.assert_close(gradient, torch.autograd.grad(theirs, outputs)[0])
    if gaps:  # gaps in training are allowed by default
        torch.testing.assert_close(likelihood(outputs).log_prob(x), ours)


def test_a_missing_cell_is_integrated_out():
    likelihood = make_likelihood(mixed_layout()).double()
    with torch.no_grad():
        p = likelihood(torch.randn(9, dtype=torch.float64))
        values = {
            0: torch.linspace(-40, 40, 80_001, dtype=torch.float64),
            1: double([0, 1]),
            2: double([0, 1]),
            4: double([0, 1, 2]),
            5: torch.arange(400, dtype=torch.float64),
        }
        for j, cells in values.items():
            rows = double(ROW).repeat(len(cells), 1)
            rows[:, j] = cells
            density = p.log_prob(rows).exp()
            total = torch.trapezoid(density, cells) if j == 0 else density.sum()
            row = double(ROW)
            row[j] = torch.nan
            marginal = p.log_prob(row, gaps=True).exp()
            torch.testing.assert_close(total, marginal, rtol=1e-6, atol=0)


def test_draws_and_means_of_mixed_columns_are_in_the_order_of_the_columns():
    likelihood = make_likelihood(mixed_layout()).double()
    outputs = double([100, -100, 30, -30, -30, 30, -30, 3.0, 30]).expand(2000, 9)
    with torch.no_grad():
        p = likelihood(outputs)
        x = p.sample(torch.Generator().manual_seed(0))
        cells = likelihood.cells(p.mean)
    assert x.shape == cells.shape == (2000, 6)
    expected = double([-100, 0, 1, 100, 1, np.exp(3.0)])
    torch.testing.assert_close(x.mean(0), expected, rtol=0.01, atol=0.1)
    torch.testing.assert_close(cells[0], expected, rtol=1e-6, atol=1e-6)


def test_network_inputs_are_numbers_one_hot_vectors_and_gap_indicators():
    inputs = InputEncoder(mixed_layout(gaps=(1, 3))).double()
    assert inputs.n_outputs == 4 + 5 + 2
    observed = inputs(double([ROW]))[0].tolist()
    logs = 0.5 * (np.log1p(3.0) - 0.25)
    assert observed == pytest.approx([0.4, 0, -1.2, logs, 0, 1, 0, 0, 1, 0, 0])
    row = double([ROW])
    row[:, [0, 1, 3, 5]] = torch.nan
    filled = inputs(row)[0].tolist()
    logs = 0.5 * (np.log1p(2.0) - 0.25)
    assert filled == pytest.approx([0, 0, 0, logs, 0, 0, 0, 0, 1, 1, 1])


def test_numeric_columns_without_gaps_are_passed_on_unchanged():
    inputs = InputEncoder(as_layout("gaussian", 3)).train()
    x = torch.randn(4, 3)
    assert inputs(x) is x
    x[0, 1] = torch.nan
    assert inputs.eval()(x)[0, 1] == 0
