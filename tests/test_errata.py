"""The post's formulas beside the right ones, and where the printed ones fail.

The numbers are those of the errata table in docs/model.md. The post is "Some notes on
the Semi-Supervised Learning of Variational Autoencoders" (2019-09-10).
"""

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from test_objective import PRIOR, log_evidence, make_model, make_rows
from torch import nn

from sk_ssvae.likelihoods import BernoulliVector, DiagonalNormal
from sk_ssvae.model import M2
from sk_ssvae.objective import class_bounds, gaussian_kl, unlabelled_bound


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
    # reading sigma as a variance leaves the missing half
    printed = -(np.log(sigma**2) + 1 - sigma**2 - mu**2)
    assert printed == pytest.approx(2 * exact_kl(mu, sigma), rel=1e-6)


def pieces(likelihood="bernoulli"):
    """Return what the bounds are made of, for a few rows and one draw of noise."""
    model, x = make_model(likelihood, latent_size=2), make_rows(likelihood)
    noise = torch.randn(
        len(x), 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    with torch.no_grad():
        q_z = model.posterior_z(x[:, None], model.classes)
        z = q_z.rsample(noise[:, None])
        log_x = model.likelihood_x(z, model.classes).log_prob(x[:, None])
        log_q = model(x)
        ours = unlabelled_bound(log_q, class_bounds(model, x, noise))
    return model, x, z, log_x, log_q, gaussian_kl(q_z).detach(), ours


def test_3_the_kl_of_z_is_weighted_by_the_class_probabilities():
    model, _, _, log_x, log_q, kl, ours = pieces()
    q = log_q.exp()
    without_kl = (q * (log_x + model.log_prior - log_q)).sum(1)
    torch.testing.assert_close(without_kl - (q * kl).sum(1), ours)
    printed = without_kl - kl.sum(1)
    assert (printed < ours - 0.01).all()  # up to n_classes times too much penalty
    # with n_classes equal posteriors, exactly n_classes times
    flat = torch.full_like(q, 1 / len(PRIOR))
    torch.testing.assert_close(
        kl[:, :1].expand_as(kl).sum(1), len(PRIOR) * (flat * kl[:, :1]).sum(1)
    )


def test_4_the_entropy_of_the_class_has_a_logarithm():
    q = np.array([0.7, 0.2, 0.1])
    prior = np.array(PRIOR)
    right = stats.entropy(q, prior)
    printed = (q * (np.exp(q) - np.log(prior))).sum()
    assert (q * (np.log(q) - np.log(prior))).sum() == pytest.approx(right)
    assert printed > right + 1
    # minimised by the uniform q, whatever the prior: no divergence from it
    at_prior = (prior * (np.exp(prior) - np.log(prior))).sum()
    assert at_prior > 0
    assert stats.entropy(prior, prior) == 0


def test_5_the_mean_of_the_logarithms_not_the_logarithm_of_the_mean():
    model, x, z, log_x, log_q, _, _ = pieces()
    q = log_q.exp()
    mean = (q[:, :, None] * model.likelihood_x(z, model.classes).mean.detach()).sum(1)
    printed = BernoulliVector(mean.logit()).log_prob(x)
    right = (q * log_x).sum(1)
    assert (printed > right + 1e-3).all()  # Jensen: too optimistic, so no bound


def test_5_what_is_printed_exceeds_the_evidence():
    """A decoder that tells the classes apart, a q(y | x) that does not."""
    model = M2(1, (0.5, 0.5), 1, (), "bernoulli", seed=0).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.decoder.from_b.weight.copy_(torch.tensor([[-8.0, 8.0]]))
        model.classifier.layers[0].weight.fill_(0.0)
    x = torch.ones(1, 1, dtype=torch.float64)
    log_evidence_x = np.log(0.5)  # one class always gives 1, the other always 0
    bounds = class_bounds(model, x, torch.zeros(1, 1, dtype=torch.float64))
    right = unlabelled_bound(model(x), bounds).item()
    assert right < log_evidence_x
    mean = model.likelihood_x(torch.zeros(2, 1).double(), model.classes).mean.mean()
    printed = torch.log(mean).item()
    assert printed == pytest.approx(log_evidence_x, abs=1e-3)
    assert printed > right + 3


def test_6_the_decoder_sees_z():
    model, _, z, _, _, _, _ = pieces()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        model.decoder(torch.zeros(1, 3, dtype=torch.float64), model.classes[0])
    near, far = model.decoder(z, model.classes), model.decoder(z + 1, model.classes)
    assert not torch.equal(near, far)


def test_7_the_decoder_sees_y():
    """Without y, p(x | y, z) = p(x | z) and L(x, y) can only tell classes by q(z)."""
    model, x, z, _, _, _, _ = pieces()
    decoded = model.decoder(z[:, :1], model.classes)
    assert (decoded[:, 0] - decoded[:, 1]).abs().min() > 0
    with torch.no_grad():
        model.decoder.from_b.weight.zero_()
        model.encoder.from_b.weight.zero_()
        noise = torch.zeros(len(x), 2, dtype=torch.float64)
        bounds = class_bounds(model, x, noise) - model.log_prior
    torch.testing.assert_close(bounds, bounds[:, :1].expand_as(bounds))


def test_8_the_labelled_bound_has_log_p_of_y():
    """Without it the bound is not one of log p(x, y): it can exceed it."""
    model = make_model("bernoulli")
    x = make_rows("bernoulli")[0]
    with torch.no_grad():  # q(z | x, y) = p(z | x, y): neither depends on the other
        for network in (model.encoder, model.decoder):
            for parameter in network.parameters():
                parameter.zero_()
        bounds = class_bounds(model, x[None], torch.zeros(1, 1, dtype=torch.float64))[0]
    for k in range(len(PRIOR)):
        exact = log_evidence(model, x, k)
        assert bounds[k].item() == pytest.approx(exact, abs=1e-6)
        assert (bounds[k] - model.log_prior[k]).item() > exact + 0.5


def test_9_a_loss_is_minus_the_bound():
    """The printed loss of a labelled row is a bound: minimising it makes it worse."""
    model, x = make_model("bernoulli", latent_size=2), make_rows("bernoulli")
    noise = torch.zeros(len(x), 2, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = class_bounds(model, x, noise)[:, 0].mean()
    before.backward()  # as printed: no minus sign
    optimizer.step()
    assert class_bounds(model, x, noise)[:, 0].mean() < before
    optimizer.zero_grad()
    again = class_bounds(model, x, noise)[:, 0].mean()
    (-again).backward()
    optimizer.step()
    assert class_bounds(model, x, noise)[:, 0].mean() > again


def test_10_softmax_once():
    """CrossEntropyLoss takes logits; of probabilities it is never below 0.55 here."""
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


def test_12_reconstruction_is_a_sum_over_features():
    """Averaging it while the KL is summed divides its weight by n_features."""
    model, x, z, log_x, _, _, _ = pieces()
    mean = model.likelihood_x(z, model.classes).mean[:, 0].detach()
    printed = -nn.BCELoss(reduction="none")(mean, x).mean(1)
    torch.testing.assert_close(printed * x.shape[1], log_x[:, 0])


def test_13_the_log_likelihood_has_a_logarithm():
    """Eq. "fully specified" has pi_j p(x | z): with it the loss is bounded by 1."""
    model, _, _, log_x, log_q, kl, ours = pieces()
    q = log_q.exp()
    rest = (q * (model.log_prior - log_q - kl)).sum(1)
    torch.testing.assert_close((q * log_x).sum(1) + rest, ours)
    assert ((q * log_x.exp()).sum(1) + rest > ours + 0.5).all()


def test_14_y_is_summed_not_integrated():
    """p(x) = sum_y p(y) integral of p(x | y, z) p(z), and it sums to 1 over all x."""
    model = make_model("bernoulli")
    rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)
    total = sum(
        np.exp(log_evidence(model, row, k)) for row in rows for k in range(len(PRIOR))
    )
    assert total == pytest.approx(1, abs=1e-8)


def test_15_a_prior_of_one_is_no_distribution():
    """y_prior = 1 drops log p(y), a constant n_classes-fold too optimistic."""
    model, _, _, _, log_q, _, ours = pieces()
    q = log_q.exp()
    printed = ours - (q * model.log_prior).sum(1)
    torch.testing.assert_close(model.log_prior.exp().sum().item(), 1.0)
    assert (printed > ours).all()


def test_16_a_batch_is_reduced_by_its_mean():
    """torch.sum without an axis adds up the rows: the KL would grow with the batch."""
    _, _, _, _, _, kl, _ = pieces()
    twice = torch.cat([kl, kl])
    assert twice.sum().item() == pytest.approx(2 * kl.sum().item())
    assert twice.mean().item() == pytest.approx(kl.mean().item())
