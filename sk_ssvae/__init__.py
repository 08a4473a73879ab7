"""Semi-supervised variational autoencoders as scikit-learn estimators."""

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
