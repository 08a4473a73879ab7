"""Semi-supervised variational autoencoders as scikit-learn estimators."""

from sk_ssvae.classifier import SSVAEClassifier
from sk_ssvae.pool import OpinionPoolClassifier

__all__ = ["OpinionPoolClassifier", "SSVAEClassifier", "__version__"]

__version__ = "0.1.0"
