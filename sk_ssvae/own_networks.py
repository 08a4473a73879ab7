"""Networks of the user's own, made and called so that they fit in the place of ours."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sk_ssvae.randomness import Stream, stream_seed

__all__ = [
    "BUILT_IN",
    "ROLES",
    "Networks",
    "OwnNetwork",
    "borrowed_generator",
    "check_modules",
    "evaluated",
]

ROLES = ("classifier_module", "encoder_module", "decoder_module")
"""Parameters of the estimators that take networks."""

_BORROWED = Lock()


@contextmanager
def borrowed_generator(seed: int, device: str | torch.device = "cpu") -> Iterator[None]:
    """Seed torch's global generator for a while, and give it back as it was.

    For modules of users, which draw weights and dropout masks from it.

    Parameters
    ----------
    seed : int
        The seed.
    device : str or torch.device
        The device whose generator is seeded too.
    """
    kind = torch.device(device)
    cuda = [kind] if kind.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for one in cuda:
            torch.cuda.default_generators[one.index or 0].manual_seed(seed)
        yield


class OwnNetwork(nn.Module):
    """A user's network, shown batches of shape (n, in_features) and nothing else.

    Leading axes are flattened. In training, a single row is mapped as it would be in
    evaluation: it has no batch statistics.

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
    """

    def __init__(
        self,
        make: Callable[..., Any],
        in_features: int,
        out_features: int,
        kwargs: dict[str, Any],
        role: str,
        seed: int,
    ) -> None:
        super().__init__()
        self.out_features = out_features
        self.role = role
        self.widest = 1
        step = ROLES.index(role)
        with (
            _BORROWED,
            borrowed_generator(stream_seed(seed, Stream.OWN_WEIGHTS, step)),
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
            self.network = network.float()
            self._try(in_features)

    @torch.no_grad()
    def _try(self, in_features: int) -> None:
        """Call the network once, and see how much it takes for a row."""

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                self.widest = max(self.widest, output.numel() // 2)

        hooks = [m.register_forward_hook(note) for m in self.network.modules()]
        was_training = self.network.training
        self.network.eval()
        try:
            self._checked(self._called(torch.zeros(2, in_features)), 2)
        finally:
            self.network.train(was_training)
            for hook in hooks:
                hook.remove()

    @staticmethod
    def failure(error: Exception) -> type[Exception]:
        """Kind of error to raise for one of the user's network."""
        return TypeError if isinstance(error, TypeError) else ValueError

    def _called(self, x: Tensor) -> Any:
        try:
            return self.network(x)
        except Exception as error:
            raise self.failure(error)(
                f"The network of {self.role} cannot map floats of shape "
                f"{tuple(x.shape)}: {type(error).__name__}: {error}"
            ) from error

    def _checked(self, out: Any, n_rows: int) -> Tensor:
        if not isinstance(out, Tensor):
            raise TypeError(
                f"The network of {self.role} must return a tensor, got {out!r} of type "
                f"{type(out).__name__}."
            )
        if out.shape != (n_rows, self.out_features) or not out.is_floating_point():
            raise ValueError(
                f"The network of {self.role} must return floats of shape (n_rows, "
                f"out_features) = {(n_rows, self.out_features)}, got "
                f"{tuple(out.shape)} of {out.dtype}."
            )
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        flat = x.reshape(-1, x.shape[-1])
        if len(flat) == 0:
            out = flat.new_zeros(0, self.out_features)
        elif len(flat) == 1 and self.network.training:
            self.network.eval()
            try:
                out = self.network(flat).to(flat.dtype)
            finally:
                self.network.train()
        else:
            out = self._checked(self.network(flat), len(flat)).to(flat.dtype)
        return out.view(*x.shape[:-1], self.out_features)


class OwnDecoder(nn.Module):
    """A user's decoder, which takes latent points and unit vectors side by side.

    Parameters
    ----------
    network : OwnNetwork
        From the points' size plus the number of classes.
    n_classes : int
        Number of classes; 0 if the network takes points alone.
    """

    def __init__(self, network: OwnNetwork, n_classes: int) -> None:
        super().__init__()
        self.network = network
        self.n_classes = n_classes

    def forward(self, points: Any, y: Tensor | None = None) -> Tensor:
        """Map points, or several tensors of points, and classes as `PairMLP` does."""
        parts = list(points) if isinstance(points, tuple) else [points]
        if y is None:
            y = torch.eye(self.n_classes, dtype=parts[0].dtype, device=parts[0].device)
        elif not y.is_floating_point():
            y = F.one_hot(y, self.n_classes).to(parts[0].dtype)
        if self.n_classes:
            parts.append(y)
        shape = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
        wide = [part.expand(*shape, part.shape[-1]) for part in parts]
        out: Tensor = self.network(torch.cat(wide, -1))
        return out


class Networks(NamedTuple):
    """Which networks are the user's own: for each, what makes it, and its keywords.

    Each method returns None where there is none.
    """

    classifier_module: Callable[..., Any] | None = None
    encoder_module: Callable[..., Any] | None = None
    decoder_module: Callable[..., Any] | None = None
    keywords: tuple[tuple[str, dict[str, Any]], ...] = ()

    def _network(
        self, role: str, n_in: int, n_out: int, seed: int
    ) -> OwnNetwork | None:
        make = getattr(self, role)
        if make is None:
            return None
        return OwnNetwork(
            make, n_in, n_out, dict(self.keywords).get(role, {}), role, seed
        )

    def classifier(self, n_in: int, n_classes: int, seed: int) -> OwnNetwork | None:
        """From a row to scores of the classes."""
        return self._network("classifier_module", n_in, n_classes, seed)

    def encoder(
        self, n_features: int, hidden_sizes: Sequence[int], n_outputs: int, seed: int
    ) -> OwnNetwork | None:
        """From a row to its share of the encoder's first hidden layer."""
        first = [*hidden_sizes, n_outputs][0]
        return self._network("encoder_module", n_features, first, seed)

    def decoder(
        self, n_points: int, n_classes: int, n_outputs: int, seed: int
    ) -> OwnDecoder | None:
        """From points and unit vectors of classes to the decoder's outputs."""
        network = self._network("decoder_module", n_points + n_classes, n_outputs, seed)
        return None if network is None else OwnDecoder(network, n_classes)


@contextmanager
def evaluated(model: nn.Module) -> Iterator[None]:
    """Have the user's networks in a model in evaluation mode for a while.

    They then neither draw nor gather or use statistics of a batch.
    """
    training = [
        m.network
        for m in model.modules()
        if isinstance(m, OwnNetwork) and m.network.training
    ]
    for network in training:
        network.eval()
    try:
        yield
    finally:
        for network in training:
            network.train()


BUILT_IN = Networks()
"""No network is the user's own."""


def check_modules(modules: dict[str, Any], keywords: dict[str, Any]) -> Networks:
    """Return networks as a user asks for them.

    Parameters
    ----------
    modules : dict
        For names in `ROLES` a class, a factory, or None.
    keywords : dict
        Keywords of theirs by name, ``classifier_module__channels`` and so on.

    Returns
    -------
    networks : Networks

    Raises
    ------
    TypeError
        If one is neither None nor callable, or a module that exists already.
    ValueError
        If there are keywords for a network that is not the user's own.
    """
    sorted_out: dict[str, dict[str, Any]] = {role: {} for role in modules}
    for name, value in keywords.items():
        role, _, keyword = name.partition("__")
        if modules.get(role) is None:
            raise ValueError(
                f"{name}={value!r} is a parameter of {role}, which is None. Set "
                f"{role} to a torch.nn.Module class or a factory."
            )
        sorted_out[role][keyword] = value
    for role, make in modules.items():
        if isinstance(make, nn.Module):
            raise TypeError(
                f"{role} must be a torch.nn.Module class or a factory "
                "f(in_features, out_features, **kwargs), got an instance of "
                f"{type(make).__name__}: it would be trained in place, and shared by "
                "clones. Give its class."
            )
        if make is not None and not callable(make):
            raise TypeError(
                f"{role} must be a torch.nn.Module class, a factory f(in_features, "
                f"out_features, **kwargs) or None, got {make!r} of type "
                f"{type(make).__name__}."
            )
    return Networks(**modules, keywords=tuple(sorted_out.items()))
