"""Adam without the import of PyTorch's compiler, and a check of its saved state."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Adam", "check_optimizer_state"]


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, fused by default, that does not import ``torch._dynamo``.

    PyTorch wraps the methods of its optimizers to exclude them from compilation. The
    wrappers import the compiler on the first call, which takes a second or more in
    every process even if nothing is compiled. This class uses the unwrapped methods.

    Parameters
    ----------
    params : iterable
        Parameters, as for `torch.optim.Adam`.
    **kwargs
        As for `torch.optim.Adam`; ``fused=True`` by default.
    """

    def __init__(self, params: Any, **kwargs: Any) -> None:
        super().__init__(params, **{"fused": True, **kwargs})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Perform one optimization step; see `torch.optim.Adam.step`."""
        return _step(self, closure)

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)


_step: Callable[..., Any] = inspect.unwrap(torch.optim.Adam.step)


def check_optimizer_state(
    parameters: Sequence[Tensor], state: Mapping[int, Mapping[str, Tensor]]
) -> None:
    """Raise an error if a state of Adam does not fit the parameters.

    The fused kernel does not check shapes: it writes beyond the end of arrays that are
    too short.

    Parameters
    ----------
    parameters : sequence of Tensor
        The parameters that it optimises.
    state : mapping of int to mapping of str to Tensor
        For the index of each parameter, its entries ("step", "exp_avg", "exp_avg_sq").

    Raises
    ------
    ValueError
        If there is no parameter with an index, or if its entries have other names or
        shapes.
    """
    for i, entries in state.items():
        if not 0 <= i < len(parameters):
            raise ValueError(
                f"the optimizer state has an entry for parameter {i}, but there are "
                f"{len(parameters)} parameters"
            )
        shape = parameters[i].shape
        expected = {"step": torch.Size(), "exp_avg": shape, "exp_avg_sq": shape}
        actual = {name: tensor.shape for name, tensor in entries.items()}
        if actual != expected:
            raise ValueError(
                f"the optimizer state of parameter {i} has the shapes {actual}, "
                f"expected {expected}"
            )
