"""The models, each a file, which enters itself in `MODELS`."""

from importlib import import_module
from pkgutil import iter_modules

from sk_ssvae.models.base import MODELS, Model

__all__ = ["MODELS", "Model"]

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
