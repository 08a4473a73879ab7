"""Multi-layer perceptrons, on one input, on a pair of inputs, or on several.

All weights are drawn from a generator that is handed in: constructing an
``nn.Linear`` in the ordinary way would read and move torch's global generator.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["MLP", "MultiInputLinear", "PairMLP", "check_hidden_sizes", "linear"]

FEW = 8
"""Number of second inputs up to which averages are sums, not products of matrices."""


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
    layer = _Linear(
        in_features, out_features, bias=bias, dtype=torch.float32, device="cpu"
    )
    bound = 1 / math.sqrt(in_features if fan_in is None else fan_in)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer


class _Linear(nn.Linear):
    """A layer that is made without drawing weights."""

    def reset_parameters(self) -> None:
        """Leave the global generator alone (``nn.utils.skip_init`` imports sympy)."""


def _after_relu(layers: Iterable[nn.Module], out: Tensor, *, own: bool) -> Tensor:
    """Apply layers, each after rectified units; our `own` input may be overwritten."""
    for layer in layers:
        # Not the outputs of layers, which users may have hooks on.
        out = layer(F.relu_(out) if own else F.relu(out))
        own = False
    return out


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
    first : nn.Module, default=None
        Takes the place of the first layer.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_sizes: Sequence[int],
        *,
        generator: torch.Generator,
        first: nn.Module | None = None,
    ) -> None:
        super().__init__()
        sizes = [in_features, *hidden_sizes, out_features]
        skipped = 0 if first is None else 1
        self.layers = nn.ModuleList([] if first is None else [first])
        self.layers.extend(
            linear(n_in, n_out, generator=generator)
            for n_in, n_out in pairwise(sizes[skipped:])
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        first, *rest = self.layers
        return _after_relu(rest, first(x), own=False)


class MultiInputLinear(nn.Module):
    """A linear layer on several inputs that need not be concatenated.

    The shares of the inputs are added, so that they broadcast, and each is computed as
    often as its input has rows.

    Parameters
    ----------
    in_features : sequence of int
        Sizes of the inputs.
    out_features : int
        Size of the output.
    generator : torch.Generator
        Source of the weights.
    fan_in : int
        Number of inputs that arrive at a unit, with those that arrive elsewhere.
    first : nn.Module, default=None
        Gives the share of the first input.
    """

    def __init__(
        self,
        in_features: Sequence[int],
        out_features: int,
        *,
        generator: torch.Generator,
        fan_in: int,
        first: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.shares = nn.ModuleList(
            first
            if i == 0 and first is not None
            else linear(n, out_features, generator=generator, fan_in=fan_in, bias=not i)
            for i, n in enumerate(in_features)
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Map tensors (..., n) for n in in_features to (..., out_features)."""
        first, *others = (
            share(x) for share, x in zip(self.shares, inputs, strict=True)
        )
        total: Tensor = first
        for share in others:
            total = total + share
        return total


class PairMLP(nn.Module):
    """An MLP on the concatenation of two inputs that need not be concatenated.

    The first layer is a sum, ``W_a a + W_b b``, in which both inputs broadcast:
    rows of shape (n_rows, 1, n_a) and classes of shape (n_classes, n_b) give
    (n_rows, n_classes, out_features), with the product ``W_a a`` computed once per
    row and ``W_b b`` once per class. Integers in the place of b stand for unit vectors:
    they pick columns of ``W_b``.

    Parameters
    ----------
    a_features, b_features, out_features : int
        Sizes of the inputs and the output.
    hidden_sizes : sequence of int
        Sizes of the hidden layers; empty for a linear map.
    generator : torch.Generator
        Source of the weights.
    from_a : nn.Module, default=None
        Takes the place of W_a: from whatever a is to the first layer's units.
    """

    def __init__(
        self,
        a_features: int,
        b_features: int,
        out_features: int,
        hidden_sizes: Sequence[int],
        *,
        generator: torch.Generator,
        from_a: nn.Module | None = None,
    ) -> None:
        super().__init__()
        first, *rest = [*hidden_sizes, out_features]
        fan_in = a_features + b_features
        if from_a is None:
            from_a = linear(a_features, first, generator=generator, fan_in=fan_in)
        self.from_a = from_a
        from_b = linear(
            b_features, first, generator=generator, fan_in=fan_in, bias=False
        )
        # A row for each feature of b, as lookups and sums take it.
        self.from_b = nn.Parameter(from_b.weight.detach().T.contiguous())
        sizes = [first, *rest]
        self.rest = nn.ModuleList(
            linear(n_in, n_out, generator=generator) for n_in, n_out in pairwise(sizes)
        )

    def forward(self, a: Any, b: Tensor | None = None) -> Tensor:
        """Map (..., a_features) and (..., b_features) to (..., out_features).

        Or integers b of shape (...), in [0, b_features). None is all unit vectors, as
        the unit matrix would be.
        """
        if b is None:
            from_b: Tensor = self.from_b
        elif b.is_floating_point():
            from_b = b @ self.from_b
        else:
            from_b = F.embedding(b, self.from_b)
        return _after_relu(self.rest, self.from_a(a) + from_b, own=True)

    def averaged(self, a: Any, weights: Tensor) -> Tensor:
        """Average outputs over all unit vectors b.

        The last layer is linear, so it is applied once, to the average of its inputs.

        Parameters
        ----------
        a : Tensor of shape (n_rows, a_features), or whatever `from_a` takes
            First inputs.
        weights : Tensor of shape (n_rows, b_features)
            Weights of the unit vectors, with sum 1.

        Returns
        -------
        out : Tensor of shape (n_rows, out_features)
        """
        from_a = self.from_a(a)
        if len(self.rest) == 0:
            out: Tensor = from_a + weights @ self.from_b
        else:
            *inner, last = self.rest
            hidden = _after_relu(inner, from_a[:, None] + self.from_b, own=True)
            hidden = F.relu(hidden)
            # A product of small matrices for each row is slow where they are tiny.
            if weights.shape[1] < FEW:
                mean = (hidden * weights[:, :, None]).sum(1)
            else:
                mean = (weights[:, None] @ hidden).squeeze(1)
            out = last(mean)
        return out


def check_hidden_sizes(
    hidden_sizes: Any, name: str = "hidden_sizes"
) -> tuple[int, ...]:
    """Return sizes of hidden layers as a tuple of positive integers.

    Parameters
    ----------
    hidden_sizes : iterable of int
        Sizes as a user gives them.
    name : str
        What the parameter is called, for the error message.

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
                f"{name} must hold positive integers, got {hidden_sizes!r}."
            )
    return tuple(int(size) for size in sizes)
