"""Missing cells filled by draws from the model, against enumeration and quadrature."""

import itertools

import numpy as np
import pytest
import torch
from exact_m2 import GRID, N_FEATURES, PRIOR, log_evidence, log_joint, make_model
from model_objects import make_spec
from scipy import stats

from sk_ssvae.models import MODELS, filling, inference
from sk_ssvae.models.filling import N_FILLED, RowPool, systematic_sample, tempered

NAN = float("nan")


def test_systematic_samples_have_the_given_shares():
    weights = np.random.RandomState(0).dirichlet(np.full(30, 0.2), 50)
    drawn = systematic_sample(torch.from_numpy(weights), 48).numpy()
    assert drawn.shape == (50, 48)
    counts = np.stack([np.bincount(row, minlength=30) for row in drawn])
    assert (np.abs(counts - 48 * weights) < 1).all()
    assert (np.diff(drawn) >= 0).all()
    one = torch.tensor([[0.0, 1.0, 0.0]])
    assert (systematic_sample(one, 5) == 1).all()


def test_tempered_weights_have_the_smallest_effective_number():
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([[0.1], [1.0], [10.0], [1e3], [1e8]]).double()
    log_w = scale * torch.randn(5, 200, generator=generator, dtype=torch.float64)
    changed = tempered(log_w, 20.0)
    effective = 1 / changed.softmax(-1).square().sum(-1)
    torch.testing.assert_close(changed[:2], log_w[:2])  # enough as they are
    assert (effective[:2] > 20).all()
    assert ((effective[2:] >= 20) & (effective[2:] < 20.5)).all()
    assert (changed.argsort() == log_w.argsort()).all()
    # Rows do not depend on each other.
    for i in range(5):
        torch.testing.assert_close(tempered(log_w[[i]], 20.0)[0], changed[i])


@pytest.mark.parametrize("name", MODELS)
def test_prior_rows_integrate_to_the_evidence(name):
    """Integrals of p(x | ...) over the prior and of importance weights over q agree."""
    model = make_spec(name, inner_size=1).module_class(
        n_features=N_FEATURES, class_prior=PRIOR, latent_size=1, hidden_sizes=(7,),
        likelihood="gaussian", seed=3,
        **make_spec(name, inner_size=1).module_options(),
    ).double().eval()  # fmt: skip
    x = torch.from_numpy(np.random.RandomState(0).randn(4, N_FEATURES))
    x[1, 0] = x[2, 1] = x[2, 2] = NAN
    x[3] = NAN
    nodes = np.linspace(-7, 7, 141)
    weights = stats.norm.pdf(nodes) * (nodes[1] - nodes[0])
    grid, log_w = torch.from_numpy(nodes)[:, None], torch.from_numpy(weights).log()
    if model.n_noise == 2:
        grid = torch.cartesian_prod(grid[:, 0], grid[:, 0])
        log_w = (log_w[:, None] + log_w).flatten()
    with torch.no_grad():
        p_x = model.prior_rows(grid)
        ours = (p_x.log_prob(x[:, None, None], gaps=True) + log_w).logsumexp(-1)
        others = (model.importance(x, grid)[0] + log_w).logsumexp(-1)
    assert ours.shape == (4, len(PRIOR))
    torch.testing.assert_close(ours, others, atol=0.03, rtol=0)
    torch.testing.assert_close(ours[3], torch.zeros(3).double(), atol=1e-6, rtol=0)


def exact_probabilities(model, row):
    """Return E[q(y | x)] over p(missing | observed), by enumeration and quadrature."""
    missing = torch.isnan(row)
    total, mass = 0.0, 0.0
    for values in itertools.product((0.0, 1.0), repeat=int(missing.sum())):
        full = row.clone()
        full[missing] = torch.tensor(values, dtype=row.dtype)
        with torch.no_grad():
            q = model(full[None])[0].exp().numpy()
        for k in range(len(PRIOR)):
            p = np.exp(log_evidence(model, full, k))
            total, mass = total + p * q, mass + p
    return total / mass


ROWS = [[1, NAN, 0], [NAN, NAN, 1], [0, NAN, NAN], [NAN, NAN, NAN]]


def test_the_limit_of_large_pools_is_the_expectation(monkeypatch):
    """Binary columns: the missing cells are enumerated, z is integrated out."""
    monkeypatch.setattr(filling, "POOL_SIZE", 90_000)
    monkeypatch.setattr(filling, "N_FILLED", 30_000)
    model = make_model("bernoulli")
    x = torch.tensor(ROWS, dtype=torch.float64)
    expected = np.stack([exact_probabilities(model, row) for row in x])
    assert np.ptp(expected, axis=0).max() > 0.05
    model = model.float().eval()
    with torch.no_grad():
        filled = RowPool(model, seed=0).fill(x.float())
        found = model(filled).exp().mean(1)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_the_default_pool_is_close_to_the_expectation():
    model = make_model("bernoulli")
    x = torch.tensor(ROWS, dtype=torch.float64)
    expected = np.stack([exact_probabilities(model, row) for row in x])
    model = model.float().eval()
    means = inference.mean_over_missing(
        model, lambda rows, n: model(rows).exp(), x.float().numpy(), np.arange(4), 0
    )
    np.testing.assert_allclose(means.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(means, expected, atol=0.1)


def test_weights_of_the_pool_are_posterior_probabilities(monkeypatch):
    """Summed over the rows of a class they are p(y | observed cells)."""
    monkeypatch.setattr(filling, "POOL_SIZE", 90_000)
    model = make_model("gaussian")
    x = torch.from_numpy(np.random.RandomState(0).randn(3, N_FEATURES))
    exact = np.array([[log_evidence(model, row, k) for k in range(3)] for row in x])
    exact = np.exp(exact - np.logaddexp.reduce(exact, axis=1)[:, None])
    assert log_joint(model, x[0], 0, GRID).shape == GRID.shape
    model = model.float().eval()
    with torch.no_grad():
        weights = RowPool(model, seed=0).weights(x.float())
    by_class = weights.view(3, len(PRIOR), -1).sum(-1)
    np.testing.assert_allclose(by_class, exact, atol=0.02)


def test_observed_cells_stay_and_filled_ones_come_from_one_row_of_the_pool():
    model = make_model("gaussian").float().eval()
    x = torch.tensor([[0.5, NAN, NAN], [NAN, 1.0, 2.0]])
    with torch.no_grad():
        pool = RowPool(model, seed=0)
        filled = pool.fill(x)
    assert filled.shape == (2, N_FILLED, 3)
    assert (filled[0, :, 0] == 0.5).all()
    assert (filled[1, :, 1:] == torch.tensor([1.0, 2.0])).all()
    pairs = {tuple(pair) for pair in pool.rows[:, 1:].tolist()}
    assert all(tuple(pair) in pairs for pair in filled[0, :, 1:].tolist())


def test_a_pool_has_few_rows_if_they_are_wide_and_some_of_every_class(monkeypatch):
    model = make_model("gaussian").float().eval()
    with torch.no_grad():
        assert len(RowPool(model, 0)) == 3 * (1024 // 3)
        monkeypatch.setattr(filling, "POOL_CELLS", 300)
        assert len(RowPool(model, 0)) == 3 * 33
        monkeypatch.setattr(filling, "POOL_CELLS", 3)
        assert len(RowPool(model, 0)) == 3 * filling.MIN_DRAWS


@pytest.mark.parametrize("cells", [1, 3000, 2**30])
def test_means_do_not_depend_on_the_size_of_chunks(cells, monkeypatch):
    model = make_model("gaussian").float().eval()
    x = np.random.RandomState(0).randn(40, 3).astype(np.float32)
    x[np.random.RandomState(1).rand(40, 3) < 0.4] = np.nan
    which = np.flatnonzero(np.isnan(x).any(axis=1))

    def means(rows):
        return inference.mean_over_missing(
            model, lambda c, n: model(c).exp(), x, rows, seed=0
        )

    expected = means(which)
    original = inference.row_chunks
    monkeypatch.setattr(
        inference, "row_chunks", lambda n, per_row: original(n, per_row, cells)
    )
    np.testing.assert_allclose(means(which), expected, atol=1e-6)
    np.testing.assert_allclose(means(which[3:5]), expected[3:5], atol=1e-6)
