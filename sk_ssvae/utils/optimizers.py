"""Adam as PyTorch has it, without the second that its compiler takes to import."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Adam", "check_optimizer_state"]


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, fused, whose first use does not import ``torch._dynamo``.

    PyTorch wraps the methods of its optimizers so that its compiler leaves them alone,
    and the wrappers import the compiler when they are first called: a second or more in
    every process, for nothing where nothing is compiled. Here are the methods below
    those wrappers.

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
        """Take one step; see `torch.optim.Adam.step`."""
        return _step(self, closure)

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)


_step: Callable[..., Any] = inspect.unwrap(torch.optim.Adam.step)


def check_optimizer_state(
    optimizer: torch.optim.Optimizer, state: Mapping[int, Mapping[str, Tensor]]
) -> None:
    """Refuse what an optimizer cannot have known of its parameters.

    Its fused kernel does not look, and writes beyond the end of arrays that are short.

    Parameters
    ----------
    optimizer : torch.optim.Adam
        Who shall know it.
    state : mapping of int to mapping of str to Tensor
        For numbers of parameters what was known of them, by name.

    Raises
    ------
    ValueError
        If there is no such parameter, or something has another shape or name.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for i, known in state.items():
        if not 0 <= i < len(parameters):
            raise ValueError(f"the optimizer knows of parameter {i}")
        like = parameters[i].shape
        shapes = {"step": torch.Size(), "exp_avg": like, "exp_avg_sq": like}
        found = {name: tensor.shape for name, tensor in known.items()}
        if found != shapes:
            raise ValueError(f"the optimizer knows {found} of a parameter of {like}")
