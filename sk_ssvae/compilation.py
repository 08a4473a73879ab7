"""The loss as ``torch.compile`` makes it, once for each shape of network."""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType

import torch

from sk_ssvae.models import Model
from sk_ssvae.objective import Loss, ssvae_loss

__all__ = ["compiled_loss"]


def compiled_loss(
    model: Model, top_k: int | None, precision: str
) -> Callable[..., Loss]:
    """Return `sk_ssvae.objective.ssvae_loss` compiled for networks like these.

    Parameters
    ----------
    model : Model
        The networks; only types and shapes matter.
    top_k : int or None
        As the loss takes it.
    precision : str
        In which the networks run.

    Returns
    -------
    loss : callable
        Takes the same arguments as the loss. It is compiled when first called, and
        fits with networks of the same shapes share it.
    """
    shapes = tuple(tuple(p.shape) for p in model.parameters())
    kinds = (*map(type, model.modules()), str(model.classes.device))
    modes = (top_k, precision, torch.get_num_threads())
    return _compiled((*kinds, shapes, *modes))


@lru_cache(maxsize=64)
def _compiled(key: object) -> Callable[..., Loss]:
    # torch counts compilations by code object, and after a few goes on uncompiled: a
    # code object for each key.
    code = ssvae_loss.__code__.replace(co_name=f"ssvae_loss_{hash(key) & 0xFFFFFFFF:x}")
    twin = FunctionType(code, ssvae_loss.__globals__)
    twin.__kwdefaults__ = ssvae_loss.__kwdefaults__
    compiled: Callable[..., Loss] = torch.compile(twin)
    return compiled
