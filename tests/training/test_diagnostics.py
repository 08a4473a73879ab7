"""Reconstruction and KL divergence in the history, against their definitions."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import M1M2
from sk_ssvae.models.bounds import gaussian_kl, unlabelled_bound
from sk_ssvae.models.m1 import M1Module
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.training.diagnostics import (
    bound_terms,
    diagnostic_rows,
    gauss_hermite_points,
)
from sk_ssvae.training.rows import Rows

X, TRUTH = load_iris(return_X_y=True)
FEW = np.where(np.arange(150) % 5, -1, TRUTH)
PRIOR = (0.2, 0.3, 0.5)


def make_rows(n=6, n_features=4):
    g = torch.Generator().manual_seed(0)
    weight = torch.rand(n, generator=g)
    x = torch.rand(n, n_features, generator=g)
    return x, weight / weight.sum(), torch.randn(20_000, 2, generator=g)


@torch.no_grad()
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_terms_of_m2_are_those_of_the_paper(likelihood):
    model = M2Module(4, PRIOR, 2, (8,), likelihood, seed=0)
    x, weight, noise = make_rows()
    reconstruction, kl = bound_terms(model, x, weight, noise)
    q_y = model(x).exp()
    q_z = model.posterior_z(x[:, None], model.classes)
    log_p = sum(
        model.likelihood_x(q_z.rsample(draw), model.classes).log_prob(x[:, None])
        for draw in noise[:2000]
    )
    expected = weight @ (q_y * log_p / 2000).sum(-1)
    kl_y = (q_y * (q_y.log() - model.log_prior)).sum(-1)
    expected_kl = weight @ (kl_y + (q_y * gaussian_kl(q_z)).sum(-1))
    assert float(reconstruction) == pytest.approx(float(expected), abs=0.05)
    assert float(kl) == pytest.approx(float(expected_kl), abs=0.03)
    assert float(kl) > 0


@torch.no_grad()
@pytest.mark.parametrize("seed", range(5))
def test_kl_divergence_of_m2_is_exact_at_two_points(seed):
    model = M2Module(4, PRIOR, 7, (8,), "gaussian", seed=seed)
    x, weight, _ = make_rows()
    noise = gauss_hermite_points(7, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(noise.mean(0), torch.zeros(7))
    torch.testing.assert_close(noise.square().mean(0), torch.ones(7))
    _, kl = bound_terms(model, x, weight, noise)
    q_y = model(x).exp()
    kl_y = (q_y * (q_y.log() - model.log_prior)).sum(-1)
    kl_z = gaussian_kl(model.posterior_z(x[:, None], model.classes))
    expected = float(weight @ (kl_y + (q_y * kl_z).sum(-1)))
    assert float(kl) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm", "adgm"])
def test_two_points_approximate_many_draws(model):
    clf = SSVAEClassifier(
        model=model, teacher=None, latent_size=5, max_epochs=20, random_state=0
    ).fit(X, FEW)
    module = clf.module_
    x = torch.from_numpy(clf.preprocessor_.scaling.encode(X[::5].astype(np.float32)))
    weight = torch.full((len(x),), 1 / len(x))
    g = torch.Generator().manual_seed(0)
    many = torch.randn(3000, module.n_noise, generator=g)
    exact = bound_terms(module, x, weight, many)
    two = [
        bound_terms(module, x, weight, gauss_hermite_points(module.n_noise, g))
        for _ in range(20)
    ]
    errors = torch.tensor(two) - torch.tensor(exact)
    assert errors.square().mean(0).sqrt().max() < {"m2": 0.1}.get(model, 0.5)
    assert all(float(kl) > 0 for _, kl in two)


@torch.no_grad()
def test_terms_of_an_unsupervised_model():
    model = M1Module(4, (1.0,), 2, (8,), "gaussian", seed=0)
    x, weight, noise = make_rows()
    model.unsupervised = True
    reconstruction, kl = bound_terms(model, x, weight, noise[:500])
    log_likelihood, exact = model.row_terms(x, noise[:500, None])
    assert float(reconstruction) == pytest.approx(
        float((log_likelihood @ weight).mean()), rel=1e-5
    )
    assert float(kl) == pytest.approx(float(weight @ exact), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm", "adgm"])
def test_difference_is_a_bound_of_log_p(model):
    clf = SSVAEClassifier(
        model=model, teacher=None, latent_size=2, max_epochs=5, random_state=0
    ).fit(X, FEW)
    module = clf.module_
    x = torch.from_numpy(clf.preprocessor_.scaling.encode(X[::10].astype(np.float32)))
    g = torch.Generator().manual_seed(0)
    weight = torch.full((len(x),), 1 / len(x))
    noise = torch.randn(2000, module.n_noise, generator=g)
    reconstruction, kl = bound_terms(module, x, weight, noise)
    with torch.no_grad():
        log_weights, _ = module.importance(x, noise)
    log_p = (log_weights.logsumexp(-1) - np.log(2000) + module.log_prior).logsumexp(-1)
    assert float(reconstruction - kl) < float(log_p.mean())
    if model == "m2":
        q = module(x)
        with torch.no_grad():
            one = unlabelled_bound(
                q,
                torch.stack(
                    [module.class_bounds(x, d.expand(len(x), -1)) for d in noise]
                ).mean(0),
            )
        assert float(reconstruction - kl) == pytest.approx(float(one.mean()), abs=0.05)


def test_diagnostic_rows_are_always_the_same_and_partly_labelled():
    rows = Rows(X.astype(np.float32), FEW)
    x, weight = diagnostic_rows(rows, 3)
    again, _ = diagnostic_rows(rows, 3)
    assert torch.equal(x, again)
    assert len(x) == 50
    assert float(weight.sum()) == pytest.approx(1)
    # 30 of 150 are labelled, and come first in `order`.
    labelled = {tuple(row) for row in X[FEW >= 0].astype(np.float32).tolist()}
    n_labelled = sum(tuple(row) in labelled for row in x.tolist())
    assert n_labelled >= 10
    assert len(diagnostic_rows(rows, 500)[0]) == 2
    assert len(diagnostic_rows(rows, 100_000)[0]) == 1


@pytest.mark.parametrize(
    "estimator",
    [
        SSVAEClassifier(teacher=None, max_epochs=3, random_state=0),
        SSVAEClassifier(
            teacher=None,
            model=M1M2(pretrain_epochs=2),
            max_epochs=3,
            random_state=0,
        ),
        VariationalAutoencoder(max_epochs=3, random_state=0),
    ],
    ids=lambda estimator: str(estimator)[:40],
)
def test_history_has_the_terms_of_every_epoch(estimator):
    history = estimator.fit(X, FEW).history_
    for row in history:
        assert np.isfinite([row["reconstruction"], row["kl"]]).all()
    assert history[-1]["reconstruction"] > history[0]["reconstruction"]


def test_history_terms_in_chunks_of_rows_are_the_same(monkeypatch):
    clf = SSVAEClassifier(teacher=None, max_epochs=3, random_state=0)
    whole = clf.fit(X, FEW).history_[-1]
    monkeypatch.setattr("sk_ssvae.training.diagnostics.BOUND_CELLS", 400)
    chunked = clf.fit(X, FEW).history_[-1]
    for name in ("reconstruction", "kl"):
        assert chunked[name] == pytest.approx(whole[name], rel=1e-5)


def test_diagnostics_do_not_change_training(monkeypatch):
    clf = SSVAEClassifier(teacher=None, max_epochs=3, random_state=0)
    expected = clf.fit(X, FEW).predict_proba(X)
    monkeypatch.setattr("sk_ssvae.training.net.history_terms", lambda *_: (0.0, 0.0))
    np.testing.assert_array_equal(clf.fit(X, FEW).predict_proba(X), expected)
