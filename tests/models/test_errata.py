"""Tests of the errata table in docs/model.md: printed formulas and correct ones.

The numbers are those of the table. The printed formulas are from the blog post "Some
notes on the Semi-Supervised Learning of Variational Autoencoders" (2019-09-10).
"""

import numpy as np
import pytest
import torch
from exact_m2 import (
    N_FEATURES,
    PRIOR,
    batch,
    exact_labelled_bound,
    log_evidence,
    loss,
    make_model,
    make_rows,
)
from scipy import integrate, stats
from torch import nn

from sk_ssvae.models.bounds import gaussian_kl, unlabelled_bound
from sk_ssvae.models.likelihoods import BernoulliVector, DiagonalNormal
from sk_ssvae.models.m2 import M2Module


def exact_kl(mu, sigma):
    q = stats.norm(mu, sigma)
    return integrate.quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)),
        *q.ppf([1e-14, 1 - 1e-14]),
    )[0]


def test_1_noise_is_scaled_by_the_standard_deviation():
    logvar = torch.full((200_000,), np.log(0.25))
    eps = torch.randn(len(logvar), generator=torch.Generator().manual_seed(0))
    printed = eps * torch.exp(logvar)
    ours = DiagonalNormal(torch.zeros(()), 0.5 * logvar).rsample(eps)
    assert ours.std().item() == pytest.approx(0.5, rel=0.01)
    assert printed.std().item() == pytest.approx(0.25, rel=0.01)


def test_2_the_kl_has_a_half_and_sigma_is_a_standard_deviation():
    mu, sigma = 1.5, 0.4
    printed = -(np.log(sigma) + 1 - sigma - mu**2)
    one = torch.ones(1, dtype=torch.float64)
    ours = gaussian_kl(DiagonalNormal(mu * one, np.log(sigma) * one)).item()
    assert ours == pytest.approx(exact_kl(mu, sigma), rel=1e-6)
    assert abs(printed - exact_kl(mu, sigma)) > 0.1
    # with sigma as a variance, only the factor 1/2 is missing
    printed = -(np.log(sigma**2) + 1 - sigma**2 - mu**2)
    assert printed == pytest.approx(2 * exact_kl(mu, sigma), rel=1e-6)


def bound_terms(likelihood="bernoulli"):
    """Return the terms of the bounds, for a few rows and one draw of noise."""
    model, x = make_model(likelihood, latent_size=2), make_rows(likelihood)
    noise = torch.randn(
        len(x), 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    with torch.no_grad():
        q_z = model.posterior_z(x[:, None], model.classes)
        z = q_z.rsample(noise[:, None])
        log_x = model.likelihood_x(z, model.classes).log_prob(x[:, None])
        log_q = model(x)
        ours = unlabelled_bound(log_q, model.class_bounds(x, noise))
    return model, x, z, log_x, log_q, gaussian_kl(q_z).detach(), ours


def test_3_the_kl_of_z_is_weighted_by_the_class_probabilities():
    model, x, _, log_x, log_q, kl, ours = bound_terms()
    q = log_q.exp()
    without_kl = (q * (log_x + model.log_prior - log_q)).sum(1)
    torch.testing.assert_close(without_kl - (q * kl).sum(1), ours)
    printed = without_kl - kl.sum(1)
    assert (printed < ours - 0.01).all()
    with torch.no_grad():  # if q(z | x, y) ignores y, n_classes times too large
        model.encoder.from_b.zero_()
        same = gaussian_kl(model.posterior_z(x[:, None], model.classes))
    torch.testing.assert_close(same.sum(1), len(PRIOR) * (q * same).sum(1))
    # if q puts its mass on a class of small KL, the ratio is unbounded
    q, kl = torch.tensor([1 - 1e-6, 1e-6]), torch.tensor([1e-3, 5.0])
    assert kl.sum() / (q * kl).sum() > 1000


def test_4_the_entropy_of_the_class_has_a_logarithm():
    prior = np.array(PRIOR)

    def correct(q):
        return (q * (np.log(q) - np.log(prior))).sum()

    def printed(q):
        return (q * (np.exp(q) - np.log(prior))).sum()

    q = np.array([0.7, 0.2, 0.1])
    assert correct(q) == pytest.approx(stats.entropy(q, prior))
    assert correct(prior) == 0
    # not a divergence from the prior: neither zero nor minimal there
    elsewhere = np.array([0.474, 0.332, 0.194])
    assert printed(prior) > printed(elsewhere) > 1
    assert correct(elsewhere) > correct(prior)
    # if the prior is uniform, it is smallest there, but not zero
    prior = np.full(3, 1 / 3)
    others = np.random.RandomState(0).dirichlet(np.ones(3), 1000)
    assert min(map(printed, others)) > printed(prior) > 1


def test_5_the_bound_is_a_mean_of_logarithms_not_the_logarithm_of_a_mean():
    model, x, z, log_x, log_q, _, _ = bound_terms()
    q = log_q.exp()
    mean = (q[:, :, None] * model.likelihood_x(z, model.classes).mean.detach()).sum(1)
    printed = BernoulliVector(mean.logit()).log_prob(x)
    correct = (q * log_x).sum(1)
    assert (printed > correct + 1e-3).all()  # by Jensen's inequality, so not a bound


def test_5_the_printed_value_exceeds_the_evidence():
    """With a decoder that depends strongly on y, and an uncertain q(y | x)."""
    model = M2Module(1, (0.5, 0.5), 1, (), "bernoulli", seed=0).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.decoder.from_b.copy_(torch.tensor([[-8.0], [8.0]]))
        model.classifier.layers[0].bias.copy_(torch.tensor([0.0, 0.8]))
        x, z = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
        log_q = model(x)
        correct = unlabelled_bound(log_q, model.class_bounds(x, z)).item()
        mean = model.likelihood_x(z[:, None], model.classes).mean[0, :, 0]
    log_evidence_x = np.log(0.5)  # p(x | y) is 1 for one class, 0 for the other
    q = log_q.exp()[0]
    kl_of_y = (q * (q.log() - np.log(0.5))).sum().item()
    printed = torch.log((q * mean).sum()).item() - kl_of_y  # the KL of z is 0
    assert correct < log_evidence_x < printed - 0.2


def test_6_the_decoder_is_a_function_of_z():
    model, _, z, _, _, _, _ = bound_terms()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model.decoder(torch.zeros(1, 3, dtype=torch.float64), model.classes[0])
    near, far = model.decoder(z, model.classes), model.decoder(z + 1, model.classes)
    assert not torch.equal(near, far)


def test_7_the_decoder_is_a_function_of_y():
    """Without y, p(x | y, z) = p(x | z), and L(x, y) depends on y only through q(z)."""
    model, x, z, _, _, _, _ = bound_terms()
    decoded = model.decoder(z[:, :1], model.classes)
    assert (decoded[:, 0] - decoded[:, 1]).abs().min() > 0
    with torch.no_grad():
        model.decoder.from_b.zero_()
        model.encoder.from_b.zero_()
        noise = torch.zeros(len(x), 2, dtype=torch.float64)
        bounds = model.class_bounds(x, noise) - model.log_prior
    torch.testing.assert_close(bounds, bounds[:, :1].expand_as(bounds))


def test_8_with_log_q_of_y_instead_of_log_p_of_y_there_is_no_bound():
    """Where q(y | x) > p(y) the printed value can exceed log p(x, y)."""
    model = make_model("bernoulli")
    x = make_rows("bernoulli")[0]
    with torch.no_grad():
        for network in (model.encoder, model.decoder):  # q(z | x, y) = p(z | x, y)
            for parameter in network.parameters():
                parameter.zero_()
        model.classifier.layers[-1].bias.copy_(torch.tensor([0.0, 0.0, 50.0]))
        bounds = model.class_bounds(x[None], torch.zeros(1, 1).double())[0]
        log_q = model(x[None])[0]
    exact = log_evidence(model, x, 2)
    assert bounds[2].item() == pytest.approx(exact, abs=1e-6)
    printed = bounds[2] - model.log_prior[2] + log_q[2]
    assert printed.item() > exact + 1


def test_9_the_loss_is_minus_the_bound():
    """The printed loss is the bound itself, and minimising it lowers the bound."""
    model, x = make_model("bernoulli", latent_size=2), make_rows("bernoulli")
    noise = torch.zeros(len(x), 2, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = model.class_bounds(x, noise)[:, 0].mean()
    before.backward()  # as printed: no minus sign
    optimizer.step()
    assert model.class_bounds(x, noise)[:, 0].mean() < before
    optimizer.zero_grad()
    again = model.class_bounds(x, noise)[:, 0].mean()
    (-again).backward()
    optimizer.step()
    assert model.class_bounds(x, noise)[:, 0].mean() > again


def test_10_softmax_is_applied_once():
    """CrossEntropyLoss takes logits; for probabilities it is at least 0.55 here."""
    certain = torch.tensor([[1.0, 0.0, 0.0]])
    printed = nn.CrossEntropyLoss()(certain, torch.tensor([0])).item()
    assert printed == pytest.approx(-np.log(np.e / (np.e + 2)))
    logits = torch.tensor([[30.0, 0.0, 0.0]])
    assert nn.CrossEntropyLoss()(logits, torch.tensor([0])).item() < 1e-6
    model = make_model("bernoulli")
    x = make_rows("bernoulli")
    total = model(x).exp().sum(1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_11_the_classifier_has_an_output_for_each_class():
    for latent_size in (1, 5):
        model = make_model("bernoulli", latent_size)
        assert model(make_rows("bernoulli")).shape == (4, len(PRIOR))


def test_12_the_reconstruction_term_is_a_sum_over_features():
    """Averaging it while the KL is summed divides its weight by n_features."""
    model, x, z, log_x, _, _, _ = bound_terms()
    mean = model.likelihood_x(z, model.classes).mean[:, 0].detach()
    printed = -nn.BCELoss(reduction="none")(mean, x).mean(1)
    torch.testing.assert_close(printed * x.shape[1], log_x[:, 0])


def test_13_the_log_likelihood_has_a_logarithm():
    """The printed term q_j p(x | z) lies between 0 and 1 for binary rows."""
    model, _, _, log_x, log_q, kl, ours = bound_terms()
    q = log_q.exp()
    rest = (q * (model.log_prior - log_q - kl)).sum(1)
    torch.testing.assert_close((q * log_x).sum(1) + rest, ours)
    printed = (q * log_x.exp()).sum(1)
    assert ((printed > 0) & (printed < 1)).all()
    assert (printed + rest > ours + 0.5).all()


def test_14_y_is_summed_not_integrated():
    """Then p(x) = sum_y p(y) integral of p(x | y, z) p(z) sums to 1 over all x."""
    model = make_model("bernoulli")
    rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)
    total = sum(
        np.exp(log_evidence(model, row, k)) for row in rows for k in range(len(PRIOR))
    )
    assert total == pytest.approx(1, abs=1e-8)


def test_15_a_constant_prior_of_one_is_not_a_distribution():
    with pytest.raises(TypeError, match="must be Tensor, not int"):
        torch.log(1)
    model = make_model("bernoulli")
    x = make_rows("bernoulli")[:1]
    with torch.no_grad():
        for network in (model.encoder, model.decoder, model.classifier):
            for parameter in network.parameters():
                parameter.zero_()
        model.classifier.layers[-1].bias.copy_(model.log_prior)  # q(y | x) = p(y)
        bounds = model.class_bounds(x, torch.zeros(1, 1).double())
        log_q = model(x)
        ours = unlabelled_bound(log_q, bounds).item()
        printed = unlabelled_bound(log_q, bounds - model.log_prior).item()
    exact = np.logaddexp.reduce([log_evidence(model, x[0], k) for k in range(3)])
    assert ours == pytest.approx(exact, abs=1e-6)
    assert printed == pytest.approx(exact + stats.entropy(PRIOR), abs=1e-6)


def test_16_a_batch_is_reduced_by_its_mean(monkeypatch):
    """With all rows repeated the loss is the same; the printed KL doubles."""
    monkeypatch.setattr(torch, "randn", lambda *n, **_: torch.zeros(*n).double())
    model, x = make_model("bernoulli", latent_size=2), make_rows("bernoulli")
    twice = torch.cat([x, x])
    once = loss(model, x, batch(model, x, 0), alpha=1.0)
    again = loss(model, twice, batch(model, twice, 0), alpha=1.0)
    torch.testing.assert_close(once.total, again.total)

    def printed(rows):
        return gaussian_kl(model.posterior_z(rows[:, None], model.classes)).sum()

    torch.testing.assert_close(printed(twice), 2 * printed(x))


def test_17_the_term_of_a_class_has_the_z_of_this_class():
    """With the draw of another class the sum over classes is not the bound."""
    model, x, z, log_x, log_q, kl, ours = bound_terms()
    q = log_q.exp()
    rest = (q * (model.log_prior - log_q - kl)).sum(1)
    torch.testing.assert_close((q * log_x).sum(1) + rest, ours)
    for k in range(len(PRIOR)):
        z_k = z[:, k : k + 1].expand_as(z)
        printed = model.likelihood_x(z_k, model.classes).log_prob(x[:, None])
        assert ((q * printed.detach()).sum(1) + rest - ours).abs().max() > 1e-3


def test_18_a_larger_bound_can_have_a_smaller_evidence():
    """The bound plus KL(q(z | x, y) || p(z | x, y)) is log p(x, y)."""
    model = M2Module(N_FEATURES, PRIOR, 1, (), "bernoulli", seed=0).double()
    x = torch.ones(N_FEATURES, dtype=torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():  # q(z | x, y) = p(z)
            parameter.zero_()
    bound, evidence = exact_labelled_bound(model, x, 0), log_evidence(model, x, 0)
    assert bound == pytest.approx(evidence, abs=1e-6)
    with torch.no_grad():
        model.decoder.from_a.weight.fill_(3.0)
    assert exact_labelled_bound(model, x, 0) < bound - 0.5
    assert log_evidence(model, x, 0) > evidence + 0.5
