"""Steps that diverge: detected on the device, undone, taken again with a smaller one."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

__all__ = [
    "MAX_ROLLBACKS",
    "STEP_FACTOR",
    "DivergenceMonitor",
    "TrainingSnapshot",
    "flag_non_finite",
    "scaled_learning_rate",
]

EXPLODED = 1e4
"""A bound so many times its row's sum of squares (and number of columns) is no bound.

The worst constant decoder, which puts all at zero and is as sure of it as the floor of
a column's scale allows (0.05 deviations), has 200 times that.
"""

STEP_FACTOR = 0.1
"""Factor of the step after each divergence."""

MAX_ROLLBACKS = 3
"""Divergences of a training run after which it goes on; the next one is an error."""


class DivergenceMonitor:
    """Whether the steps of an epoch went well, known without waiting for the device.

    Parameters
    ----------
    device : torch.device
        Where training is.

    Attributes
    ----------
    found : scalar Tensor of float32
        1 from the first step on whose loss or gradient was not finite, else 0: what
        PyTorch's fused optimizers take as ``found_inf``, and then change nothing.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.found = torch.zeros((), dtype=torch.float32, device=device)
        self._one = torch.ones_like(self.found)
        self._steps: list[Tensor] = []

    def look(
        self,
        loss: Tensor,
        bound: Tensor,
        gradients: list[Tensor],
        x: Tensor,
        weight: Tensor,
    ) -> None:
        """See one more step.

        Parameters
        ----------
        loss, bound : scalar Tensors
            The loss, and the bound in it.
        gradients : list of Tensor
            Gradients of the loss.
        x : Tensor of shape (n_rows, n_features)
            The rows as the model sees them; NaN where a cell is missing.
        weight : Tensor of shape (n_rows,)
            Weights of the rows in the bound.
        """
        flag_non_finite([loss, *gradients], self.found, self._one)
        squares = weight @ x.square().nansum(1).add_(x.shape[1])
        self._steps.append(torch.stack([bound, squares, self.found]))

    def good_steps(self) -> int:
        """Count the steps before the first that went wrong; waits for the device."""
        bound, squares, found = torch.stack(self._steps, 1).cpu().numpy()
        good = (found == 0) & (np.abs(bound) <= EXPLODED * squares)
        return len(good) if good.all() else int(good.argmin())


def flag_non_finite(tensors: list[Tensor], found: Tensor, one: Tensor) -> None:
    """Set `found` to 1 if a value is NaN or infinite.

    Parameters
    ----------
    tensors : list of Tensor
        Where to look.
    found : scalar Tensor of float32
        The flag; changed in place.
    one : scalar Tensor of float32
        1, on the same device.
    """
    if found.device.type in ("cpu", "cuda"):
        # What GradScaler uses: one pass, where a norm is several times as dear.
        torch._amp_foreach_non_finite_check_and_unscale_(tensors, found, one)
    else:
        norm = get_total_norm(tensors)
        found.copy_(torch.maximum(found, (~norm.isfinite()).float()))


class TrainingSnapshot:
    """Weights, buffers and an optimizer's moments, to go back to.

    Parameters
    ----------
    module : nn.Module
        The model.
    optimizer : torch.optim.Optimizer
        Its optimizer.
    """

    def __init__(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        moments = (
            slot
            for slots in optimizer.state.values()
            for slot in slots.values()
            if isinstance(slot, Tensor)
        )
        self._known = {*optimizer.state}
        self._live = [
            tensor.detach()
            for group in (module.parameters(), module.buffers(), moments)
            for tensor in group
        ]
        self._kept = [tensor.clone() for tensor in self._live]

    def restore(self) -> None:
        """Put all values back where they were."""
        for live, kept in zip(self._live, self._kept, strict=True):
            live.copy_(kept)
        for parameter in self._optimizer.state.keys() - self._known:
            del self._optimizer.state[parameter]


@contextmanager
def scaled_learning_rate(
    optimizer: torch.optim.Optimizer, factor: float
) -> Iterator[None]:
    """Scale the optimizer's steps within, whoever sets its learning rates.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        The optimizer.
    factor : float
        Of the learning rates.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = factor * group["lr"]
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
