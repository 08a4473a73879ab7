"""Batch normalisation over several processes equals that of one process."""

import copy

import pytest
import torch
from several_processes import in_threads
from torch import nn

from sk_ssvae.training.batch_norm import batch_norm_layers, synchronized_batch_norm
from sk_ssvae.training.communication import SINGLE_PROCESS
from sk_ssvae.training.sharding import BatchShard

LAYERS = {
    "default": lambda: nn.BatchNorm1d(3),
    "not affine": lambda: nn.BatchNorm1d(3, affine=False),
    "cumulative": lambda: nn.BatchNorm1d(3, momentum=None),
    "no running statistics": lambda: nn.BatchNorm1d(3, track_running_stats=False),
    "large eps": lambda: nn.BatchNorm1d(3, eps=0.5, momentum=0.7),
}


def run(layer, x, weight, communicator=SINGLE_PROCESS):
    """Return outputs, gradients and buffers after two steps and an evaluation."""
    layer, x = copy.deepcopy(layer), x.clone().requires_grad_()
    shard = BatchShard(0, len(x), communicator.rank, communicator.world_size)
    part = shard.rows(x)
    with synchronized_batch_norm(layer, communicator):
        outputs = [layer(part), layer(3 * part.square() + 7)]
        loss = sum((shard.rows(weight) * out).sum() for out in outputs)
        loss.backward()
        outputs.append(layer.eval()(part))
    gradients = [x.grad, *(p.grad for p in layer.parameters())]
    return outputs, gradients, [*layer.buffers()]


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 4)])
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_gradients_and_statistics(name, shape, n):
    """With uneven numbers of rows."""
    layer = LAYERS[name]().double()
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, *shape, generator=generator).double()
    outputs, gradients, buffers = run(layer, x, weight)
    parts = in_threads(lambda communicator: run(layer, x, weight, communicator), n)
    for i, expected in enumerate(outputs):
        for rank, (some, _, _) in enumerate(parts):
            assert torch.allclose(some[i], expected[rank::n], rtol=1e-9)
    for i, expected in enumerate(gradients):
        total = sum(some[i] for _, some, _ in parts)
        assert torch.allclose(total, expected, rtol=1e-7, atol=1e-9)
    for _, _, some in parts:
        for one, expected in zip(some, buffers, strict=True):
            assert torch.allclose(one, expected, rtol=1e-9)


def test_the_layers_are_as_before_after_the_block():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.SyncBatchNorm(3))
    assert batch_norm_layers(net) == [net[1]]

    def keys(communicator):
        own = copy.deepcopy(net)
        before = set(vars(own[1]))
        with synchronized_batch_norm(own, communicator):
            inside = set(vars(own[1])) - before
        return inside, set(vars(own[1])) == before

    assert in_threads(keys, 2) == [({"forward"}, True)] * 2
    with synchronized_batch_norm(net, SINGLE_PROCESS):
        assert "forward" not in vars(net[1])
