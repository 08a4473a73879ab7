"""Semi-supervised variational autoencoders as scikit-learn estimators."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sk_ssvae.estimators.autoencoder import VariationalAutoencoder
    from sk_ssvae.estimators.classifier import SSVAEClassifier
    from sk_ssvae.estimators.loading import load
    from sk_ssvae.estimators.onnx import to_onnx
    from sk_ssvae.estimators.scorer import Scorer
    from sk_ssvae.teachers.pool import OpinionPoolClassifier

__all__ = [
    "OpinionPoolClassifier",
    "SSVAEClassifier",
    "Scorer",
    "VariationalAutoencoder",
    "__version__",
    "load",
    "to_onnx",
]

__version__ = "0.1.0"

_MODULES = {
    "OpinionPoolClassifier": "teachers.pool",
    "SSVAEClassifier": "estimators.classifier",
    "Scorer": "estimators.scorer",
    "VariationalAutoencoder": "estimators.autoencoder",
    "load": "estimators.loading",
    "to_onnx": "estimators.onnx",
}
"""Modules of the public names. Each is imported when it is needed, so that scoring with
an ONNX graph does not import torch."""

_PACKAGES = ("data", "estimators", "models", "teachers", "training", "utils")
"""Packages that the estimators import, and that are attributes of this module."""


if not TYPE_CHECKING:  # a type checker reads the imports above

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
            globals()[name] = value
            return value
        if name in _PACKAGES:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        special = (name for name in globals() if name.startswith("__"))
        return sorted({*special, *__all__, *_PACKAGES})
