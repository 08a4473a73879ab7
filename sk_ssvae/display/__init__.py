"""Plots of fitted estimators, with the interface of scikit-learn's displays."""

from sk_ssvae.display.latent_space import LatentSpaceDisplay
from sk_ssvae.display.samples import SamplesDisplay
from sk_ssvae.display.training import TrainingDisplay
from sk_ssvae.display.traversal import TraversalDisplay

__all__ = [
    "LatentSpaceDisplay",
    "SamplesDisplay",
    "TrainingDisplay",
    "TraversalDisplay",
]
