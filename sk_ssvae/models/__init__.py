"""The generative models, by name in `MODELS`."""

from sk_ssvae.models.base import MODELS, VAEModule
from sk_ssvae.models.m1 import M1Module
from sk_ssvae.models.m1m2 import M1M2Module
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.models.sdgm import ADGMModule, SDGMModule

__all__ = [
    "MODELS",
    "ADGMModule",
    "M1M2Module",
    "M1Module",
    "M2Module",
    "SDGMModule",
    "VAEModule",
]
