"""Multi-layer perceptrons with one, two or several inputs.

All weights are drawn from an explicit generator: constructing an ``nn.Linear`` in the
usual way would advance torch's global generator.
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

__all__ = [
    "MLP",
    "MultiInputLinear",
    "PairMLP",
    "check_hidden_sizes",
    "linear",
]

MIN_MATMUL_SIZE = 8
"""Number of one-hot inputs from which `PairMLP.expected_output` uses a batched matrix
product; below that an elementwise sum is faster."""


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
        Total number of inputs of a unit, if the layer is part of a sum of layers;
        `in_features` by default.

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
    """A linear layer whose constructor draws no weights.

    ``nn.utils.skip_init`` would do the same, but imports sympy.
    """

    def reset_parameters(self) -> None:
        """Do nothing, so that the global generator is not used."""


def _relu_layers(
    layers: Iterable[nn.Module], out: Tensor, *, overwrite_input: bool
) -> Tensor:
    """Apply layers, each after a ReLU; the first ReLU may overwrite its input."""
    for layer in layers:
        # Outputs of layers are not overwritten: forward hooks may keep them.
        out = layer(F.relu_(out) if overwrite_input else F.relu(out))
        overwrite_input = False
    return out


class MLP(nn.Module):
    """A multi-layer perceptron with ReLU activations and a linear output layer.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of input and output.
    hidden_sizes : sequence of int
        Sizes of the hidden layers; empty for a linear map.
    generator : torch.Generator
        Source of the weights.
    first : nn.Module, default=None
        Replaces the first layer.
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
        return _relu_layers(rest, first(x), overwrite_input=False)


class MultiInputLinear(nn.Module):
    """A linear layer on the concatenation of several inputs, without concatenating.

    The output is a sum of one linear map per input. The terms broadcast, and each is
    computed once per row of its input.

    Parameters
    ----------
    in_features : sequence of int
        Sizes of the inputs.
    out_features : int
        Size of the output.
    generator : torch.Generator
        Source of the weights.
    fan_in : int
        As for `linear`.
    first : nn.Module, default=None
        Replaces the linear map of the first input.
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
            layer(x) for layer, x in zip(self.shares, inputs, strict=True)
        )
        total: Tensor = first
        for term in others:
            total = total + term
        return total


class PairMLP(nn.Module):
    """An MLP on the concatenation of two inputs, without concatenating.

    The first layer is a sum, ``W_a a + W_b b``, in which both inputs broadcast:
    rows of shape (n_rows, 1, n_a) and classes of shape (n_classes, n_b) give
    (n_rows, n_classes, out_features), with the product ``W_a a`` computed once per
    row and ``W_b b`` once per class. Integers b stand for one-hot vectors and select
    columns of ``W_b``.

    Parameters
    ----------
    a_features, b_features, out_features : int
        Sizes of the inputs and the output.
    hidden_sizes : sequence of int
        Sizes of the hidden layers; empty for a linear map.
    generator : torch.Generator
        Source of the weights.
    from_a : nn.Module, default=None
        Replaces W_a; maps a to the units of the first layer.
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
        # Transposed, one row per feature of b, as F.embedding needs it.
        self.from_b = nn.Parameter(from_b.weight.detach().T.contiguous())
        self.rest = nn.ModuleList(
            linear(n_in, n_out, generator=generator)
            for n_in, n_out in pairwise([first, *rest])
        )

    def forward(self, a: Any, b: Tensor | None = None) -> Tensor:
        """Map (..., a_features) and (..., b_features) to (..., out_features).

        b may also be integers of shape (...), in [0, b_features). None stands for all
        one-hot vectors: the identity matrix.
        """
        if b is None:
            from_b: Tensor = self.from_b
        elif b.is_floating_point():
            from_b = b @ self.from_b
        else:
            from_b = F.embedding(b, self.from_b)
        first = self.from_a(a) + from_b
        return _relu_layers(self.rest, first, overwrite_input=True)

    def expected_output(self, a: Any, weights: Tensor) -> Tensor:
        """Return the expected output over a categorical, one-hot b.

        The last layer is linear, so it is applied once, to the mean of its inputs.

        Parameters
        ----------
        a : Tensor of shape (..., a_features), or any input of `from_a`
            First inputs.
        weights : Tensor of shape (..., b_features)
            Probabilities of the one-hot vectors, with sum 1.

        Returns
        -------
        out : Tensor of shape (..., out_features)
        """
        from_a = self.from_a(a)
        if len(self.rest) == 0:
            out: Tensor = from_a + weights @ self.from_b
        else:
            *inner, last = self.rest
            first = from_a[..., None, :] + self.from_b
            hidden = F.relu(_relu_layers(inner, first, overwrite_input=True))
            if weights.shape[-1] < MIN_MATMUL_SIZE:
                mean = (hidden * weights[..., None]).sum(-2)
            else:
                mean = (weights[..., None, :] @ hidden).squeeze(-2)
            out = last(mean)
        return out


def check_hidden_sizes(
    hidden_sizes: Any, name: str = "hidden_sizes"
) -> tuple[int, ...]:
    """Validate sizes of hidden layers and return them as a tuple.

    Parameters
    ----------
    hidden_sizes : iterable of int
        The parameter.
    name : str
        Name of the parameter, for the error message.

    Returns
    -------
    sizes : tuple of int

    Raises
    ------
    ValueError
        If a size is not a positive integer.
    """
    sizes = tuple(hidden_sizes) if np.ndim(hidden_sizes) == 1 else (None,)
    for size in sizes:
        if not isinstance(size, Integral) or isinstance(size, bool) or int(size) < 1:
            raise ValueError(
                f"{name} must hold positive integers, got {hidden_sizes!r}."
            )
    return tuple(int(size) for size in sizes)
