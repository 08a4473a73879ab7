"""The sum over classes, estimated from the most probable classes and a sample."""

import itertools

import numpy as np
import pytest
import torch
from few_labels import hide
from sklearn.datasets import make_blobs

from sk_ssvae import SSVAEClassifier
from sk_ssvae.models.bounds import unlabelled_bound
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.training.loss import ssvae_loss
from sk_ssvae.training.marginalization import (
    AUTO_MIN_CLASSES,
    AUTO_TOP_K,
    choose_classes,
    resolve_bound_rows,
    resolve_top_k,
    topk_unlabelled_bound,
)

N_ROWS, N_CLASSES = 5, 7


def problem(seed=0, n_classes=N_CLASSES):
    """Return parameters, with logits and bounds that depend on them."""
    g = torch.Generator().manual_seed(seed)
    theta = torch.randn(N_ROWS, n_classes, generator=g, dtype=torch.float64) * 1.5
    theta.requires_grad_()
    mix = torch.randn(n_classes, n_classes, generator=g, dtype=torch.float64)
    return theta, theta.log_softmax(-1), torch.tanh(theta @ mix) * 4 - 2


@pytest.mark.parametrize("top_k", [1, 3, 5, 6])
def test_value_and_gradient_are_those_of_the_exact_sum(top_k):
    """Expectations over the sampled class, by enumeration."""
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


def test_gradient_is_biased_without_the_score_term():
    """The test above is able to fail."""
    theta, log_q, bounds = problem()
    exact = unlabelled_bound(log_q, bounds)
    (exact_gradient,) = torch.autograd.grad(exact.sum(), theta, retain_graph=True)
    fixed = (log_q.exp().detach() * (bounds - log_q)).sum(-1)
    torch.testing.assert_close(fixed, exact)
    (g,) = torch.autograd.grad(fixed.sum(), theta)
    assert (g - exact_gradient).abs().max() > 0.1


def test_baseline_removes_the_variance_from_a_constant():
    def spread(shift):
        theta, log_q, bounds = problem(seed=1)
        f = bounds + shift  # a constant has no effect on the exact gradient
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


def test_sampled_class_follows_q_among_the_others():
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


def test_value_and_gradient_are_finite_at_zero_probabilities():
    logits = torch.tensor([[200.0, 0.0, 1.0, -3.0]], requires_grad=True)
    log_q = logits.log_softmax(-1)
    assert log_q.exp()[0, 1:].sum() == 0
    codes = choose_classes(log_q, 1, torch.ones(1, 4))
    bound = topk_unlabelled_bound(log_q, codes, torch.full((1, 2), -5.0))
    bound.sum().backward()
    assert bound.item() == pytest.approx(-5.0)
    assert logits.grad.isfinite().all()


def test_number_of_classes_that_are_summed_exactly():
    assert resolve_top_k("exact", 1000) is None
    assert resolve_top_k("auto", AUTO_MIN_CLASSES - 1) is None
    assert resolve_top_k("auto", AUTO_MIN_CLASSES) == AUTO_TOP_K == 8
    assert resolve_top_k(2, 4) == 2
    assert resolve_top_k(np.int8(2), 200) == 2
    assert resolve_top_k(3, 4) is None  # three and a sample are all classes


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


def test_loss_of_a_model_is_estimated_without_bias():
    """Its value and every gradient, over many draws."""
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
        SSVAEClassifier(max_epochs=3, random_state=0, marginalization=k).fit(X, y)
        for k in ("exact", 3, 99, "auto")
    ]
    for one, other in itertools.pairwise(fits):
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    few = SSVAEClassifier(max_epochs=3, random_state=0, marginalization=1).fit(X, y)
    assert (few.predict_proba(X) != fits[0].predict_proba(X)).any()


@pytest.mark.slow
def test_accuracy_with_many_classes_is_that_of_the_exact_sum():
    X, truth = make_blobs(3000, 10, centers=40, cluster_std=2.5, random_state=0)
    y = hide(truth, 5)
    scores = {
        k: SSVAEClassifier(max_epochs=8, random_state=0, marginalization=k)
        .fit(X, y)
        .score(X, truth)
        for k in ("exact", "auto")
    }
    assert scores["auto"] > scores["exact"] - 0.02
    assert scores["auto"] > 0.8


def test_number_of_rows_in_the_bound():
    assert resolve_bound_rows(None, 10, 784) is None
    assert resolve_bound_rows(5, 10, 784) == 5
    assert resolve_bound_rows("auto", 10, 64) == 64
    assert resolve_bound_rows("auto", 10, 784) == 64
    assert resolve_bound_rows("auto", 10, 2000) == 2**19 // 20_000
    assert resolve_bound_rows("auto", 100, 10_000) == 16
