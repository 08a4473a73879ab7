"""Semi-supervised variational autoencoders as scikit-learn estimators."""

from sk_ssvae.classifier import SSVAEClassifier
from sk_ssvae.exporting import to_onnx
from sk_ssvae.loading import load
from sk_ssvae.pool import OpinionPoolClassifier
from sk_ssvae.vae import VariationalAutoencoder

__all__ = [
    "OpinionPoolClassifier",
    "SSVAEClassifier",
    "VariationalAutoencoder",
    "__version__",
    "load",
    "to_onnx",
]

__version__ = "0.1.0"
