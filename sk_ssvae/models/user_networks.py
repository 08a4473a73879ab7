"""Networks of the user's own, made and called so that they fit in the place of ours."""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from sk_ssvae.utils.random import Stream, seeded_global_generator, stream_seed

__all__ = [
    "ROLES",
    "UserNetwork",
    "freeze_networks",
    "networks_in_eval_mode",
    "non_finite_networks",
    "snapshot_networks",
]

ROLES = ("classifier_module", "encoder_module", "decoder_module")
"""Parameters of the estimators that take networks."""


class UserNetwork(nn.Module):
    """A user's network, shown batches of shape (n, in_features) and nothing else.

    The batches are its own to write into. Leading axes are flattened. In training, a
    single row is mapped as it would be in evaluation: it has no batch statistics.

    Parameters
    ----------
    make : callable
        A class or factory: ``make(in_features, out_features, **kwargs)``.
    in_features, out_features : int
        Sizes.
    kwargs : dict
        Passed on.
    role : str
        The estimator's parameter, for messages.
    seed : int
        Seed of torch's global generator while the network is made.
    nth : int
        Of several networks of a role, which one this is; each has weights of its own.
    """

    held = False

    def __init__(
        self,
        make: Callable[..., Any],
        in_features: int,
        out_features: int,
        kwargs: dict[str, Any],
        role: str,
        seed: int,
        nth: int = 0,
    ) -> None:
        super().__init__()
        self.out_features = out_features
        self.role = role
        self.widest = 1
        step = ROLES.index(role) + nth * len(ROLES)
        with (
            seeded_global_generator(stream_seed(seed, Stream.OWN_WEIGHTS, step)),
            torch.device("cpu"),
        ):
            try:
                network = make(in_features, out_features, **kwargs)
            except Exception as error:
                given = "".join(f", {k}={v!r}" for k, v in kwargs.items())
                raise type(self).failure(error)(
                    f"{role} could not make a network: {make!r}({in_features}, "
                    f"{out_features}{given}) raised {type(error).__name__}: {error}"
                ) from error
            if not isinstance(network, nn.Module):
                raise TypeError(
                    f"{role} must make a torch.nn.Module, but {make!r} made "
                    f"{network!r} of type {type(network).__name__}."
                )
            if not isinstance(make, type):  # it may give the same one every time
                network = _copied(network) or network
            self.network = network.float()
            self._try(in_features)

    @torch.no_grad()
    def _try(self, in_features: int) -> None:
        """Call the network once, and see how much it takes for a row."""

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                self.widest = max(self.widest, output.numel() // 2)

        hooks = [
            module.register_forward_hook(note)
            for module in self.network.modules()
            if not isinstance(module, torch.jit.ScriptModule)  # which takes none
        ]
        was_training = self.network.training
        self.network.eval()
        try:
            # Neither of one sign nor all the same: a network may take a row's logarithm
            # or divide by its length. One row alone is not to lose its axis.
            generator = torch.Generator().manual_seed(0)
            x = torch.rand(2, in_features, generator=generator, dtype=torch.float32)
            for rows in (x, x[:1]):
                self._refuse_infinite(self._called(rows.clone()))
        finally:
            self.network.train(was_training)
            for hook in hooks:
                hook.remove()

    @staticmethod
    def failure(error: Exception) -> type[Exception]:
        """Kind of error to raise for one of the user's network."""
        return TypeError if isinstance(error, TypeError) else ValueError

    def _called(self, x: Tensor) -> Tensor:
        """Apply the network to rows; errors in it are said to be its own."""
        try:
            out = self.network(x)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise self.failure(error)(
                f"The network of {self.role} cannot map floats of shape "
                f"{tuple(x.shape)}: {type(error).__name__}: {error}"
            ) from error
        return self._checked(out, len(x))

    def _refuse_infinite(self, out: Tensor) -> None:
        wrong = out[~out.isfinite()]
        if len(wrong):
            raise ValueError(
                f"The network of {self.role} must return finite numbers, got "
                f"{wrong[0].item()} for a row of numbers between 0 and 1."
            )

    def _checked(self, out: Any, n_rows: int) -> Tensor:
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
        """Set the mode; a network that is held stays in evaluation mode."""
        return super().train(mode and not self.held)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        # A copy, for the network may write into it (``nn.ReLU(inplace=True)``), and the
        # likelihood and other networks see x too.
        flat = x.clone(memory_format=torch.contiguous_format).view(-1, x.shape[-1])
        if len(flat) == 0:
            out = flat.new_zeros(0, self.out_features)
        elif len(flat) == 1 and self.network.training:
            self.network.eval()
            try:
                out = self._called(flat).to(flat.dtype)
            finally:
                self.network.train()
        else:
            out = self._called(flat).to(flat.dtype)
        return out.view(*x.shape[:-1], self.out_features)


def freeze_networks(model: nn.Module, held: bool) -> None:
    """Hold the user's networks in a model fixed in training, or let them go again.

    Without gradients their weights stay as they are, but statistics of batches would
    move, and dropout would stay.

    Parameters
    ----------
    model : nn.Module
        The model.
    held : bool
        Whether they are in evaluation mode whatever the mode of the model.
    """
    for module in model.modules():
        if isinstance(module, UserNetwork):
            module.held = held
            module.train(model.training)


def snapshot_networks(model: nn.Module) -> Callable[[], None]:
    """Remember the user's networks in a model with all that they hold but weights.

    That is what `state_dict` leaves out: buffers that are not persistent, attributes.

    Parameters
    ----------
    model : nn.Module
        The model.

    Returns
    -------
    give_back : callable
        Puts them into the model as they were. The weights are the same objects, which
        an optimizer goes on training, with the values that they have by then.
    """
    found = [module for module in model.modules() if isinstance(module, UserNetwork)]
    kept = [_copied(own.network, own.network.parameters()) for own in found]

    def give_back() -> None:
        for own, network in zip(found, kept, strict=True):
            if network is not None:
                own.network = network

    return give_back


@contextmanager
def non_finite_networks(model: nn.Module) -> Iterator[list[str]]:
    """Note which of the user's networks give NaN or infinity within.

    Parameters
    ----------
    model : nn.Module
        The model.

    Yields
    ------
    roles : list of str
        Their parameters, in the order of calls.
    """
    roles: list[str] = []

    def note(network: UserNetwork, inputs: Any, out: Tensor) -> None:
        if not out.isfinite().all():
            roles.append(network.role)

    own = [module for module in model.modules() if isinstance(module, UserNetwork)]
    hooks = [network.register_forward_hook(note) for network in own]
    try:
        yield roles
    finally:
        for hook in hooks:
            hook.remove()


def _copied(network: nn.Module, shared: Iterable[Any] = ()) -> nn.Module | None:
    """Return a deep copy with some objects shared, or None if torch cannot make one."""
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        return None  # the weights of copies are no leaves, and do not learn
    try:
        return copy.deepcopy(network, {id(one): one for one in shared})
    except Exception:  # as of nn.utils.weight_norm, whose weights are no leaves
        return None


@contextmanager
def networks_in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Have the user's networks in a model in evaluation mode for a while.

    They then neither draw nor gather or use statistics of a batch.
    """
    training = [
        m.network
        for m in model.modules()
        if isinstance(m, UserNetwork) and m.network.training
    ]
    for network in training:
        network.eval()
    try:
        yield
    finally:
        for network in training:
            network.train()
