"""Detection of diverging steps on the device, and snapshots to restore."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from sk_ssvae.utils.torch_private import NORMALISATIONS, foreach_flag_non_finite_

__all__ = [
    "MAX_ROLLBACKS",
    "STEP_FACTOR",
    "DivergenceError",
    "DivergenceMonitor",
    "RunningStatistics",
    "TrainingSnapshot",
    "flag_non_finite",
    "scaled_learning_rates",
    "sum_of_squares",
]

BOUND_LIMIT = 1e4
"""Largest ratio of a bound to the sum of squares (plus the number of columns) of a row.

The worst constant decoder, which predicts zero with the smallest scale that a column's
likelihood allows (0.05 standard deviations), has a ratio of 200.
"""

STEP_FACTOR = 0.1
"""Factor of the step size after each divergence."""

MAX_ROLLBACKS = 3
"""Divergences of a training run after which it continues; the next one is an error."""


class DivergenceError(ValueError):
    """Training diverged again after all attempts with smaller steps."""


class DivergenceMonitor:
    """Record whether steps diverge, without reading values from the device.

    Parameters
    ----------
    device : torch.device or str
        The device of the training run.

    Attributes
    ----------
    found_inf : scalar Tensor of float32
        1 from the first step on whose loss or gradient is not finite, else 0. PyTorch's
        fused optimizers take it as ``found_inf`` and skip the step where it is 1.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.found_inf = torch.zeros((), dtype=torch.float32, device=device)
        self._one = torch.ones_like(self.found_inf)
        self._steps: list[Tensor] = []

    def update(
        self,
        loss: Tensor,
        bound: Tensor,
        gradients: list[Tensor],
        squares: Tensor,
    ) -> None:
        """Record a step.

        Parameters
        ----------
        loss, bound : scalar Tensors
            The loss, and the bound in it.
        gradients : list of Tensor
            Gradients of the loss.
        squares : scalar Tensor
            `sum_of_squares` of the rows in the bound.
        """
        flag_non_finite([loss, *gradients], self.found_inf, self._one)
        self._steps.append(torch.stack([bound, squares, self.found_inf]))

    def count_good_steps(self) -> int:
        """Count the steps before the first that diverged; synchronises the device."""
        bound, squares, found_inf = torch.stack(self._steps, 1).cpu().numpy()
        good = (found_inf == 0) & (np.abs(bound) <= BOUND_LIMIT * squares)
        return len(good) if good.all() else int(good.argmin())


def sum_of_squares(x: Tensor, weight: Tensor) -> Tensor:
    """Return the scale of the bound of rows, for `DivergenceMonitor.update`.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_features)
        Inputs of the model; NaN where a cell is missing.
    weight : Tensor of shape (n_rows,)
        Weights of the rows in the bound.

    Returns
    -------
    squares : scalar Tensor
        Weighted sum over rows of the sum of squares plus the number of columns.
    """
    return weight @ x.square().nansum(1).add_(x.shape[1])


def flag_non_finite(tensors: list[Tensor], found_inf: Tensor, one: Tensor) -> None:
    """Set `found_inf` to 1 if any value is NaN or infinite.

    Parameters
    ----------
    tensors : list of Tensor
        Values to check.
    found_inf : scalar Tensor of float32
        The flag; changed in place.
    one : scalar Tensor of float32
        1, on the same device.
    """
    if found_inf.device.type in ("cpu", "cuda"):
        # The kernel of GradScaler makes one pass; a norm is several times slower.
        foreach_flag_non_finite_(tensors, found_inf, one)
    else:
        norm = get_total_norm(tensors)
        found_inf.copy_(torch.maximum(found_inf, (~norm.isfinite()).float()))


class RunningStatistics:
    """Keep the running statistics of normalisations from steps that diverge.

    The forward pass updates them, before it is known whether the step diverges. The
    snapshot of the epoch resets them, too, but not if the epoch is interrupted.

    Parameters
    ----------
    module : nn.Module
        The model.
    """

    def __init__(self, module: nn.Module) -> None:
        self._live = [
            buffer
            for layer in module.modules()
            if isinstance(layer, NORMALISATIONS)
            for buffer in layer.buffers()
        ]
        self._before: list[Tensor] = []

    @contextmanager
    def kept_on_error(self) -> Iterator[None]:
        """Copy the statistics, and restore them if the step is interrupted."""
        self._before = [buffer.clone() for buffer in self._live]
        try:
            yield
        except BaseException:
            for buffer, before in zip(self._live, self._before, strict=True):
                buffer.copy_(before)
            raise

    def restore_if(self, found_inf: Tensor) -> None:
        """Restore the copies if `found_inf` is 1, without reading it."""
        for buffer, before in zip(self._live, self._before, strict=True):
            buffer.copy_(torch.where(found_inf > 0, before, buffer))


class TrainingSnapshot:
    """Copy of weights, buffers and optimizer state that can be restored.

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
            value
            for slots in optimizer.state.values()
            for value in slots.values()
            if isinstance(value, Tensor)
        )
        self._parameters_with_state = {*optimizer.state}
        self._live = [
            tensor.detach()
            for group in (module.parameters(), module.buffers(), moments)
            for tensor in group
        ]
        self._copies = [tensor.clone() for tensor in self._live]

    def restore(self) -> None:
        """Restore all values in place."""
        for live, copy in zip(self._live, self._copies, strict=True):
            live.copy_(copy)
        for parameter in self._optimizer.state.keys() - self._parameters_with_state:
            del self._optimizer.state[parameter]


@contextmanager
def scaled_learning_rates(
    optimizer: torch.optim.Optimizer, factors: Sequence[float]
) -> Iterator[None]:
    """Scale the learning rates of an optimizer within the context.

    Schedulers, which set the learning rates between steps, are not affected.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        The optimizer.
    factors : sequence of float
        Factor for each group of parameters.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    for group, rate, factor in zip(optimizer.param_groups, rates, factors, strict=True):
        group["lr"] = factor * rate
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
