"""User-supplied networks: construction, checked calls, and mode and state."""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from sk_ssvae.models.user_columns import UserColumns
from sk_ssvae.utils.random import Stream, seeded_global_generator, stream_seed

__all__ = [
    "ROLES",
    "UserNetwork",
    "freeze_networks",
    "networks_in_eval_mode",
    "non_finite_networks",
    "snapshot_networks",
    "user_networks",
]

ROLES = ("classifier_module", "encoder_module", "decoder_module")
"""Parameters of the estimators that take networks."""


class UserNetwork(nn.Module):
    """Wrap a user-supplied network.

    The network is called with a contiguous copy of shape (n_rows, in_features), which
    it may modify in place; leading axes are flattened. A single row is mapped in
    evaluation mode even in training, since it has no batch statistics.

    Parameters
    ----------
    factory : callable
        A class or function: ``factory(in_features, out_features, **kwargs)``.
    in_features, out_features : int
        Sizes.
    kwargs : dict
        Keyword arguments of the factory.
    role : str
        The estimator's parameter, one of `ROLES`. Error messages name it.
    seed : int
        Seed for torch's global generator while the network is constructed.
    index : int
        Number of the network among those of the same role; their weights differ.
    columns : UserColumns, default=None
        Of a classifier or an encoder, the positions of its first inputs, and of a
        decoder, those of its outputs, among those of the network: the network then has
        inputs and outputs for constant columns too.
    description : str
        What the inputs are, for error messages.

    Attributes
    ----------
    network : nn.Module
        The user's network.
    max_width : int
        Largest number of values per row in an intermediate output.
    frozen : bool
        Whether the network stays in evaluation mode (see `freeze_networks`).

    Raises
    ------
    TypeError, ValueError
        If the network cannot be constructed or called, or its output has a wrong type,
        shape or dtype or is not finite.
    """

    frozen = False
    fill: Tensor | None
    places: Tensor | None
    chosen: Tensor | None

    def __init__(
        self,
        factory: Callable[..., Any],
        in_features: int,
        out_features: int,
        kwargs: dict[str, Any],
        role: str,
        seed: int,
        index: int = 0,
        columns: UserColumns | None = None,
        description: str = "",
    ) -> None:
        super().__init__()
        fill = places = chosen = None
        if columns is not None and role == "decoder_module":
            out_features = columns.n_outputs
            if len(columns.outputs) < out_features:
                chosen = torch.from_numpy(columns.outputs)
        elif columns is not None and in_features >= len(columns.inputs):
            n_others = in_features - len(columns.inputs)
            in_features = columns.n_inputs + n_others
            if len(columns.inputs) < columns.n_inputs:
                others = np.arange(columns.n_inputs, in_features)
                varying = np.append(columns.inputs, others)
                constant = np.setdiff1d(np.arange(in_features), varying)
                fill = torch.from_numpy(columns.fill[constant])
                order = np.argsort(np.append(varying, constant))
                places = torch.from_numpy(order)
        for name, tensor in (("fill", fill), ("places", places), ("chosen", chosen)):
            self.register_buffer(name, tensor, persistent=False)  # files hold no copy
        self.out_features = out_features
        self.role = role
        self.description = description
        self.max_width = 1
        step = ROLES.index(role) + index * len(ROLES)
        with (
            seeded_global_generator(stream_seed(seed, Stream.OWN_WEIGHTS, step)),
            torch.device("cpu"),
        ):
            try:
                network = factory(in_features, out_features, **kwargs)
            except Exception as error:
                given = "".join(f", {k}={v!r}" for k, v in kwargs.items())
                raise _error_type(error)(
                    f"{role} could not make a network: {factory!r}({in_features}, "
                    f"{out_features}{given}) raised {type(error).__name__}: {error}"
                    + self._explain(in_features)
                ) from error
            if not isinstance(network, nn.Module):
                raise TypeError(
                    f"{role} must return a torch.nn.Module, but {factory!r} returned "
                    f"{network!r} of type {type(network).__name__}."
                )
            if not isinstance(factory, type):  # it may return the same object again
                network = _copy_network(network) or network
            self.network = network.float()
            self._check_network(in_features)

    def _explain(self, n_inputs: int) -> str:
        """Return a sentence that says what the inputs are, to follow an error."""
        if not self.description:
            return ""
        return f"\nThe {n_inputs} inputs of {self.role} are: {self.description}."

    @torch.no_grad()
    def _check_network(self, in_features: int) -> None:
        """Call the network on two rows and on one, and record `max_width`."""

        def record_width(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                self.max_width = max(self.max_width, output.numel() // 2)

        hooks = [
            module.register_forward_hook(record_width)
            for module in self.network.modules()
            if not isinstance(module, torch.jit.ScriptModule)  # has no such hooks
        ]
        was_training = self.network.training
        self.network.eval()
        try:
            # Positive and not constant: the network may take logarithms or normalise
            # rows. A single row shows whether it drops the axis of rows.
            generator = torch.Generator().manual_seed(0)
            x = torch.rand(2, in_features, generator=generator, dtype=torch.float32)
            for rows in (x, x[:1]):
                self._check_finite(self._call_network(rows.clone()))
        finally:
            self.network.train(was_training)
            for hook in hooks:
                hook.remove()

    def _call_network(self, x: Tensor) -> Tensor:
        """Apply the network to rows; errors name the estimator's parameter."""
        try:
            out = self.network(x)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise _error_type(error)(
                f"The network of {self.role} cannot map floats of shape "
                f"{tuple(x.shape)}: {type(error).__name__}: {error}"
                + self._explain(x.shape[-1])
            ) from error
        return self._check_output(out, len(x))

    def _check_finite(self, out: Tensor) -> None:
        wrong = out[~out.isfinite()]
        if len(wrong):
            raise ValueError(
                f"The network of {self.role} must return finite numbers, got "
                f"{wrong[0].item()} for a row of numbers between 0 and 1."
            )

    def _check_output(self, out: Any, n_rows: int) -> Tensor:
        if not isinstance(out, Tensor):
            raise TypeError(
                f"The network of {self.role} must return a tensor, got an object of "
                f"type {type(out).__name__}."
            )
        if out.shape != (n_rows, self.out_features) or not out.is_floating_point():
            raise ValueError(
                f"The network of {self.role} must return floats of shape (n_rows, "
                f"out_features) = {(n_rows, self.out_features)}, got "
                f"{tuple(out.shape)} of {out.dtype}."
            )
        return out

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen network stays in evaluation mode."""
        return super().train(mode and not self.frozen)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs of the model (..., n) to its outputs, of the same leading axes."""
        flat = self.network_inputs(x)
        if len(flat) == 0:
            out = flat.new_zeros(0, self.out_features)
        elif len(flat) == 1 and self.network.training:
            self.network.eval()
            try:
                out = self._call_network(flat).to(flat.dtype)
            finally:
                self.network.train()
        else:
            out = self._call_network(flat).to(flat.dtype)
        return self.model_outputs(out, x)

    def network_inputs(self, x: Tensor) -> Tensor:
        """Copy inputs of the model (..., n) to (n_rows, in_features)."""
        # The network may modify its input (``nn.ReLU(inplace=True)``), and x is also
        # the input of the likelihood and of other networks.
        if self.fill is None or self.places is None:
            copied = x.clone(memory_format=torch.contiguous_format)
            return copied.view(-1, x.shape[-1])
        rows = x.reshape(-1, x.shape[-1])
        fill = self.fill.to(x.dtype).expand(rows.shape[0], -1)
        return torch.cat([rows, fill], 1).index_select(1, self.places)

    def model_outputs(self, out: Tensor, x: Tensor) -> Tensor:
        """Shape outputs of the network (n_rows, out_features) as the model's rows."""
        if self.chosen is not None:
            out = out.index_select(1, self.chosen)
        return out.view(*x.shape[:-1], out.shape[-1])


def _error_type(error: Exception) -> type[Exception]:
    """Return the type of exception to raise for an error in a user's network."""
    return TypeError if isinstance(error, TypeError) else ValueError


def user_networks(model: nn.Module) -> list[UserNetwork]:
    """Return the user-supplied networks of a model."""
    return [module for module in model.modules() if isinstance(module, UserNetwork)]


def freeze_networks(model: nn.Module, frozen: bool) -> None:
    """Freeze or unfreeze the mode of all user-supplied networks in a model.

    Frozen networks stay in evaluation mode whatever the mode of the model. Disabling
    gradients alone would not fix a network: batch statistics would still be updated,
    and dropout would stay active.

    Parameters
    ----------
    model : nn.Module
        The model.
    frozen : bool
        Whether to freeze the networks.
    """
    for network in user_networks(model):
        network.frozen = frozen
        network.train(model.training)


def snapshot_networks(model: nn.Module) -> Callable[[], None]:
    """Copy the state of the user-supplied networks that `state_dict` leaves out.

    That is, buffers that are not persistent and other attributes.

    Parameters
    ----------
    model : nn.Module
        The model.

    Returns
    -------
    restore : callable
        Puts the copies into the model. Their parameters are not copied: they are the
        objects that the optimizer trains, with their current values.
    """
    networks = user_networks(model)
    copies = [
        _copy_network(wrapper.network, wrapper.network.parameters())
        for wrapper in networks
    ]

    def restore() -> None:
        for wrapper, network in zip(networks, copies, strict=True):
            if network is not None:
                wrapper.network = network

    return restore


@contextmanager
def non_finite_networks(model: nn.Module) -> Iterator[list[str]]:
    """Record which user-supplied networks return NaN or infinity in the block.

    Parameters
    ----------
    model : nn.Module
        The model.

    Yields
    ------
    roles : list of str
        Parameter names of those networks, in the order of calls.
    """
    roles: list[str] = []

    def record(network: UserNetwork, inputs: Any, out: Tensor) -> None:
        if not out.isfinite().all():
            roles.append(network.role)

    hooks = [network.register_forward_hook(record) for network in user_networks(model)]
    try:
        yield roles
    finally:
        for hook in hooks:
            hook.remove()


def _copy_network(network: nn.Module, shared: Iterable[Any] = ()) -> nn.Module | None:
    """Return a deep copy that shares some objects, or None if it cannot be copied."""
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        return None  # parameters of a copy are not leaves and are not trained
    try:
        return copy.deepcopy(network, {id(one): one for one in shared})
    except Exception:  # e.g. with nn.utils.weight_norm, whose weights are not leaves
        return None


@contextmanager
def networks_in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Set the user-supplied networks to evaluation mode in the block.

    They then draw no random numbers and neither use nor update batch statistics.
    """
    in_training = [
        wrapper.network for wrapper in user_networks(model) if wrapper.network.training
    ]
    for network in in_training:
        network.eval()
    try:
        yield
    finally:
        for network in in_training:
            network.train()
