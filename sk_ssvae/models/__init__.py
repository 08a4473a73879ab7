"""The generative models: their networks, and model objects, by name in `MODELS`."""

from sk_ssvae.models.adgm import ADGM, ADGMModule
from sk_ssvae.models.base import VAEModule
from sk_ssvae.models.m1 import M1Module
from sk_ssvae.models.m1m2 import M1M2, M1M2Module
from sk_ssvae.models.m2 import M2, M2Module
from sk_ssvae.models.sdgm import SDGM, SDGMModule
from sk_ssvae.models.spec import MODELS, ModelSpec, resolve_model

__all__ = [
    "ADGM",
    "M1M2",
    "M2",
    "MODELS",
    "SDGM",
    "ADGMModule",
    "M1M2Module",
    "M1Module",
    "M2Module",
    "ModelSpec",
    "SDGMModule",
    "VAEModule",
    "resolve_model",
]
