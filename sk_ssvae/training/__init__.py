"""Training of a model: objective, minibatches, network, checkpoints."""

from sk_ssvae.training.options import ClassifierOptions, TrainingOptions

__all__ = ["ClassifierOptions", "TrainingOptions"]
