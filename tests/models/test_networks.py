"""Networks: inputs that are not concatenated, and initial weights."""

import math

import pytest
import torch
from torch import nn

from sk_ssvae.models.m2 import M2Module
from sk_ssvae.models.networks import (
    MLP,
    PairMLP,
    check_hidden_sizes,
    linear,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("hidden_sizes", [(), (5,), (5, 4)])
def test_a_pair_mlp_equals_an_mlp_on_the_concatenation(hidden_sizes):
    pair = PairMLP(3, 2, 6, hidden_sizes, generator=generator())
    plain = MLP(5, 6, hidden_sizes, generator=generator(1))
    linears = [m for m in plain.modules() if isinstance(m, nn.Linear)]
    rest = [m for m in pair.rest.modules() if isinstance(m, nn.Linear)]
    with torch.no_grad():
        linears[0].weight.copy_(torch.cat([pair.from_a.weight, pair.from_b.T], dim=1))
        linears[0].bias.copy_(pair.from_a.bias)
        for layer, source in zip(linears[1:], rest, strict=True):
            layer.load_state_dict(source.state_dict())
        a, b = torch.randn(7, 1, 3), torch.randn(4, 2)
        both = torch.cat([a.expand(7, 4, 3), b.expand(7, 4, 2)], dim=-1)
        torch.testing.assert_close(pair(a, b), plain(both))


@pytest.mark.parametrize("hidden_sizes", [(), (5,), (5, 4)])
def test_integers_stand_for_one_hot_vectors(hidden_sizes):
    pair = PairMLP(3, 4, 6, hidden_sizes, generator=generator())
    a, codes = torch.randn(7, 1, 3), torch.randint(4, (7, 2))
    torch.testing.assert_close(pair(a, codes), pair(a, torch.eye(4)[codes]))
    torch.testing.assert_close(pair(a), pair(a, torch.eye(4)))
    (by_code,) = torch.autograd.grad(pair(a, codes).sum(), pair.from_b)
    one_hot = torch.eye(4)[codes]
    (by_vector,) = torch.autograd.grad(pair(a, one_hot).sum(), pair.from_b)
    torch.testing.assert_close(by_code, by_vector)


@pytest.mark.parametrize("n_b", [2, 20])
@pytest.mark.parametrize("hidden_sizes", [(), (5,), (5, 4)])
def test_the_expected_output_is_a_weighted_sum_of_outputs(hidden_sizes, n_b):
    pair = PairMLP(3, n_b, 6, hidden_sizes, generator=generator())
    a, weights = torch.randn(7, 3), torch.rand(7, n_b).softmax(-1)
    with torch.inference_mode():
        expected = sum(weights[:, [k]] * pair(a, torch.eye(n_b)[k]) for k in range(n_b))
        output = pair.expected_output(a, weights)
    torch.testing.assert_close(output, expected)


def test_the_first_layer_maps_each_row_once():
    model = M2Module(3, [0.25] * 4, 2, (5,), "gaussian", seed=0)
    shapes = []
    model.encoder.from_a.register_forward_hook(
        lambda module, inputs, out: shapes.append(out.shape)
    )
    q_z = model.posterior_z(torch.randn(7, 3)[:, None], model.classes)
    assert q_z.mean.shape == (7, 4, 2)
    assert shapes == [(7, 1, 5)]


def test_the_module_returns_the_logarithm_of_posterior_y():
    model = M2Module(3, [0.25] * 4, 2, (5,), "gaussian", seed=0)
    x = torch.randn(7, 3)
    q_y = model.posterior_y(x)
    torch.testing.assert_close(model(x), q_y.logits)
    torch.testing.assert_close(model(x).exp(), model.classifier(x).softmax(-1))
    torch.testing.assert_close(q_y.probs.sum(-1), torch.ones(7))


def test_weights_have_pytorchs_default_distribution():
    layer = linear(400, 300, generator=generator())
    reference = nn.Linear(400, 300)
    for a, b in zip(layer.parameters(), reference.parameters(), strict=True):
        assert a.abs().max().item() <= 1 / 20
        assert a.std().item() == pytest.approx(b.std().item(), rel=0.1)
        assert a.std().item() == pytest.approx(1 / math.sqrt(3 * 400), rel=0.1)


def test_the_first_layer_of_a_pair_mlp_is_initialised_as_one_layer():
    pair = PairMLP(300, 100, 50, (40,), generator=generator())
    for weights in (pair.from_a.weight, pair.from_b, pair.from_a.bias):
        assert weights.abs().max().item() == pytest.approx(1 / 20, rel=0.1)


def test_initial_weights_depend_on_the_seed_alone():
    before = torch.random.get_rng_state()
    first = M2Module(3, [0.5, 0.5], 2, (4,), "gaussian", seed=5).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(99)
    again = M2Module(3, [0.5, 0.5], 2, (4,), "gaussian", seed=5).state_dict()
    other = M2Module(3, [0.5, 0.5], 2, (4,), "gaussian", seed=6).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(
        first["classifier.layers.0.weight"], other["classifier.layers.0.weight"]
    )


def test_hidden_sizes_must_be_positive_integers():
    assert check_hidden_sizes([3, 4]) == (3, 4)
    assert check_hidden_sizes(()) == ()
    for bad in ((0,), (-1, 2), (2.5,), (True,), ("8",)):
        with pytest.raises(ValueError, match="hidden_sizes must hold positive integ"):
            check_hidden_sizes(bad)
