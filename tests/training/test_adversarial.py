"""Virtual adversarial training against its definition."""

import numpy as np
import pytest
import torch
from exact_m2 import N_FEATURES, PRIOR, draws, make_model, make_rows

from sk_ssvae.data.layout import ColumnGroup, Layout
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.training.adversarial import adversarial_kl


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_direction_changes_predictions_most(likelihood):
    """No perturbation on a fine circle of the same radius changes q(y | x) more."""
    torch.manual_seed(0)
    model = M2Module(2, PRIOR, 1, (), likelihood, 3).double()
    x = torch.randn(3, 2, dtype=torch.float64)
    noise, direction = draws(3, 1), draws(3, 2, seed=1)
    radius = 0.02
    log_q = model(x)
    ours = adversarial_kl(model, x, log_q, noise, direction, radius)
    angle = torch.linspace(0, 2 * torch.pi, 721, dtype=torch.float64)
    circle = radius * torch.stack([angle.cos(), angle.sin()], 1)
    perturbed = model(x[:, None] + circle)
    on_circle = (log_q.exp()[:, None] * (log_q[:, None] - perturbed)).sum(-1)
    # One step of power iteration from a random start need not reach the maximum.
    assert (ours <= on_circle.max(1).values * (1 + 1e-6)).all()
    assert (ours >= on_circle.median(1).values).all()
    with torch.no_grad():
        estimates = [ours.detach()]
        for seed in range(2, 30):
            d = draws(3, 2, seed=seed)
            with torch.enable_grad():
                estimates.append(
                    adversarial_kl(model, x, log_q, noise, d, radius).detach()
                )
    best = torch.stack(estimates).max(0).values
    torch.testing.assert_close(best, on_circle.max(1).values, rtol=0.02, atol=0)


def test_gradient_is_that_of_the_predictions_at_the_perturbed_rows():
    """By finite differences over a weight, with q(y | x) and r held fixed."""
    model, x = make_model("gaussian", latent_size=1), make_rows("gaussian")
    noise, direction = draws(len(x), 1), draws(len(x), N_FEATURES, seed=1)

    def value():
        return adversarial_kl(model, x, model(x), noise, direction, 0.5).sum()

    value().backward()
    weight = model.classifier.layers[0].weight
    assert all(p.grad is None for p in model.decoder.parameters())
    log_q = model(x).detach()
    # r at the current weights
    probe = (1e-2 * torch.nn.functional.normalize(direction, dim=1)).requires_grad_()
    kl = (log_q.exp() * (log_q - model(x + probe))).sum()
    (gradient,) = torch.autograd.grad(kl, probe)
    perturbed = x + 0.5 * torch.nn.functional.normalize(gradient, dim=1)
    with torch.no_grad():
        for sign, values in ((1, []), (-1, [])):
            weight[2, 1] += sign * 1e-6
            values.append((log_q.exp() * (log_q - model(perturbed))).sum().item())
            weight[2, 1] -= sign * 1e-6
            if sign == 1:
                above = values[0]
            else:
                below = values[0]
    assert weight.grad[2, 1].item() == pytest.approx((above - below) / 2e-6, rel=1e-4)


def test_perturbations_have_the_unit_of_the_inputs():
    """A cell that an input is a multiple of is perturbed by as much less."""
    scale = np.array([0.2, 1.0, 5.0])
    groups = (ColumnGroup("gaussian", np.arange(3)),)
    scaled, plain = (
        M2Module(3, PRIOR, 1, (4,), Layout(groups, np.zeros(3), input_scale=s), 3)
        for s in (scale, None)
    )
    x, inputs = draws(6, 3).float(), draws(6, 3).float() * torch.tensor(scale).float()
    noise, direction = draws(6, 1).float(), draws(6, 3, seed=1).float()
    torch.testing.assert_close(scaled(x), plain(inputs))
    torch.testing.assert_close(
        adversarial_kl(scaled, x, scaled(x), noise, direction, 0.7),
        adversarial_kl(plain, inputs, plain(inputs), noise, direction, 0.7),
    )


def test_term_is_zero_for_constant_predictions():
    model, x = make_model("gaussian", latent_size=1), make_rows("gaussian")
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.zero_()
    kl = adversarial_kl(
        model, x, model(x), draws(4, 1), draws(4, N_FEATURES), radius=1.0
    )
    assert (kl.abs() < 1e-12).all()
    kl.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
