"""Completed rows of models with an inner variable: few draws each, bounded memory."""

import numpy as np
import pytest
import torch

from sk_ssvae.models import auxiliary, filling, inference
from sk_ssvae.models.adgm import ADGMModule
from sk_ssvae.models.m1m2 import M1M2Module
from sk_ssvae.models.sdgm import SDGMModule
from sk_ssvae.utils.chunks import CELLS

MODELS = (M1M2Module, SDGMModule, ADGMModule)
METHODS = ("filled_log_q_y", "filled_latent_means")


def make(model):
    torch.manual_seed(0)
    module = model(
        4, (0.3, 0.7), 3, (32,), "gaussian", seed=0, inner_size=6,
        classifier_hidden_sizes=(16,),
    ).eval()  # fmt: skip
    if model is M1M2Module:
        module.m2.eval()
    return module


def rows_with_gaps(n):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 4)).astype(np.float32)
    x[np.arange(n), rng.integers(0, 4, n)] = np.nan
    return x


@pytest.mark.parametrize("model", MODELS)
def test_completions_of_a_row_take_all_fixed_draws_in_turn(model):
    """Of equal completions, the first 32 together take each draw once."""
    module = make(model)
    n_filled = len(module.draws) // auxiliary.N_COARSE_DRAWS
    x = torch.randn(2, 4).repeat_interleave(n_filled, 0)
    with torch.no_grad():
        q = module.filled_log_q_y(x, n_filled).exp().view(2, n_filled, -1)
        means = module.filled_latent_means(x, n_filled).view(2, n_filled, -1)
        expected_q = module(x[::n_filled]).exp()
        expected_means = module.latent_means(x[::n_filled])
    assert q.std(1).max() > 0
    np.testing.assert_allclose(q.mean(1), expected_q, rtol=1e-5)
    np.testing.assert_allclose(means.mean(1), expected_means, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_values_of_a_row_depend_neither_on_other_rows_nor_on_its_place(model, method):
    module, x = make(model), rows_with_gaps(10)
    predict = getattr(module, method)

    def means(which):
        return inference.mean_over_missing(module, predict, x, which, seed=0)

    found = means(np.arange(10))
    np.testing.assert_allclose(means(np.arange(9, -1, -1))[::-1], found, atol=1e-6)
    np.testing.assert_allclose(means(np.array([7])), found[[7]], atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_memory_is_bounded(model, monkeypatch):
    """No chunk has more than `CELLS` values, over completions, draws and widths."""
    module, x = make(model), rows_with_gaps(60)
    sizes = []
    original = module.mean_log_q_y

    def recorded(rows, draws):
        sizes.append(len(rows) * draws.shape[-2] * 32)
        return original(rows, draws)

    monkeypatch.setattr(module, "mean_log_q_y", recorded)
    inference.mean_over_missing(
        module, module.filled_log_q_y, x, np.arange(len(x)), seed=0
    )
    per_row = filling.N_FILLED * auxiliary.N_COARSE_DRAWS * 32
    assert sum(sizes) == len(x) * per_row
    assert len(sizes) > 1
    assert max(sizes) <= CELLS


def test_states_with_fewer_draws():
    """Files of older versions have 16; some number that 16 does not divide works."""
    for n in (4, 16, 40):
        module = make(M1M2Module)
        module.draws = module.draws[:n]
        with torch.no_grad():
            log_q = module.filled_log_q_y(torch.randn(6, 4), 3)
        assert log_q.shape == (6, 2)
