"""Batch normalisation over the rows of all processes.

``torch.nn.SyncBatchNorm`` does the same, but on CUDA devices only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sk_ssvae.training.communication import Communicator

__all__ = ["batch_norm_layers", "synchronized_batch_norm"]


class _Sum(torch.autograd.Function):
    """The sum of a tensor over processes; so is the gradient."""

    @staticmethod
    def forward(ctx: Any, communicator: Communicator, tensor: Tensor) -> Tensor:
        ctx.communicator = communicator
        return communicator.sum([tensor])[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, ctx.communicator.sum([gradient])[0]


def _sum(communicator: Communicator, tensor: Tensor) -> Tensor:
    # torch does not annotate the method.
    total: Tensor = _Sum.apply(communicator, tensor)  # type: ignore[no-untyped-call]
    return total


def batch_norm_layers(module: nn.Module) -> list[nn.Module]:
    """Return the layers whose output for a row depends on the other rows."""
    return [
        layer
        for layer in module.modules()
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
    ]


@contextmanager
def synchronized_batch_norm(
    module: nn.Module, communicator: Communicator
) -> Iterator[None]:
    """Let the batch normalisations of a module use the rows of all processes.

    In the block, mean and variance of a layer in training mode are those over the rows
    of all processes, and the running statistics are updated by them.

    Parameters
    ----------
    module : nn.Module
        The model.
    communicator : Communicator
        The processes. All must call the layers in the same order. Nothing changes if
        there is only one.
    """
    layers = batch_norm_layers(module) if communicator.world_size > 1 else []
    for layer in layers:
        layer.forward = partial(_normalized, layer, communicator)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _normalized(layer: Any, communicator: Communicator, x: Tensor) -> Tensor:
    """Apply a layer with the statistics of all processes."""
    uses_batch = layer.training or layer.running_mean is None
    if not uses_batch:
        out: Tensor = type(layer).forward(layer, x)
        return out
    axes = [0, *range(2, x.ndim)]
    shape = [1, -1] + [1] * (x.ndim - 2)
    values = x.double() if x.dtype == torch.float64 else x.float()
    n_local = values.numel() // values.shape[1]
    n = values.new_tensor(float(n_local), dtype=torch.float64)
    n = communicator.sum([n])[0].to(values.dtype)
    # Two passes: the difference of two large sums would lose digits.
    mean = _sum(communicator, values.sum(axes)) / n
    centred = values - mean.view(shape)
    variance = _sum(communicator, centred.square().sum(axes)) / n
    if layer.training and layer.track_running_stats:
        _update_running(layer, mean.detach(), variance.detach(), n)
    out = centred * (variance + layer.eps).rsqrt().view(shape)
    if layer.affine:
        out = out * layer.weight.view(shape) + layer.bias.view(shape)
    return out.to(x.dtype)


@torch.no_grad()
def _update_running(layer: Any, mean: Tensor, variance: Tensor, n: Tensor) -> None:
    """Update running statistics, with the unbiased variance, as the layer does."""
    layer.num_batches_tracked.add_(1)
    momentum = layer.momentum
    if momentum is None:
        momentum = 1.0 / layer.num_batches_tracked
    unbiased = variance * (n / (n - 1))
    for running, new in ((layer.running_mean, mean), (layer.running_var, unbiased)):
        running.add_(momentum * (new.to(running.dtype) - running))
