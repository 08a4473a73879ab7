"""Adam as PyTorch has it, without the second that its compiler takes to import."""

import inspect
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Adam"]


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
