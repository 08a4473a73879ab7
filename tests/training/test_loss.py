"""The loss against quadrature, enumeration, Monte Carlo and finite differences."""

from itertools import permutations

import numpy as np
import pytest
import torch
from exact_m2 import (
    N_CLASSES,
    N_FEATURES,
    PRIOR,
    batch,
    draws,
    exact_labelled_bound,
    log_evidence,
    loss,
    make_model,
    make_rows,
    mean_over_noise,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from torch.distributions import Normal, kl_divergence

from sk_ssvae.models.bounds import gaussian_kl, unlabelled_bound
from sk_ssvae.models.likelihoods import DiagonalNormal
from sk_ssvae.models.m1 import M1Module
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.training.batches import MixedBatches
from sk_ssvae.training.loss import cross_entropy, entropy, ssvae_loss
from sk_ssvae.training.rows import Rows


@given(st.lists(st.tuples(st.floats(-4, 4), st.floats(-3, 3)), min_size=1, max_size=4))
@settings(max_examples=30)
def test_kl_equals_torchs_and_the_integral(parameters):
    mean, log_scale = torch.tensor(parameters, dtype=torch.float64).T
    kl = gaussian_kl(DiagonalNormal(mean, log_scale))
    torchs = kl_divergence(Normal(mean, log_scale.exp()), Normal(0.0, 1.0)).sum()
    assert kl.item() == pytest.approx(torchs.item(), rel=1e-10, abs=1e-12)
    integral = 0.0
    for m, s in zip(mean.tolist(), log_scale.exp().tolist(), strict=True):
        q = stats.norm(m, s)
        integral += integrate.quad(
            lambda z, q=q: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)),
            *q.ppf([1e-14, 1 - 1e-14]),
        )[0]
    assert kl.item() == pytest.approx(integral, rel=1e-6, abs=1e-9)


def test_kl_is_zero_only_at_the_prior():
    zero = torch.zeros(3)
    assert gaussian_kl(DiagonalNormal(zero, zero)).item() == 0
    assert gaussian_kl(DiagonalNormal(zero + 0.1, zero)).item() > 0
    assert gaussian_kl(DiagonalNormal(zero, zero + 0.1)).item() > 0


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_labelled_bound_is_the_integral_over_z(likelihood):
    model, x = make_model(likelihood), make_rows(likelihood)
    for k in range(N_CLASSES):
        y = model.classes[k].expand(len(x), -1)
        log_prior = model.log_prior[k].expand(len(x))
        ours = mean_over_noise(
            lambda e, y=y, p=log_prior: model.labelled_bound(
                x, y, p, e.expand(len(x), 1)
            )
        )
        exact = [exact_labelled_bound(model, row, k) for row in x]
        np.testing.assert_allclose(ours, exact, rtol=1e-5)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_labelled_bound_is_unbiased_in_many_dimensions(likelihood):
    """Monte Carlo of log p(x, y, z) - log q(z | x, y), with torch's densities."""
    model, x = make_model(likelihood, latent_size=4), make_rows(likelihood, n=1)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(40_000, 4, generator=generator, dtype=torch.float64)
    y, log_prior = model.classes[1], model.log_prior[1]
    with torch.no_grad():
        ours = model.labelled_bound(x, y, log_prior, noise)
        q_z = model.posterior_z(x, y)
        q = Normal(q_z.mean, q_z.log_scale.exp())
        z = q.mean + q.stddev * torch.randn(
            noise.shape, generator=generator, dtype=torch.float64
        )
        terms = (
            model.likelihood_x(z, y).log_prob(x)
            + Normal(0.0, 1.0).log_prob(z).sum(-1)
            + log_prior
            - q.log_prob(z).sum(-1)
        )
    error = (ours.var() / len(ours) + terms.var() / len(terms)).sqrt().item()
    assert ours.mean().item() == pytest.approx(terms.mean().item(), abs=4 * error)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_class_bounds_is_a_loop_over_classes(likelihood):
    model, x = make_model(likelihood, latent_size=2), make_rows(likelihood)
    noise = torch.randn(len(x), 2, dtype=torch.float64)
    looped = [
        model.labelled_bound(
            x,
            model.classes[k].expand(len(x), -1),
            model.log_prior[k].expand(len(x)),
            noise,
        )
        for k in range(N_CLASSES)
    ]
    torch.testing.assert_close(model.class_bounds(x, noise), torch.stack(looped, 1))


def test_unlabelled_bound_is_the_enumeration():
    rng = np.random.RandomState(0)
    q = rng.dirichlet(np.ones(4), size=5)
    bounds = rng.randn(5, 4) * 10
    expected = [
        sum(q[i, y] * (bounds[i, y] - np.log(q[i, y])) for y in range(4))
        for i in range(5)
    ]
    ours = unlabelled_bound(torch.from_numpy(np.log(q)), torch.from_numpy(bounds))
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_bounds_are_below_the_evidence(likelihood):
    model, x = make_model(likelihood), make_rows(likelihood)
    log_q = model(x).detach()
    bounds = mean_over_noise(lambda e: model.class_bounds(x, e.expand(len(x), 1)))
    unlabelled = unlabelled_bound(log_q, torch.from_numpy(bounds)).numpy()
    evidence = np.array(
        [[log_evidence(model, row, k) for k in range(N_CLASSES)] for row in x]
    )
    assert (bounds < evidence).all()
    assert (unlabelled < np.logaddexp.reduce(evidence, axis=1)).all()


def test_unlabelled_bound_is_tight_for_the_true_posterior():
    """U(x) = log sum_y exp L(x, y) if q(y | x) is proportional to exp L(x, y)."""
    bounds = torch.tensor([[-3.0, -1.0, -2.0]], dtype=torch.float64)
    ours = unlabelled_bound(bounds.log_softmax(-1), bounds)
    torch.testing.assert_close(ours, bounds.logsumexp(-1))
    worse = unlabelled_bound((bounds * 0.9).log_softmax(-1), bounds)
    assert worse.item() < ours.item()


def test_cross_entropy_of_one_hot_targets_is_minus_log_q():
    log_q = torch.randn(4, 3, dtype=torch.float64).log_softmax(-1)
    codes = torch.tensor([0, 2, 1, 1])
    torch.testing.assert_close(
        cross_entropy(log_q, torch.eye(3, dtype=torch.float64)[codes]),
        torch.nn.functional.nll_loss(log_q, codes, reduction="none"),
    )


@pytest.mark.parametrize("n_labelled", [0, 2, 4])
def test_loss_is_the_weighted_sum_of_the_bounds(n_labelled):
    """Written out row by row from the definition, with the same noise."""
    model, x = make_model("gaussian", latent_size=2), make_rows("gaussian")
    parts = batch(model, x, n_labelled)
    rng = np.random.RandomState(1)
    v, w = rng.rand(len(x)), rng.rand(len(x))  # no two rows weigh the same
    weights = {"bound_weight": torch.tensor(v), "target_weight": torch.tensor(w)}
    ours = loss(
        model, x, parts | weights, alpha=0.7, teacher_weight=0.3, entropy_weight=0.2
    )
    noise = draws(len(x), 2)
    bounds, log_q = model.class_bounds(x, noise), model(x)
    bound = classification = teacher = torch.zeros((), dtype=torch.float64)
    entropies = torch.zeros((), dtype=torch.float64)
    for i in range(len(x)):
        if i < n_labelled:
            k = i % N_CLASSES
            bound = bound + v[i] * bounds[i, k]
            classification = classification - w[i] * log_q[i, k]
        else:
            q = log_q[i].exp()
            terms = [q[k] * (bounds[i, k] - log_q[i, k]) for k in range(N_CLASSES)]
            bound = bound + v[i] * sum(terms)
            teacher = (
                teacher
                - 0.3 * w[i] * (parts["soft_targets"][i - n_labelled] * log_q[i]).sum()
            )
            entropies = entropies - w[i] * sum(
                q[k] * log_q[i, k] for k in range(N_CLASSES)
            )
    torch.testing.assert_close(ours.bound, bound)
    torch.testing.assert_close(ours.classification, classification)
    torch.testing.assert_close(ours.teacher, teacher)
    torch.testing.assert_close(ours.entropy, 0.2 * entropies)
    total = -bound + 0.7 * (classification + teacher + 0.2 * entropies)
    torch.testing.assert_close(ours.total, total)


@pytest.mark.parametrize(
    ("n_labelled", "batch_size"), [(7, 6), (3, 1), (0, 8), (25, 8)]
)
def test_minibatches_estimate_the_whole_loss_without_bias(n_labelled, batch_size):
    """Loss and minibatches together, with weights, soft targets and confidence."""
    rng = np.random.RandomState(0)
    n, model = 25, make_model("gaussian", latent_size=1)
    codes = np.full(n, -1)
    codes[rng.choice(n, n_labelled, replace=False)] = np.arange(n_labelled) % N_CLASSES
    rows = Rows(
        rng.randn(n, N_FEATURES),
        codes,
        weight=rng.rand(n),
        soft_targets=rng.dirichlet(np.ones(N_CLASSES), n),
        confidence=rng.rand(n),
    )
    fixed = torch.zeros(n, 1, dtype=torch.float64)  # no noise but that of the rows
    with torch.no_grad():
        full = whole_loss(model, rows, fixed)
        estimates = torch.stack(
            [
                torch.stack([torch.stack(minibatch_loss(model, b)) for b in batches])
                for batches in (
                    MixedBatches(rows, batch_size, seed=s) for s in range(300)
                )
            ]
        )
    error = estimates.mean(1).std(0) / len(estimates) ** 0.5
    deviation = (estimates.mean((0, 1)) - torch.stack(full)).abs()
    assert (deviation <= 4.5 * error + 1e-9).all()


def whole_loss(model, rows, noise):
    """Return the loss of all rows in one call."""
    x = rows.x[rows.order]
    return ssvae_loss(
        model,
        x,
        model(x),
        rows.codes,
        noise,
        bound_weight=rows.bound_weight,
        target_weight=rows.target_weight,
        alpha=2.0,
        soft_targets=rows.soft_targets,
        teacher_weight=0.5,
    )


def minibatch_loss(model, minibatch):
    inputs, codes = minibatch
    x = inputs.pop("x")
    noise = torch.zeros(len(x), 1, dtype=torch.float64)
    return ssvae_loss(
        model, x, model(x), codes, noise, **inputs, alpha=2.0, teacher_weight=0.5
    )


def test_alpha_of_the_paper_and_of_the_discriminative_objective():
    """Kingma's 0.1 N for sums is 0.1 here; counting log q once per row, N_l / N."""
    model, x = make_model("gaussian", latent_size=2), make_rows("gaussian", n=6)
    n, n_labelled = 6, 2
    parts = batch(model, x, n_labelled)
    noise = draws(n, 2)
    bounds, log_q = model.class_bounds(x, noise), model(x)
    rows, codes = torch.arange(n_labelled), torch.arange(n_labelled)
    labelled = bounds[rows, codes]
    unlabelled = unlabelled_bound(log_q[n_labelled:], bounds[n_labelled:])
    log_q_true = log_q[rows, codes]

    # [M2] eq. 9: J^alpha = sum of -L and -U, plus alpha' E_labelled[-log q(y | x)],
    # with alpha' = 0.1 N; divided by N.
    sums = -labelled.sum() - unlabelled.sum() + 0.1 * n * (-log_q_true).mean()
    torch.testing.assert_close(loss(model, x, parts, alpha=0.1).total, sums / n)

    # Discriminative: log q(y | x) replaces log p(y) in the labelled bound.
    log_prior = model.log_prior[codes]
    expected = -(labelled - log_prior + log_q_true).sum() - unlabelled.sum()
    ours = loss(model, x, parts, alpha=n_labelled / n).total
    torch.testing.assert_close(ours - expected / n, -log_prior.sum() / n)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_gradient_reaches_every_parameter_and_is_right(likelihood):
    model, x = make_model(likelihood, latent_size=2), make_rows(likelihood)
    parts = batch(model, x, 2)
    loss(model, x, parts, alpha=0.5, teacher_weight=0.2).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
        flat, step = parameter.data.view(-1), 1e-6
        i = int(parameter.grad.abs().argmax())
        values = []
        for shift in (step, -2 * step):
            flat[i] += shift
            values.append(
                loss(model, x, parts, alpha=0.5, teacher_weight=0.2).total.item()
            )
        flat[i] += step
        slope = (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx(parameter.grad.view(-1)[i].item(), rel=1e-4)


def relabelled(model, order):
    """Return the same model with its classes permuted."""
    prior = tuple(PRIOR[k] for k in order)
    other = M2Module(N_FEATURES, prior, model.latent_size, (7,), "gaussian", 0).double()
    state = model.state_dict()
    last = [k for k in state if k.startswith("classifier.layers")][-2:]
    for name in last:  # rows of the classifier's last layer
        state[name] = state[name][order]
    for name in ("encoder.from_b", "decoder.from_b"):
        state[name] = state[name][order]
    state["log_prior"] = state["log_prior"][order]
    other.load_state_dict(state)
    return other


def test_loss_does_not_depend_on_the_order_of_classes():
    model, x = make_model("gaussian", latent_size=2), make_rows("gaussian")
    parts = batch(model, x, 2)
    order = [2, 0, 1]
    codes = torch.tensor([order.index(k) for k in parts["codes"]])
    permuted = parts | {"codes": codes, "soft_targets": parts["soft_targets"][:, order]}
    ours = loss(model, x, parts, alpha=0.4, teacher_weight=0.6)
    theirs = loss(relabelled(model, order), x, permuted, alpha=0.4, teacher_weight=0.6)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_bound_of_some_rows_is_an_unbiased_estimate():
    """The mean over all choices of m rows is the bound of all rows."""
    model, x = make_model("gaussian", latent_size=2), make_rows("gaussian")
    parts = batch(model, x, 1)
    rng = np.random.RandomState(2)
    v = torch.tensor(rng.rand(len(x)))
    noise = draws(len(x), 2)
    options = {"alpha": 0.7, "teacher_weight": 0.0}

    def bound_of(order, m):
        """Bound with the unlabelled rows in this order."""
        rows = [0, *(1 + i for i in order)]
        permuted = parts | {
            "bound_weight": v[rows],
            "soft_targets": parts["soft_targets"][list(order)],
        }
        return ssvae_loss(
            model,
            x[rows],
            model(x[rows]),
            noise=noise[rows],
            **permuted,
            **options,
            bound_rows=m,
        ).bound

    whole = bound_of(range(3), None)
    torch.testing.assert_close(bound_of(range(3), 3), whole)
    torch.testing.assert_close(bound_of(range(3), 99), whole)
    for m in (1, 2):
        orders = list(permutations(range(3)))
        mean = sum(bound_of(order, m) for order in orders) / len(orders)
        torch.testing.assert_close(mean, whole)
        assert not torch.isclose(bound_of(range(3), m), whole)


def test_loss_without_teacher_and_entropy_is_that_of_the_paper():
    model, x = make_model("gaussian", latent_size=2), make_rows("gaussian")
    parts = batch(model, x, 2)
    plain = loss(model, x, parts | {"soft_targets": None}, alpha=0.7)
    assert plain.teacher == plain.entropy == 0
    torch.testing.assert_close(plain.total, 0.7 * plain.classification - plain.bound)


def test_entropy_is_largest_for_the_uniform_distribution():
    log_q = torch.tensor([[1.0, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0]]).clamp_min(1e-30)
    expected = torch.tensor([0.0, np.log(3), np.log(2)], dtype=torch.float32)
    torch.testing.assert_close(entropy(log_q.log()), expected, atol=1e-6, rtol=0)


def test_adversarial_term_is_weighted_by_alpha():
    model, x = make_model("gaussian", latent_size=2), make_rows("gaussian")
    parts = batch(model, x, 2)
    kl = torch.tensor([1.0, 2.0, 3.0, 6.0]).double()
    adversarial = loss(model, x, parts, alpha=0.7, adversarial=kl)
    plain = loss(model, x, parts, alpha=0.7)
    assert adversarial.adversarial.item() == pytest.approx(3.0)
    assert (adversarial.total - plain.total).item() == pytest.approx(0.7 * 3.0)


def test_unsupervised_loss_is_minus_the_bound_with_a_weighted_kl():
    model = M1Module(N_FEATURES, (1.0,), 2, (7,), "gaussian", seed=0).double()
    x, noise = make_rows("gaussian"), draws(4, 2)
    weight = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    log_p, kl = model.row_terms(x, noise)
    parts = {
        "bound_weight": weight,
        "target_weight": weight,
        "alpha": 5.0,
        "codes": torch.empty(0, dtype=torch.int64),
    }
    full = ssvae_loss(model, x, torch.zeros(4, 1), noise=noise, **parts)
    assert full.total.item() == pytest.approx(-(weight @ (log_p - kl)).item())
    assert full.bound.item() == pytest.approx(-full.total.item())
    reduced = ssvae_loss(
        model, x, torch.zeros(4, 1), noise=noise, kl_weight=0.25, **parts
    )
    assert reduced.total.item() == pytest.approx(-(weight @ (log_p - kl / 4)).item())
    assert reduced.bound.item() == pytest.approx(full.bound.item())
