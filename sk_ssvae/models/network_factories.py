"""Factories of user-supplied networks, and a decoder that wraps such a network."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sk_ssvae.models.user_columns import UserColumns
from sk_ssvae.models.user_networks import UserNetwork

__all__ = [
    "BUILT_IN_NETWORKS",
    "NetworkFactories",
    "UserDecoder",
    "check_modules",
    "check_network_given",
]


class UserDecoder(nn.Module):
    """A user-supplied decoder on concatenated latent points and one-hot classes.

    Parameters
    ----------
    network : UserNetwork
        Its number of inputs is the size of the points plus the number of classes.
    n_classes : int
        Number of classes; 0 if the network takes the points alone.
    """

    def __init__(self, network: UserNetwork, n_classes: int) -> None:
        super().__init__()
        self.network = network
        self.n_classes = n_classes

    def forward(self, points: Any, y: Tensor | None = None) -> Tensor:
        """Map points, or a tuple of them, and classes as `PairMLP` does."""
        parts = list(points) if isinstance(points, tuple) else [points]
        if y is None:
            y = torch.eye(self.n_classes, dtype=parts[0].dtype, device=parts[0].device)
        elif not y.is_floating_point():
            y = F.one_hot(y, self.n_classes).to(parts[0].dtype)
        if self.n_classes:
            parts.append(y)
        shape = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
        expanded = [part.expand(*shape, part.shape[-1]) for part in parts]
        out: Tensor = self.network(torch.cat(expanded, -1))
        return out


class NetworkFactories(NamedTuple):
    """Factories of the user-supplied networks and their keyword arguments.

    The methods construct a network, or return None if the built-in one is to be used.

    Attributes
    ----------
    classifier_module, encoder_module, decoder_module : callable or None
        ``f(in_features, out_features, **kwargs)``, which returns a ``torch.nn.Module``;
        None for the built-in network.
    keywords : tuple of (str, dict)
        Keyword arguments by name of the factory.
    columns : UserColumns or None
        Inputs and outputs of the networks for all columns of the rows. None if the
        networks take and return what the model does.
    """

    classifier_module: Callable[..., Any] | None = None
    encoder_module: Callable[..., Any] | None = None
    decoder_module: Callable[..., Any] | None = None
    keywords: tuple[tuple[str, dict[str, Any]], ...] = ()
    columns: UserColumns | None = None

    def _construct(
        self,
        role: str,
        n_in: int,
        n_out: int,
        seed: int,
        index: int = 0,
        description: str = "",
    ) -> UserNetwork | None:
        factory = getattr(self, role)
        if factory is None:
            return None
        kwargs = dict(self.keywords).get(role, {})
        if not description and self.columns is not None:
            description = self.columns.description
            n_others = n_in - len(self.columns.inputs)
            if n_others > 0:
                description += f", {n_others} auxiliary variables"
        return UserNetwork(
            factory, n_in, n_out, kwargs, role, seed, index, self.columns, description
        )

    def classifier(self, n_in: int, n_classes: int, seed: int) -> UserNetwork | None:
        """Make a classifier, from rows to scores of the classes.

        The first inputs are those of the rows; others may follow.
        """
        return self._construct("classifier_module", n_in, n_classes, seed)

    def encoder(
        self,
        n_features: int,
        hidden_sizes: Sequence[int],
        n_outputs: int,
        seed: int,
        index: int = 0,
    ) -> UserNetwork | None:
        """Make the encoder's map from rows to the units of its first hidden layer.

        Without hidden layers it maps to the outputs of the encoder. `index` numbers the
        encoders of models that have several.
        """
        first_size = [*hidden_sizes, n_outputs][0]
        return self._construct("encoder_module", n_features, first_size, seed, index)

    def decoder(
        self, n_points: int, n_classes: int, n_outputs: int, seed: int
    ) -> UserDecoder | None:
        """Make a decoder, from points and one-hot classes to parameters of p(x)."""
        description = f"{n_points} latent variables"
        if n_classes:
            description += f", {n_classes} one-hot classes"
        network = self._construct(
            "decoder_module",
            n_points + n_classes,
            n_outputs,
            seed,
            description=description,
        )
        return None if network is None else UserDecoder(network, n_classes)


BUILT_IN_NETWORKS = NetworkFactories()
"""No user-supplied networks."""


def check_network_given(role: str, module: Any, name: str) -> None:
    """Refuse a keyword argument of a network that is not given.

    Parameters
    ----------
    role : str
        Parameter of the network, one of `ROLES`.
    module : callable or None
        Its value.
    name : str
        Parameter of the keyword argument, ``classifier_module__channels`` and so on.

    Raises
    ------
    ValueError
        If `module` is None.
    """
    if module is None:
        raise ValueError(
            f"{name} is a keyword argument of a user-supplied network, but {role} is "
            f"None. Set {role} to a class or factory, or leave {name} out."
        )


def check_modules(
    modules: dict[str, Any], keywords: dict[str, Any]
) -> NetworkFactories:
    """Validate an estimator's network parameters and return factories.

    Parameters
    ----------
    modules : dict
        A class, a factory, or None for names in `ROLES`.
    keywords : dict
        Keyword arguments by parameter name, ``classifier_module__channels`` and so on.

    Returns
    -------
    networks : NetworkFactories

    Raises
    ------
    TypeError
        If a module is neither None nor callable, or is an ``nn.Module`` instance.
    ValueError
        If there are keyword arguments of a module that is None.
    """
    kwargs_by_role: dict[str, dict[str, Any]] = {role: {} for role in modules}
    for name, value in keywords.items():
        role, _, keyword = name.partition("__")
        check_network_given(role, modules[role], name)
        kwargs_by_role[role][keyword] = value
    for role, factory in modules.items():
        if isinstance(factory, nn.Module):
            raise TypeError(
                f"{role} must be a torch.nn.Module class or a factory "
                "f(in_features, out_features, **kwargs), got an instance of "
                f"{type(factory).__name__}: it would be trained in place and shared by "
                "clones. Pass its class."
            )
        if factory is not None and not callable(factory):
            raise TypeError(
                f"{role} must be a torch.nn.Module class, a factory f(in_features, "
                f"out_features, **kwargs) or None, got {factory!r} of type "
                f"{type(factory).__name__}."
            )
    return NetworkFactories(**modules, keywords=tuple(kwargs_by_role.items()))
