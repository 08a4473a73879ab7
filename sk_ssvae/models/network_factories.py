"""Which networks are the user's own, and how they take the place of ours."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sk_ssvae.models.user_networks import UserNetwork

__all__ = ["BUILT_IN_NETWORKS", "NetworkFactories", "UserDecoder", "check_modules"]


class UserDecoder(nn.Module):
    """A user's decoder, which takes latent points and unit vectors side by side.

    Parameters
    ----------
    network : OwnNetwork
        From the points' size plus the number of classes.
    n_classes : int
        Number of classes; 0 if the network takes points alone.
    """

    def __init__(self, network: UserNetwork, n_classes: int) -> None:
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


class NetworkFactories(NamedTuple):
    """Which networks are the user's own: for each, what makes it, and its keywords.

    Each method returns None where there is none.
    """

    classifier_module: Callable[..., Any] | None = None
    encoder_module: Callable[..., Any] | None = None
    decoder_module: Callable[..., Any] | None = None
    keywords: tuple[tuple[str, dict[str, Any]], ...] = ()

    def _network(
        self, role: str, n_in: int, n_out: int, seed: int, nth: int = 0
    ) -> UserNetwork | None:
        make = getattr(self, role)
        if make is None:
            return None
        return UserNetwork(
            make, n_in, n_out, dict(self.keywords).get(role, {}), role, seed, nth
        )

    def classifier(self, n_in: int, n_classes: int, seed: int) -> UserNetwork | None:
        """From a row to scores of the classes."""
        return self._network("classifier_module", n_in, n_classes, seed)

    def encoder(
        self,
        n_features: int,
        hidden_sizes: Sequence[int],
        n_outputs: int,
        seed: int,
        nth: int = 0,
    ) -> UserNetwork | None:
        """From a row to its share of the encoder's first hidden layer.

        Or of its outputs where there is none; `nth` for models with several encoders.
        """
        first = [*hidden_sizes, n_outputs][0]
        return self._network("encoder_module", n_features, first, seed, nth)

    def decoder(
        self, n_points: int, n_classes: int, n_outputs: int, seed: int
    ) -> UserDecoder | None:
        """From points and unit vectors of classes to the decoder's outputs."""
        network = self._network("decoder_module", n_points + n_classes, n_outputs, seed)
        return None if network is None else UserDecoder(network, n_classes)


BUILT_IN_NETWORKS = NetworkFactories()
"""No network is the user's own."""


def check_modules(
    modules: dict[str, Any], keywords: dict[str, Any]
) -> NetworkFactories:
    """Return networks as a user asks for them.

    Parameters
    ----------
    modules : dict
        For names in `ROLES` a class, a factory, or None.
    keywords : dict
        Keywords of theirs by name, ``classifier_module__channels`` and so on. Those of
        a network that is not the user's own are not used, so that searches may leave
        it out: there is no other way to unset them.

    Returns
    -------
    networks : Networks

    Raises
    ------
    TypeError
        If one is neither None nor callable, or a module that exists already.
    """
    sorted_out: dict[str, dict[str, Any]] = {role: {} for role in modules}
    for name, value in keywords.items():
        role, _, keyword = name.partition("__")
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
    return NetworkFactories(**modules, keywords=tuple(sorted_out.items()))
