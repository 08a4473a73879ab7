"""Semi-supervised variational autoencoders as scikit-learn estimators."""

from sk_ssvae.classifier import SSVAEClassifier

__all__ = ["SSVAEClassifier", "__version__"]

__version__ = "0.1.0"
