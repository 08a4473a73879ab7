"""Multi-layer perceptrons, on one input or on a pair of inputs.

All weights are drawn from a generator that is handed in: constructing an
``nn.Linear`` in the ordinary way would read and move torch's global generator.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["MLP", "PairMLP", "check_hidden_sizes", "linear"]


def linear(
    in_features: int,
    out_features: int,
    *,
    generator: torch.Generator,
    bias: bool = True,
    fan_in: int | None = None,
) -> nn.Linear:
    """Return an ``nn.Linear`` with PyTorch's default initialisation.

    Weights and bias are uniform in +-1 / sqrt(fan_in).

    Parameters
    ----------
    in_features, out_features : int
        Sizes.
    generator : torch.Generator
        Source of the weights, on the CPU.
    bias : bool
        Whether the layer has a bias.
    fan_in : int, default=None
        Number of inputs that arrive at a unit, if others arrive elsewhere too.

    Returns
    -------
    layer : nn.Linear
    """
    skip_init: Callable[..., nn.Linear] = nn.utils.skip_init
    layer = skip_init(
        nn.Linear, in_features, out_features, bias=bias, dtype=torch.float32
    )
    bound = 1 / math.sqrt(in_features if fan_in is None else fan_in)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer


class MLP(nn.Module):
    """ReLU layers of the given sizes, then a linear layer.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of input and output.
    hidden_sizes : sequence of int
        Sizes of the hidden layers; empty for a linear map.
    generator : torch.Generator
        Source of the weights.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_sizes: Sequence[int],
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        sizes = [in_features, *hidden_sizes, out_features]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [linear(n_in, n_out, generator=generator), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        out: Tensor = self.layers(x)
        return out


class PairMLP(nn.Module):
    """An MLP on the concatenation of two inputs that need not be concatenated.

    The first layer is a sum, ``W_a a + W_b b``, in which both inputs broadcast:
    rows of shape (n_rows, 1, n_a) and classes of shape (n_classes, n_b) give
    (n_rows, n_classes, out_features), with the product ``W_a a`` computed once per
    row and ``W_b b`` once per class.

    Parameters
    ----------
    a_features, b_features, out_features : int
        Sizes of the inputs and the output.
    hidden_sizes : sequence of int
        Sizes of the hidden layers; empty for a linear map.
    generator : torch.Generator
        Source of the weights.
    """

    def __init__(
        self,
        a_features: int,
        b_features: int,
        out_features: int,
        hidden_sizes: Sequence[int],
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        first, *rest = [*hidden_sizes, out_features]
        fan_in = a_features + b_features
        self.from_a = linear(a_features, first, generator=generator, fan_in=fan_in)
        self.from_b = linear(
            b_features, first, generator=generator, fan_in=fan_in, bias=False
        )
        self.rest = (
            nn.Sequential(
                nn.ReLU(), MLP(first, rest[-1], rest[:-1], generator=generator)
            )
            if rest
            else nn.Identity()
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Map (..., a_features) and (..., b_features) to (..., out_features)."""
        out: Tensor = self.rest(self.from_a(a) + self.from_b(b))
        return out


def check_hidden_sizes(hidden_sizes: Any) -> tuple[int, ...]:
    """Return sizes of hidden layers as a tuple of positive integers.

    Parameters
    ----------
    hidden_sizes : iterable of int
        Sizes as a user gives them.

    Returns
    -------
    sizes : tuple of int

    Raises
    ------
    ValueError
        If one of them is not a positive integer.
    """
    sizes = tuple(hidden_sizes) if np.ndim(hidden_sizes) == 1 else (None,)
    for size in sizes:
        if not isinstance(size, Integral) or isinstance(size, bool) or int(size) < 1:
            raise ValueError(
                f"hidden_sizes must hold positive integers, got {hidden_sizes!r}."
            )
    return tuple(int(size) for size in sizes)
