"""What replaces private functions of torch if they no longer exist."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from sk_ssvae.utils import torch_private
from sk_ssvae.utils.torch_private import (
    NORMALISATIONS,
    foreach_flag_non_finite_,
    standard_gamma,
)

KERNEL = "_amp_foreach_non_finite_check_and_unscale_"


@pytest.fixture
def fallback(monkeypatch):
    """`torch_private`, as imported where torch lacks private functions."""
    monkeypatch.delattr(torch, "_standard_gamma")
    monkeypatch.delattr(torch, KERNEL)
    monkeypatch.delattr(nn.modules.batchnorm, "_NormBase")
    path = Path(torch_private.__file__)
    spec = importlib.util.spec_from_file_location("without_private_functions", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.undo()
    return module


def test_functions_are_those_of_torch_if_it_has_them(fallback):
    assert standard_gamma is torch._standard_gamma
    assert foreach_flag_non_finite_ is getattr(torch, KERNEL)
    assert NORMALISATIONS is nn.modules.batchnorm._NormBase
    assert fallback.standard_gamma is fallback._standard_gamma
    assert fallback.foreach_flag_non_finite_ is fallback._foreach_flag_non_finite_
    assert isinstance(fallback.NORMALISATIONS, tuple)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fallback_draws_the_same_numbers(fallback, dtype, global_generators):
    shape = torch.logspace(-3, 4, 300, dtype=dtype).reshape(100, 3)
    shape[0, 0] = 0.0
    first, second = (torch.Generator().manual_seed(5) for _ in range(2))
    before = global_generators()
    for _ in range(2):  # the generators are advanced
        expected = standard_gamma(shape, generator=first)
        assert torch.equal(fallback.standard_gamma(shape, generator=second), expected)
    assert torch.equal(first.get_state(), second.get_state())
    assert global_generators() == before


@pytest.mark.parametrize("value", [1.0, 1e38, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("found", [0.0, 1.0])
def test_the_fallback_flags_the_same_values(fallback, value, place, found):
    one = torch.ones(())
    results = []
    for flag in (foreach_flag_non_finite_, fallback.foreach_flag_non_finite_):
        tensors = [torch.ones(()), torch.ones(3, 2), torch.ones(0, 4), torch.ones(5)]
        tensors[(0, 1, 3)[place]].view(-1)[-1] = value
        before = [tensor.clone() for tensor in tensors]
        found_inf = torch.tensor(found)
        flag(tensors, found_inf, one)
        for tensor, copy in zip(tensors, before, strict=True):
            assert torch.equal(tensor.nan_to_num(), copy.nan_to_num())
        results.append(float(found_inf))
    assert results[0] == results[1] == max(found, float(not math.isfinite(value)))


def test_the_fallback_knows_the_layers_with_running_statistics(fallback):
    kinds = [
        kind
        for kind in vars(nn).values()
        if isinstance(kind, type) and not kind.__name__.startswith("Lazy")
    ]
    found = {kind.__name__ for kind in kinds if issubclass(kind, NORMALISATIONS)}
    known = {k.__name__ for k in kinds if issubclass(k, fallback.NORMALISATIONS)}
    assert found == known
    assert len(known) == 7
    # A lazy layer becomes one of the others in the first forward pass.
    layer = nn.LazyBatchNorm1d()
    layer(torch.ones(2, 3))
    assert isinstance(layer, fallback.NORMALISATIONS)
