"""The objective: schedules, random draws, and what it passes to the loss."""

from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
import torch
from exact_m2 import N_CLASSES, N_FEATURES, make_model

from sk_ssvae.models.bounds import unlabelled_bound
from sk_ssvae.models.m1 import M1Module
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.models.sdgm import SDGMModule
from sk_ssvae.training.batches import MixedBatches, OrderedBatches
from sk_ssvae.training.loss import ssvae_loss
from sk_ssvae.training.objective import (
    Objective,
    kl_warm_up,
    resolve_alpha,
    teacher_decay,
)
from sk_ssvae.training.rows import Rows


def make_rows(n=12, n_labelled=4):
    rng = np.random.RandomState(0)
    codes = np.full(n, -1)
    codes[:n_labelled] = np.arange(n_labelled) % N_CLASSES
    soft_targets = rng.dirichlet(np.ones(N_CLASSES), n)
    return Rows(rng.randn(n, N_FEATURES), codes, soft_targets=soft_targets)


def generator():
    return torch.Generator().manual_seed(5)


def normal_draws(g, *shape):
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def test_teacher_decay_falls_linearly_to_a_half():
    assert teacher_decay(0.0) == 1.0
    assert teacher_decay(0.175) == pytest.approx(0.75)
    assert teacher_decay(0.35) == pytest.approx(0.5)
    assert teacher_decay(1.0) == 0.5


def test_kl_warm_up_rises_linearly_to_one():
    assert [kl_warm_up(p, 0.4) for p in (0, 0.1, 0.4, 1)] == [0, 0.25, 1, 1]


@pytest.mark.parametrize(
    ("alpha", "n_columns", "expected"),
    [("auto", 1, 30.0), ("auto", 750, 30.0), ("auto", 7500, 300.0), (7, 7500, 7.0)],
)
def test_the_weight_of_labels_grows_with_the_number_of_columns(
    alpha, n_columns, expected
):
    assert resolve_alpha(alpha, n_columns) == pytest.approx(expected)


def test_objectives_are_immutable_values():
    objective = Objective(alpha=2.0, top_k=3)
    assert objective == Objective(**asdict(objective))
    with pytest.raises(FrozenInstanceError):
        objective.alpha = 1.0


def test_training_loss_passes_weights_schedules_and_draws_to_the_formula():
    model = make_model("gaussian", latent_size=2)
    inputs, codes = next(iter(MixedBatches(make_rows(), 12, seed=0)))
    objective = Objective(alpha=0.7, teacher_weight=2.0, entropy_weight=0.4)
    ours, log_q_y = objective.training_loss(
        model, inputs, codes, generator=generator(), progress=0.175
    )
    x = inputs["x"]
    expected = ssvae_loss(
        model,
        x,
        model(x),
        codes,
        normal_draws(generator(), len(x), 2),
        bound_weight=inputs["bound_weight"],
        target_weight=inputs["target_weight"],
        soft_targets=inputs["soft_targets"],
        teacher_weight=2.0 * 0.75,
        alpha=0.7,
        entropy_weight=0.4,
    )
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(log_q_y, model(x))


def test_soft_targets_without_weights_have_no_effect():
    model = make_model("gaussian", latent_size=2)
    inputs, codes = next(iter(MixedBatches(make_rows(), 12, seed=0)))
    objective = Objective(teacher_weight=0.0, entropy_weight=0.3)
    losses = [
        objective.training_loss(
            model, parts, codes, generator=generator(), progress=0.0
        )[0]
        for parts in (inputs, {k: inputs[k] for k in inputs if k != "soft_targets"})
    ]
    assert all(map(torch.equal, *losses))


def test_draws_of_the_class_come_first_and_those_of_the_direction_last():
    """Other terms of the loss do not depend on whether a term is in use."""
    model = make_model("gaussian", latent_size=2)
    inputs, codes = next(iter(MixedBatches(make_rows(), 12, seed=0)))
    common = {"generator": generator(), "progress": 0.5}
    plain, _ = Objective().training_loss(model, inputs, codes, **common)
    common["generator"] = generator()
    adversarial, _ = Objective(adversarial_weight=1.0).training_loss(
        model, inputs, codes, **common
    )
    assert torch.equal(plain.bound, adversarial.bound)
    assert plain.adversarial == 0 < adversarial.adversarial

    calls = []

    def formula(*args, **kwargs):
        calls.append((args, kwargs))
        return ssvae_loss(*args, **kwargs)

    Objective(top_k=1).training_loss(
        model,
        inputs,
        codes,
        generator=generator(),
        progress=0.5,
        loss_function=formula,
    )
    (_, _, _, _, noise), options = calls[0]
    g, n_unlabelled = generator(), len(inputs["x"]) - len(codes)
    exponential = torch.empty(n_unlabelled, N_CLASSES, dtype=torch.float64)
    exponential.exponential_(generator=g)
    assert torch.equal(options["exponential_noise"], exponential)
    assert torch.equal(noise, normal_draws(g, len(inputs["x"]), 2))


def test_validation_loss_is_minus_the_mean_bound():
    model, rows = make_model("gaussian", latent_size=2), make_rows()
    inputs, _ = next(iter(OrderedBatches(rows, 100)))
    ours, log_q_y = Objective(alpha=9.0, top_k=1).validation_loss(
        model, inputs, generator=generator()
    )
    noise = normal_draws(generator(), len(rows), 2)
    bounds = model.class_bounds(inputs["x"], noise)
    expected = -unlabelled_bound(model(inputs["x"]), bounds).mean()
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(log_q_y, model(inputs["x"]))


@pytest.mark.parametrize("module_class", [M2Module, SDGMModule])
def test_validation_loss_in_chunks_of_rows_is_the_same(module_class, monkeypatch):
    prior, rows = (1 / N_CLASSES,) * N_CLASSES, make_rows()
    model = module_class(N_FEATURES, prior, 2, (7,), "gaussian", seed=0).double()
    inputs, _ = next(iter(OrderedBatches(rows, 100)))
    losses = []
    for cells in (10**9, 3 * N_CLASSES * N_FEATURES):
        monkeypatch.setattr("sk_ssvae.training.objective.BOUND_CELLS", cells)
        loss, _ = Objective().validation_loss(model, inputs, generator=generator())
        losses.append(loss)
    torch.testing.assert_close(*losses)


def test_losses_of_an_unsupervised_model():
    model = M1Module(N_FEATURES, (1.0,), 2, (7,), "gaussian", seed=0).double()
    rows = Rows(np.random.RandomState(0).randn(8, N_FEATURES), np.full(8, -1))
    inputs, codes = next(iter(MixedBatches(rows, 8, seed=0)))
    ours, log_q_y = Objective(top_k=1, adversarial_weight=1.0).training_loss(
        model, inputs, codes, generator=generator(), progress=0.1, kl_weight=0.25
    )
    noise = normal_draws(generator(), 8, 2)
    log_likelihood, kl = model.row_terms(inputs["x"], noise)
    torch.testing.assert_close(ours.total, (0.25 * kl - log_likelihood).mean())
    torch.testing.assert_close(ours.bound, (log_likelihood - kl).mean())
    assert (log_q_y == 0).all()
    inputs, _ = next(iter(OrderedBatches(rows, 8)))
    loss, _ = Objective().validation_loss(model, inputs, generator=generator())
    log_likelihood, kl = model.row_terms(inputs["x"], noise)
    torch.testing.assert_close(loss, (kl - log_likelihood).mean())


def test_remedies_name_the_parameters():
    objective = Objective(alpha=30.0, teacher_weight=1.0, entropy_weight=0.3)
    assert objective.remedies(0.1, unsupervised=False) == (
        "Try a smaller learning_rate (it is 0.1) or smaller weights in the loss "
        "(alpha=30.0, teacher_weight=1.0, entropy_weight=0.3, adversarial_weight=0.0), "
        "and check X for extreme values."
    )
    assert objective.remedies(0.1, unsupervised=True) == (
        "Try a smaller learning_rate (it is 0.1), and check X for extreme values."
    )
