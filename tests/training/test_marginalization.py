"""A few classes and a draw stand for the sum over all: without bias, and distinctly."""

import itertools

import numpy as np
import pytest
import torch
from few_labels import hide
from sklearn.datasets import make_blobs

from sk_ssvae import SSVAEClassifier
from sk_ssvae.models.bounds import unlabelled_bound
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.training.marginalization import (
    AUTO_FROM,
    choose_classes,
    resolve_bound_rows,
    resolve_top_k,
    topk_unlabelled_bound,
)
from sk_ssvae.training.objective import ssvae_loss

N_ROWS, N_CLASSES = 5, 7


def problem(seed=0, n_classes=N_CLASSES):
    """Logits and bounds that both depend on the same parameters."""
    g = torch.Generator().manual_seed(seed)
    theta = torch.randn(N_ROWS, n_classes, generator=g, dtype=torch.float64) * 1.5
    theta.requires_grad_()
    mix = torch.randn(n_classes, n_classes, generator=g, dtype=torch.float64)
    return theta, theta.log_softmax(-1), torch.tanh(theta @ mix) * 4 - 2


@pytest.mark.parametrize("top_k", [1, 3, 5, 6])
def test_value_and_gradient_are_those_of_the_exact_sum(top_k):
    """Expectations over the drawn class, by enumerating it."""
    theta, log_q, bounds = problem()
    exact = unlabelled_bound(log_q, bounds)
    (exact_gradient,) = torch.autograd.grad(exact.sum(), theta, retain_graph=True)
    top = log_q.topk(top_k).indices
    value, gradient = torch.zeros(N_ROWS).double(), torch.zeros_like(theta)
    for row in range(N_ROWS):
        others = [k for k in range(N_CLASSES) if k not in top[row].tolist()]
        q = log_q[row, others].exp().detach()
        for k, probability in zip(others, q / q.sum(), strict=True):
            codes = torch.cat([top[row], torch.tensor([k])])[None]
            estimate = topk_unlabelled_bound(
                log_q[[row]], codes, bounds[[row]].gather(1, codes)
            )
            value[row] += probability * estimate.item()
            (g,) = torch.autograd.grad(estimate.sum(), theta, retain_graph=True)
            gradient += probability * g
    torch.testing.assert_close(value, exact.detach())
    torch.testing.assert_close(gradient, exact_gradient)


def test_without_the_weight_of_the_draw_the_gradient_would_be_wrong():
    """The test above can fail: the draw without its score term is biased."""
    theta, log_q, bounds = problem()
    exact = unlabelled_bound(log_q, bounds)
    (exact_gradient,) = torch.autograd.grad(exact.sum(), theta, retain_graph=True)
    fixed = (log_q.exp().detach() * (bounds - log_q)).sum(-1)
    torch.testing.assert_close(fixed, exact)
    (g,) = torch.autograd.grad(fixed.sum(), theta)
    assert (g - exact_gradient).abs().max() > 0.1


def test_the_baseline_lowers_the_variance_of_the_gradient():
    def spread(shift):
        theta, log_q, bounds = problem(seed=1)
        f = bounds + shift  # a constant, which the exact gradient does not see
        exponential_noise = torch.empty(400, N_ROWS, N_CLASSES, dtype=torch.float64)
        exponential_noise.exponential_(generator=torch.Generator().manual_seed(0))
        gradients = []
        for draw in exponential_noise:
            codes = choose_classes(log_q, 2, draw)
            bound = topk_unlabelled_bound(log_q, codes, f.gather(1, codes))
            gradients.append(torch.autograd.grad(bound.sum(), theta, retain_graph=True))
        return torch.stack([g[0] for g in gradients]).std(0).mean().item()

    assert spread(-1000.0) == pytest.approx(spread(0.0), rel=1e-6)


def test_chosen_classes_are_the_most_probable_and_one_more():
    _, log_q, _ = problem()
    exponential_noise = torch.empty_like(log_q).exponential_()
    for top_k in range(1, N_CLASSES):
        codes = choose_classes(log_q, top_k, exponential_noise)
        assert codes.shape == (N_ROWS, top_k + 1)
        assert torch.equal(codes[:, :-1], log_q.topk(top_k).indices)
        assert all(len(set(row)) == top_k + 1 for row in codes.tolist())


def test_the_drawn_class_follows_q_among_the_others():
    _, log_q, _ = problem()
    n = 20_000
    exponential_noise = torch.empty(n, N_CLASSES, dtype=torch.float64)
    exponential_noise.exponential_(generator=torch.Generator().manual_seed(0))
    for row in log_q.detach():
        codes = choose_classes(row.expand(n, -1), 2, exponential_noise)
        share = torch.bincount(codes[:, -1], minlength=N_CLASSES) / n
        expected = row.exp()
        expected[row.topk(2).indices] = 0
        expected /= expected.sum()
        error = (expected * (1 - expected) / n).sqrt()
        assert ((share - expected).abs() <= 4.5 * error).all()


def test_classes_without_any_probability():
    """Q of the others underflows to zero: value and gradient stay finite."""
    logits = torch.tensor([[200.0, 0.0, 1.0, -3.0]], requires_grad=True)
    log_q = logits.log_softmax(-1)
    assert log_q.exp()[0, 1:].sum() == 0
    codes = choose_classes(log_q, 1, torch.ones(1, 4))
    bound = topk_unlabelled_bound(log_q, codes, torch.full((1, 2), -5.0))
    bound.sum().backward()
    assert bound.item() == pytest.approx(-5.0)
    assert logits.grad.isfinite().all()


def test_when_the_sum_is_estimated():
    n = AUTO_FROM
    assert resolve_top_k("exact", 2, 1000) is None
    assert resolve_top_k("auto", 2, n - 1) is None
    assert resolve_top_k("auto", 2, n) == 2
    assert resolve_top_k("topk", 2, 4) == 2
    assert resolve_top_k("topk", 3, 4) is None  # three and a draw are all
    assert resolve_top_k("auto", n, n) is None


def make_batch(n_labelled=3, n=9, n_classes=6):
    g = torch.Generator().manual_seed(0)
    model = M2Module(
        4, [1 / n_classes] * n_classes, 2, (8,), "gaussian", seed=1
    ).double()
    x, noise = (torch.randn(n, m, generator=g, dtype=torch.float64) for m in (4, 2))
    weights = torch.rand(2, n, generator=g, dtype=torch.float64)
    parts = {"bound_weight": weights[0], "target_weight": weights[1], "alpha": 2.0}
    return model, x, torch.arange(n_labelled), noise, parts


def test_bounds_of_chosen_classes_are_those_of_all():
    model, x, _, noise, _ = make_batch()
    codes = torch.randint(6, (9, 3), generator=torch.Generator().manual_seed(0))
    chosen = model.class_bounds(x, noise, codes)
    torch.testing.assert_close(chosen, model.class_bounds(x, noise).gather(1, codes))


def test_the_loss_is_estimated_without_bias():
    """The whole loss of a model, value and every gradient, over many draws."""
    model, x, codes, noise, parts = make_batch()

    def gradients(**options):
        model.zero_grad()
        loss = ssvae_loss(model, x, model(x), codes, noise, **parts, **options)
        loss.total.backward()
        flat = [p.grad.flatten() for p in model.parameters()]
        return torch.cat([loss.total.detach()[None], *flat])

    exponential_noise = torch.empty(1500, 6, 6, dtype=torch.float64)
    exponential_noise.exponential_(generator=torch.Generator().manual_seed(1))
    estimates = torch.stack(
        [gradients(top_k=2, exponential_noise=draw) for draw in exponential_noise]
    )
    error = estimates.std(0) / len(exponential_noise) ** 0.5
    deviation = (estimates.mean(0) - gradients()).abs()
    assert (deviation <= 5 * error + 1e-9).all()
    assert (error[1:] > 0).any()  # it is an estimate


@pytest.mark.slow
def test_all_classes_but_one_are_summed_exactly():
    X, truth = make_blobs(120, 5, centers=4, random_state=0)
    y = hide(truth, 5)
    fits = [
        SSVAEClassifier(
            max_epochs=3, random_state=0, marginalization=how, top_k=top_k
        ).fit(X, y)
        for how, top_k in (("exact", 1), ("topk", 3), ("topk", 99), ("auto", 1))
    ]
    for one, other in itertools.pairwise(fits):
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    few = SSVAEClassifier(
        max_epochs=3, random_state=0, marginalization="topk", top_k=1
    ).fit(X, y)
    assert (few.predict_proba(X) != fits[0].predict_proba(X)).any()


@pytest.mark.slow
def test_many_classes_are_learnt_as_well():
    X, truth = make_blobs(3000, 10, centers=40, cluster_std=2.5, random_state=0)
    y = hide(truth, 5)
    scores = {
        how: SSVAEClassifier(max_epochs=8, random_state=0, marginalization=how)
        .fit(X, y)
        .score(X, truth)
        for how in ("exact", "auto")
    }
    assert scores["auto"] > scores["exact"] - 0.02
    assert scores["auto"] > 0.8


def test_bound_rows():
    assert resolve_bound_rows(None, 10, 784) is None
    assert resolve_bound_rows(5, 10, 784) == 5
    assert resolve_bound_rows("auto", 10, 64) == 64
    assert resolve_bound_rows("auto", 10, 784) == 64
    assert resolve_bound_rows("auto", 10, 2000) == 2**19 // 20_000
    assert resolve_bound_rows("auto", 100, 10_000) == 16
