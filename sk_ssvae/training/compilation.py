"""The training loss compiled by ``torch.compile``."""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from sk_ssvae.models import VAEModule
from sk_ssvae.training.loss import Loss, ssvae_loss

__all__ = ["compiled_loss"]


def compiled_loss(
    model: VAEModule, top_k: int | None, precision: str
) -> Callable[..., Loss]:
    """Return `sk_ssvae.training.loss.ssvae_loss` compiled for a model.

    Parameters
    ----------
    model : VAEModule
        The model; only its types, shapes and device matter.
    top_k : int or None
        The `top_k` argument of the loss.
    precision : {"float32", "bf16"}
        Precision in which the networks run.

    Returns
    -------
    loss : callable
        Takes the arguments of `ssvae_loss`. It is compiled at its first call; models
        with the same types and shapes share the compiled code.
    """
    shapes = tuple(tuple(p.shape) for p in model.parameters())
    kinds = (*map(type, model.modules()), str(model.classes.device))
    modes = (top_k, precision, torch.get_num_threads())
    compiled = _compiled((*kinds, shapes, *modes))

    def loss(
        model: VAEModule,
        sampled: Any,
        log_q_y: Tensor,
        codes: Tensor,
        noise: Tensor,
        *,
        teacher_weight: float,
        kl_weight: float,
        **kwargs: Any,
    ) -> Loss:
        # Python numbers would be constants of the compiled code; these two change.
        return compiled(
            model,
            sampled,
            log_q_y,
            codes,
            noise,
            teacher_weight=noise.new_full((), teacher_weight),
            kl_weight=noise.new_full((), kl_weight),
            **kwargs,
        )

    return loss


@lru_cache(maxsize=64)
def _compiled(key: object) -> Callable[..., Loss]:
    # torch limits the number of compilations per code object and then runs the function
    # uncompiled, so each key has a code object of its own.
    code = ssvae_loss.__code__.replace(co_name=f"ssvae_loss_{hash(key) & 0xFFFFFFFF:x}")
    copy = FunctionType(code, ssvae_loss.__globals__)
    copy.__kwdefaults__ = ssvae_loss.__kwdefaults__
    compiled: Callable[..., Loss] = torch.compile(copy)
    return compiled
