"""Batch normalisation whose running statistics are usable after the first steps."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "MIN_BATCH_NORM_ROWS",
    "BatchNorm",
    "frozen_batch_norms",
    "weighted_batch_norms",
]

ROUNDING = 1e-5
"""Relative rounding error of an effective number of rows."""

MIN_BATCH_NORM_ROWS = 8
"""Rows from which `BatchNorm` uses the statistics of a minibatch."""


class BatchNorm(nn.BatchNorm1d):
    r"""Batch normalisation of the last axis, over all others.

    Ioffe & Szegedy 2015, "Batch normalization", arXiv 1502.03167. The running
    statistics are means over all minibatches at first, and exponentially weighted from
    the tenth on, so that they are usable after the first steps. They normalise the rows
    in evaluation mode, in `frozen_batch_norms`, and if a minibatch has fewer than
    `MIN_BATCH_NORM_ROWS` rows, as the variance of few rows is mostly chance. If rows
    have weights, this is the effective number :math:`(\sum w)^2 / \sum w^2`.

    Parameters
    ----------
    n_units : int
        Size of the last axis.

    Attributes
    ----------
    is_frozen : bool
        Whether running statistics are used, and kept, also in training.
    row_weight : Tensor of shape (n_rows,) or None
        Weights of the rows in the statistics of a minibatch; None for equal weights.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, n_units: int) -> None:
        super().__init__(n_units, dtype=torch.float32, device="cpu")
        self.is_frozen = False
        self.row_weight: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise rows of shape (..., n_units)."""
        rows = x.reshape(-1, x.shape[-1])
        of_minibatch = (
            self.training and not self.is_frozen and len(rows) >= MIN_BATCH_NORM_ROWS
        )
        if of_minibatch and self.row_weight is not None:
            n_repeats = len(rows) // len(self.row_weight)
            weight = self.row_weight.repeat_interleave(n_repeats)
            return self._normalise_weighted(rows.float(), weight).view(x.shape)
        if of_minibatch:  # with a momentum of 1, these become its statistics
            mean = torch.zeros_like(self.running_mean)
            var = torch.zeros_like(self.running_var)
        else:
            mean, var = self.running_mean, self.running_var
        normalised = F.batch_norm(
            rows,
            mean,
            var,
            self.weight,
            self.bias,
            training=of_minibatch,
            momentum=1.0,
            eps=self.eps,
        )
        if of_minibatch:
            self._track(mean, var)
        return normalised.view(x.shape)

    def _normalise_weighted(self, rows: Tensor, weight: Tensor) -> Tensor:
        """Normalise rows by their weighted mean and variance, and track these."""
        share = weight / weight.sum()
        concentration = share.square().sum()  # 1 / the effective number of rows
        is_enough = concentration * MIN_BATCH_NORM_ROWS <= 1 + ROUNDING
        with torch.autocast(rows.device.type, enabled=False):
            mean = share @ rows
            var = share @ (rows - mean).square()
        unbiased = var / (1 - concentration).clamp_min(1 / MIN_BATCH_NORM_ROWS)
        mean = torch.where(is_enough, mean, self.running_mean)
        var = torch.where(is_enough, var, self.running_var)
        # The running statistics are tracked by themselves if they are kept.
        unbiased = torch.where(is_enough, unbiased, self.running_var)
        self._track(mean, unbiased, is_enough)
        scale = self.weight * (var + self.eps).rsqrt()
        return (rows - mean) * scale + self.bias

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, counts: Tensor | bool = True) -> None:
        """Update the running statistics, without reading values from the device."""
        self.num_batches_tracked += counts
        share = self.num_batches_tracked.clamp(min=1).to(mean.dtype).reciprocal()
        share.clamp_(min=self.momentum)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var, share)


@contextmanager
def frozen_batch_norms(module: nn.Module) -> Iterator[None]:
    """Normalise by the running statistics in the block, and keep them.

    Of the built-in networks, for rows that are not a sample of the training rows.
    """
    norms = [
        layer
        for layer in module.modules()
        if isinstance(layer, BatchNorm) and not layer.is_frozen
    ]
    for norm in norms:
        norm.is_frozen = True
    try:
        yield
    finally:
        for norm in norms:
            norm.is_frozen = False


@contextmanager
def weighted_batch_norms(module: nn.Module, weight: Tensor | None) -> Iterator[None]:
    """Weight the rows of a minibatch in its statistics, in the block.

    Of the built-in networks, so that a row that hardly counts in the loss hardly
    changes the statistics, however extreme its values are.

    Parameters
    ----------
    module : nn.Module
        The model.
    weight : Tensor of shape (n_rows,) or None
        Positive weights of the rows that the model is applied to, along their first
        axis. None for equal weights.
    """
    norms = []
    if weight is not None:
        norms = [layer for layer in module.modules() if isinstance(layer, BatchNorm)]
    for norm in norms:
        norm.row_weight = weight
    try:
        yield
    finally:
        for norm in norms:
            norm.row_weight = None
